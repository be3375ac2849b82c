"""transformers' AutoConfig, for models that are found as train.py finds them; and its configs as config.json's dict."""

import os

import transformers

from tfbert.common.console import note_once
from tfbert.common.errors import UserError, nearest
from tfbert.data.sources import find_encoder
from tfbert.model.config_files import read_config

# arguments of transformers 4: those without meaning here, and those that ask for more than there is
LEFT_ASIDE = {"from_pt", "ignore_mismatched_sizes", "cache_dir", "local_files_only", "use_safetensors", "token",
              "revision", "use_auth_token", "force_download", "resume_download", "proxies", "trust_remote_code",
              "low_cpu_mem_usage", "torch_dtype", "dtype", "return_dict", "max_shard_size", "version",
              "signatures"}  # fmt: skip
NOT_THERE = {"output_attentions", "subfolder", "push_to_hub", "inputs_embeds", "position_ids",
             "head_mask"}  # fmt: skip


def leave_aside(where, arguments, known=()):
    """Takes the arguments that have no meaning here, and names them in one note; UserError for those that have one.

    known: the names of those that are understood, to name the nearest of a misspelt one.
    """
    for name, value in arguments.items():
        if name in NOT_THERE and value is not None and value is not False:
            raise UserError(f"{where}: {name} is not there")
        if name not in LEFT_ASIDE | NOT_THERE:
            raise UserError(f"{where}: unknown argument {name}{nearest(name, LEFT_ASIDE | set(known))}")
    meant = sorted(name for name, value in arguments.items() if name in LEFT_ASIDE and value is not None)
    if meant:
        note_once(f"{where}: {', '.join(meant)} {'have' if len(meant) > 1 else 'has'} no meaning here")


def folder_of(name_or_path, arguments):
    """The folder of a model; UserError where it cannot be had, or arguments ask for a revision of it."""
    if arguments.get("revision") not in (None, "main") and not os.path.isdir(name_or_path):
        raise UserError("revision: download it with the hf command, and name the folder")
    return find_encoder(str(name_or_path)).folder


class AutoConfig(transformers.AutoConfig):
    """transformers' AutoConfig, of the types that are supported."""

    @classmethod
    def from_pretrained(cls, name_or_path, **arguments):
        """The transformers config of a folder or a Hub id; arguments replace what it says, such as num_labels."""
        config = read_config(folder_of(name_or_path, arguments))
        kind = transformers.CONFIG_MAPPING[config["model_type"]]
        made, unknown = kind.from_dict(config, return_unused_kwargs=True, **arguments)
        leave_aside("AutoConfig.from_pretrained", unknown, ("num_labels", *made.to_dict()))
        return made


def config_json(config):
    """config.json's dict of a transformers config, or of such a dict."""
    if isinstance(config, transformers.PretrainedConfig):
        return config.to_dict()
    if isinstance(config, dict):
        return dict(config)
    raise UserError(f"config is a {type(config).__name__}: give what AutoConfig.from_pretrained returns")

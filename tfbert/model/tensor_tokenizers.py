"""transformers' tokenizers with return_tensors="tf", and with the calls that transformers 5 dropped."""

import os
from functools import cache

import numpy as np
import transformers

from tfbert.data.hub import hub_trouble
from tfbert.model.backend import load_keras

load_keras()
from keras import ops  # noqa: E402


class AutoTokenizer:
    """transformers' AutoTokenizer whose tokenizers still understand return_tensors="tf"."""

    @staticmethod
    def from_pretrained(name_or_path, **arguments):
        """From a folder or a Hub id; where the Hub cannot be reached, from its cache, without a minute of tries."""
        if not os.path.isdir(name_or_path) and hub_trouble():
            arguments["local_files_only"] = True
        return with_tensorflow(transformers.AutoTokenizer.from_pretrained(name_or_path, **arguments))


def with_tensorflow(tokenizer):
    """The same tokenizer, its class now one that makes TensorFlow's tensors too."""
    tokenizer.__class__ = tensorflow_class(type(tokenizer))
    return tokenizer


@cache
def tensorflow_class(kind):
    return type(kind.__name__, (WithTensorFlow, kind), {})


class WithTensorFlow:
    def __call__(self, *texts, return_tensors=None, pad_to_max_length=False, **arguments):
        if pad_to_max_length:
            arguments = {"padding": "max_length", "truncation": True} | arguments
        as_numpy = "np" if return_tensors == "tf" else return_tensors
        return in_tensors(super().__call__(*texts, return_tensors=as_numpy, **arguments), return_tensors)

    def encode(self, *texts, **arguments):
        return self(*texts, **arguments)["input_ids"]

    def encode_plus(self, *texts, **arguments):
        return self(*texts, **arguments)

    def batch_encode_plus(self, batch_text_or_text_pairs, **arguments):
        """A list of texts, or of pairs, which come as tuples."""
        if all(isinstance(each, tuple) for each in batch_text_or_text_pairs):
            return self(*map(list, zip(*batch_text_or_text_pairs)), **arguments)
        return self(batch_text_or_text_pairs, **arguments)

    def pad(self, encoded_inputs, *arguments, return_tensors=None, **named):
        as_numpy = "np" if return_tensors == "tf" else return_tensors
        return in_tensors(super().pad(encoded_inputs, *arguments, return_tensors=as_numpy, **named), return_tensors)

    def __reduce__(self):
        """To pickle: the class is made anew."""
        kind = type(self).__bases__[1]
        plain = kind.__new__(kind)
        plain.__dict__ = self.__dict__
        return with_tensorflow, (plain,)


def in_tensors(encoded, kind):
    """A BatchEncoding of NumPy arrays, of TensorFlow's where that is wanted."""
    if kind == "tf":
        for name, value in encoded.items():
            encoded[name] = ops.convert_to_tensor(np.asarray(value, np.int32))
    return encoded

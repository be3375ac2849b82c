"""What the classes of transformers 4 share: loading, calling, compile and fit, saving."""

from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import replaced_file, write_json
from tfbert.model.auto_config import config_json, folder_of, leave_aside
from tfbert.model.backend import load_keras
from tfbert.model.config_files import read_config
from tfbert.model.configs import SHARES
from tfbert.model.folders import load_model, new_model
from tfbert.model.keras_data import keras_data, must_be_ids, split
from tfbert.model.model_types import CONFIG_NAMES
from tfbert.model.weight_files import in_tensorflow, write_h5, write_safetensors
from tfbert.model.weight_names import CLASSES, class_names
from tfbert.model.weights import get_weights

load_keras()
import keras  # noqa: E402
from keras import ops  # noqa: E402

READ_FIRST = ["onnx", "pytorch", "model.safetensors", "model.safetensors.index.json"]  # before a tf_model.h5
OWN_LOSS = ("auto", "auto_with_warning", "passthrough")  # how transformers 4 calls it


class PretrainedModel:
    """A model in a Hugging Face folder, as transformers 4's TensorFlow classes are used.

    `keras_model` is the Keras model inside, a dict of inputs -> logits, or vectors. What that has and this has not,
    such as trainable_variables and summary, is taken from there.
    """

    head = ""  # the end of transformers' class names
    keras_class = None
    output_class = None  # of what a call returns
    own_arguments = ()  # of from_pretrained
    model_type = None  # the only one that a class with a name of its own reads

    def __init__(self, config, keras_model=None):
        """config: AutoConfig's, or config.json's dict. keras_model: the one of this config; None: with new weights."""
        config = self.checked(config_json(config), "config")
        if keras_model is None:
            config = self.own_config(config, config, {})
            keras_model = new_model(self.keras_class, config, "float32", "config")
        self.keras_model = keras_model
        self.config_json = config | {"architectures": [CLASSES[config["model_type"]] + self.head]}
        self.config = keras_model.config

    @classmethod
    def from_pretrained(cls, name_or_path, config=None, **arguments):
        """From a folder or a Hub id. Prints a line where weights are new.

        config: what to use in place of the folder's. arguments: the dropouts of config.json, and a classifier's
        num_labels, id2label, label2id and problem_type; of transformers 4's others, those without meaning are left
        aside with a note. Raises UserError where the folder cannot be used.
        """
        folder = folder_of(name_or_path, arguments)
        of_folder = cls.checked(read_config(folder), folder)
        config = dict(of_folder) if config is None else cls.checked(config_json(config), "config")
        own_names = {CONFIG_NAMES.get(config["model_type"], {}).get(name, name) for name in SHARES}
        of_config = {*SHARES, *own_names, "output_hidden_states"} & arguments.keys()
        config |= {name: arguments.pop(name) for name in of_config}
        config = cls.own_config(config, of_folder, arguments)
        leave_aside("from_pretrained", arguments, ("config", *cls.own_arguments))
        model, line = load_model(cls.keras_class, folder, config, "float32")
        if "new:" in line:
            print(f"{name_or_path}: {line}")
        return cls(config, model)

    @classmethod
    def from_config(cls, config, **arguments):
        """With new weights."""
        leave_aside("from_config", arguments)
        return cls(config)

    @classmethod
    def checked(cls, config, source):
        """A config.json dict; UserError where it is not of this class's model_type."""
        kind = config.get("model_type")
        if cls.model_type not in (None, kind):
            other = class_names(cls.head).get(kind, "TFAutoModel" + cls.head.removeprefix("Model"))
            raise UserError(f"{cls.__name__}: {source} is of a {kind}, not of a {cls.model_type}: use {other}")
        if kind not in CLASSES:
            raise UserError(f"{source}: model_type {kind} is not supported; supported are {', '.join(CLASSES)}")
        return config

    @classmethod
    def own_config(cls, config, of_folder, arguments):
        """The config.json dict of a model with this head; takes what is its own from arguments.

        of_folder: that of the folder with the weights.
        """
        raise NotImplementedError

    def own_loss(self):
        """The Keras loss that the model has of itself."""
        raise UserError(f"{type(self).__name__} has no loss of its own: give one to compile")

    def loss_of(self, labels, found):
        """The loss of a call, in the shape that transformers 4 gives it; found: what the Keras model gives."""
        raise UserError(f"{type(self).__name__} takes no labels: it has no loss")

    def outputs(self, found, loss=None, hidden_states=None):
        """What the Keras model gives, as output_class."""
        return self.output_class(loss=loss, logits=found, hidden_states=hidden_states)

    def __call__(
        self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, training=False, **arguments
    ):
        """Inputs one by one, as one mapping or as one list; int (B, S). labels: as loss_of takes them.

        return_dict=False: a tuple. output_hidden_states: also what each layer gives; None: as the config says.
        """
        as_tuple = arguments.pop("return_dict", None) is False
        all_states = arguments.pop("output_hidden_states", None)
        if all_states is None:
            all_states = self.config_json.get("output_hidden_states")
        leave_aside("model", arguments)
        inputs, labels = split("model", input_ids, labels)
        inputs = {"attention_mask": attention_mask, "token_type_ids": token_type_ids} | inputs
        must_be_ids(inputs.get("input_ids"))
        inputs = {name: ops.convert_to_tensor(value, "int32") for name, value in inputs.items() if value is not None}
        self.must_fit(inputs["input_ids"])
        if all_states:
            states, mask = self.keras_model.states(inputs, training)
            found = self.keras_model.answer(states[-1], mask, training)
        else:
            states, found = None, self.keras_model(inputs, training=training)
        loss = None if labels is None else self.loss_of(ops.convert_to_tensor(labels), found)
        output = self.outputs(found, loss, states)
        return output.to_tuple() if as_tuple else output

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **arguments):
        """As Keras's, with a Keras 3 optimizer or its name. loss: None for the model's own. XLA: jit_compile=True."""
        if loss is None or isinstance(loss, str) and loss in OWN_LOSS:
            loss = self.own_loss()
        try:
            optimizer = keras.optimizers.get(optimizer)
        except ValueError as error:
            said = repr(optimizer) if isinstance(optimizer, str) else f"a {type(optimizer).__module__}"
            raise UserError(f"compile: optimizer is {said}: give one of keras.optimizers, or its name") from error
        self.keras_model.compile(optimizer, loss, metrics=metrics, **({"jit_compile": False} | arguments))

    def fit(self, x=None, y=None, *others, validation_data=None, **arguments):
        """As Keras's, on what keras_data takes; validation_data: the same, or (x, y). Returns the History."""
        self.must_be_compiled("fit")
        if isinstance(validation_data, (tuple, list)):
            x_held, *rest = validation_data
            validation_data = (*keras_data("validation_data", x_held, *rest[:1]), *rest[1:])
        elif validation_data is not None:
            held, labels = keras_data("validation_data", validation_data)
            validation_data = held if labels is None else (held, labels)
        x, y = keras_data("fit", x, y)
        return self.keras_model.fit(x, y, *others, validation_data=validation_data, **arguments)

    def evaluate(self, x=None, y=None, *others, **arguments):
        """As Keras's, on what keras_data takes."""
        self.must_be_compiled("evaluate")
        return self.keras_model.evaluate(*keras_data("evaluate", x, y), *others, **arguments)

    def predict(self, x, *others, **arguments):
        """What a call returns, of all texts, as NumPy arrays; labels in x are left aside."""
        x, _ = keras_data("predict", x, with_labels=False)
        return self.outputs(self.keras_model.predict(x, *others, **arguments))

    def must_fit(self, ids):
        """Raises UserError where ids are more than there are places; rotations go on beyond those of config.json."""
        length, longest = ids.shape[-1], self.config.max_length
        if length and length > longest and not self.config.rope_theta:
            raise UserError(f"model: {length:,} tokens, but it reads {longest:,}: call the tokenizer with "
                            f"truncation=True, max_length={longest}")  # fmt: skip

    def must_be_compiled(self, where):
        if not self.keras_model.compiled:
            raise UserError(f"{where}: call compile first")

    @property
    def trainable(self):
        return self.keras_model.trainable

    @trainable.setter
    def trainable(self, value):
        self.keras_model.trainable = value

    def __getattr__(self, name):
        if name == "keras_model" or name.startswith("__"):  # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.keras_model, name)

    def save_pretrained(self, folder, saved_model=False, safe_serialization=False, **arguments):
        """Writes config.json and tf_model.h5, in transformers 4's layout.

        safe_serialization: model.safetensors in its place, with TensorFlow's names, as transformers 4 writes it.
        saved_model: also saved_model/1, a SavedModel. Raises UserError where the folder holds a model in another format
        that would be read in its place.
        """
        leave_aside("save_pretrained", arguments)
        folder, name = Path(folder), "model.safetensors" if safe_serialization else "tf_model.h5"
        for other in READ_FIRST[:2] if safe_serialization else READ_FIRST:
            if (folder / other).exists():
                raise UserError(f"{folder / other} is that of another model: save to another folder, or delete it")
        weights = get_weights(self.keras_model)
        with replaced_file(folder / name) as staged:
            if safe_serialization:
                write_safetensors(in_tensorflow(weights, self.config.model_type), staged, "tf")
            else:
                write_h5(weights, staged, self.config_json)
        write_json(folder / "config.json", self.config_json)
        if saved_model:
            self.keras_model.export(str(folder / "saved_model" / "1"), verbose=False)

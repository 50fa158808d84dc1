"""Build what Keras's public API holds and serialise it: `build_keras.py OUT.keras`.

Every class is made with the first arguments that it takes, every operation is called on a
symbolic tensor. What Keras writes for them goes into one archive. Prints how many there are.
"""

import inspect
import json
import sys
import zipfile

import keras
from keras import layers, ops, saving

MODULES = [
    layers,
    keras.initializers,
    keras.regularizers,
    keras.constraints,
    keras.losses,
    keras.metrics,
    keras.optimizers,
    keras.optimizers.schedules,
    keras.quantizers,
    keras.dtype_policies,
    keras.random,
]
# Base classes hold nothing, and Lambda is code.
LEFT_OUT = {"Initializer", "InputSpec", "Lambda", "Layer", "Loss", "Metric", "Optimizer"}
ARGUMENTS = [
    [],
    [4],
    [2, 2],
    [0.1],
    [0.1, 10],
    ["float32"],
    [[0, 1]],
    ["ab->ba", 4],
    [[1.0], [0.1, 0.2]],
    [2, (1, 1)],
    [4, 4],
    lambda: [layers.LSTM(4)],
    lambda: [layers.Dense(4)],
    lambda: [layers.LSTMCell(4)],
    lambda: [[layers.LSTMCell(4)]],
    lambda: [keras.optimizers.SGD()],
]


def classes():
    """Serialise an object of each public class that can be made."""
    for module in MODULES:
        for name in sorted(set(dir(module)) - LEFT_OUT):
            if not inspect.isclass(getattr(module, name)):
                continue
            for arguments in ARGUMENTS:
                try:
                    yield saving.serialize_keras_object(
                        getattr(module, name)(*(arguments() if callable(arguments) else arguments))
                    )
                except Exception:  # these arguments are not for this class
                    continue
                break


def operations():
    """Serialise what each operation becomes in a functional model."""
    x = keras.Input((4, 4), name="x")
    for name in sorted(dir(ops)):
        function = getattr(ops, name)
        if not inspect.isfunction(function):
            continue
        for arguments in (
            [x],
            [x, x],
            [x, 2],
            [x, 1, 2],
            [[x, x]],
            [x, x, x],
            [x, (2, 4)],
            [x, "float32"],
            [x, 0],
            ["ij,ij->ij", x, x],
        ):
            try:
                y = function(*arguments)
                model = keras.Model(x, y[0] if isinstance(y, (list, tuple)) else y)
                yield from [saving.serialize_keras_object(layer) for layer in model.layers]
            except Exception:  # these arguments are not for this operation
                continue
            break


def main(path):
    """Write the archive."""
    made = [*classes(), *operations()]
    lstm = saving.serialize_keras_object(layers.LSTM(4))
    lstm["config"]["made"] = made
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {"name": "all", "layers": [lstm]},
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": keras.__version__, "date_saved": ""}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\nnone")
    print(len(made))


main(sys.argv[1])

"""Build what Keras's public API holds: `build_keras.py PACKAGE OUT.json`, PACKAGE being keras or tf_keras.

Every public class is made, every operation is called on a symbolic tensor, every function is
named by a layer or serialised. What Keras writes for each is written to OUT.json, by kind and
name; so is what could not be made, with the error. Nothing is left out silently. Two whole models
are saved beside it: model.keras and unbuilt.keras.
"""

import importlib
import inspect
import json
import sys

keras = importlib.import_module(sys.argv[1])
layers, saving = keras.layers, keras.saving

CLASSES = {
    "layer": [layers],
    "initializer": [keras.initializers],
    "regularizer": [keras.regularizers],
    "constraint": [keras.constraints],
    "loss": [keras.losses],
    "metric": [keras.metrics],
    "optimizer": [keras.optimizers, keras.optimizers.schedules, getattr(keras.optimizers, "legacy", None)],
    "quantizer": [getattr(keras, "quantizers", None)],
    "dtype policy": [getattr(keras, "dtype_policies", None), getattr(keras, "mixed_precision", None)],
    "random": [getattr(keras, "random", None)],
}
FUNCTIONS = {"activation": keras.activations, "loss function": keras.losses, "metric function": keras.metrics}
MODES = ["int8", "int4", "float8"]
# Tried in this order on each class that ARGUMENTS does not name.
USUAL = [
    lambda: [],
    lambda: [4],
    lambda: [2, 2],
    lambda: [0.1],
    lambda: [0.1, 10],
    lambda: [0.1, 10, 0.9],
    lambda: ["float32"],
    lambda: [[0, 1]],
    lambda: ["ab->ba", 4],
    lambda: [[1.0], [0.1, 0.2]],
    lambda: [2, (1, 1)],
    lambda: [4, 4],
    lambda: [layers.LSTM(4)],
    lambda: [layers.Dense(4)],
    lambda: [layers.LSTMCell(4)],
    lambda: [[layers.LSTMCell(4)]],
    lambda: [keras.optimizers.SGD()],
]
ARGUMENTS = {
    "GroupQueryAttention": lambda: [4, 4, 2],
    "GroupedQueryAttention": lambda: [4, 4, 2],
    "Permute": lambda: [(2, 1)],
    "RandomTranslation": lambda: [0.1, 0.1],
    "ExponentialDecay": lambda: [0.1, 10, 0.9],
    "InverseTimeDecay": lambda: [0.1, 10, 0.9],
    "Lambda": lambda: [lambda x: x],
    "AWQDTypePolicy": lambda: ["awq/4/8", "float32"],
    "GPTQDTypePolicy": lambda: ["gptq/4/8", "float32"],
    "Int4DTypePolicy": lambda: ["int4/8", "float32"],
    "GPTQConfig": lambda: [None, None],
    "AWQConfig": lambda: [None, None],
    "QuantizedDTypePolicy": lambda: ["int8", "float32"],
    "QuantizedFloat8DTypePolicy": lambda: ["float8", "float32"],
}


def public(module, want):
    """Yield the public names of a module and what they stand for."""
    for name in sorted(dir(module)):
        if not name.startswith("_") and want(getattr(module, name)):
            yield name, getattr(module, name)


def made(kind, name, tries):
    """Return what Keras writes for the first try that works, or the last error."""
    last = "nothing was tried"
    for attempt in tries:
        try:
            return {"kind": kind, "name": name, "objects": attempt()}
        except Exception as error:  # these arguments are not for this one
            last = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return {"kind": kind, "name": name, "error": last}


def classes():
    """Make an object of each public class."""
    for kind, modules in CLASSES.items():
        for module in filter(None, modules):
            for name, cls in public(module, inspect.isclass):
                sets = [ARGUMENTS[name]] if name in ARGUMENTS else USUAL
                yield made(
                    kind,
                    name,
                    [lambda cls=cls, s=s: [saving.serialize_keras_object(cls(*s()))] for s in sets],
                )


def functions():
    """Name each public function as a model's configuration names it."""
    for kind, module in FUNCTIONS.items():
        for name, function in public(module, inspect.isfunction):
            if name in {"deserialize", "serialize", "get"}:
                continue
            tries = [lambda function=function: [saving.serialize_keras_object(function)]]
            if kind == "activation":
                tries = [
                    lambda function=function: [
                        saving.serialize_keras_object(layers.Dense(2, activation=function)),
                        saving.serialize_keras_object(function),
                    ]
                ]
            yield made(kind, name, tries)


def inputs_of(tensor):
    """Return the inputs that a symbolic tensor is made from; Keras before 3.14 takes no others."""
    history = tensor._keras_history
    above = history.operation._inbound_nodes[history.node_index].input_tensors
    return [source for t in above for source in inputs_of(t)] or [tensor]


def written(output):
    """Return what Keras writes for the layers that an output comes from."""
    while isinstance(output, (list, tuple, dict)):
        output = output[next(iter(output))] if isinstance(output, dict) else output[0]
    if not keras.backend.is_keras_tensor(output):
        raise TypeError("it gives a value, and is no part of a model")
    # Not model.layers: operations are no layers.
    inputs = {id(t): t for t in inputs_of(output)}
    return [saving.serialize_keras_object(keras.Model([*inputs.values()], output))]


def operations():
    """Call each operation on symbolic tensors."""
    from keras import ops

    def tensor(*shape, dtype="float32"):
        return keras.Input(batch_shape=shape, dtype=dtype)

    x, image, square = tensor(None, 4, 4), tensor(None, 8, 8, 4), tensor(4, 4)
    one, whole, flat = tensor(None), tensor(None, 4, dtype="int32"), tensor(2, dtype="int32")
    three, cut, frames, four = tensor(None, 3), tensor(2, 4, 4), tensor(None, 2, 9), tensor(4)
    rgb, number = tensor(2, 8, 8, 3), tensor(dtype="int32")
    usual = [
        [x], [x, x], [x, 2], [x, 1, 2], [[x, x]], [x, x, x], [x, (2, 4)], [x, "float32"], [x, 0], [one], [one, one],
        [image], [image, 2], [whole], [whole, whole], [cut], [square], [square, square], [number],
    ]  # fmt: skip
    weights = keras.ops.ones
    own = {
        "affine_transform": [rgb, weights((2, 8))],
        "batch_normalization": [x, weights(4), weights(4), -1],
        "broadcast_to": [cut, (2, 4, 4)],
        "conv": [image, weights((2, 2, 4, 3))],
        "conv_transpose": [image, weights((2, 2, 3, 4)), 1],
        "correlate": [weights(4), four],
        "crop_images": [rgb, 1, 1, None, None, 4, 4],
        "cross": [three, three],
        "ctc_decode": [x, flat],
        "ctc_loss": [whole, x, one, one],
        "depthwise_conv": [image, weights((2, 2, 4, 1))],
        "diag": [square],
        "digitize": [x, weights(2)],
        "einsum": ["bij,bij->bij", x, x],
        "fold": [x, (2, 2), (2, 2)],
        "full_like": [x, 2],
        "hsv_to_rgb": [rgb],
        "istft": [(frames, frames), 16, 8, 16],
        "kaiser": [4, 0.5],
        "lstsq": [square, square],
        "map_coordinates": [square, weights((2, 4)), 1],
        "moments": [x, [1]],
        "pad_images": [rgb, 1, 1, None, None, 10, 10],
        "perspective_transform": [rgb, weights((2, 4, 2)), weights((2, 4, 2))],
        "psnr": [x, x, 1.0],
        "rearrange": [cut, "b i j -> b j i"],
        "rgb_to_grayscale": [rgb],
        "rgb_to_hsv": [rgb],
        "scale_and_translate": [rgb, (2, 8, 8, 3), weights(2), weights(2), (1, 2), "linear"],
        "scatter": [flat, flat, (4,)],
        "scatter_update": [square, [[0, 1]], weights(1)],
        "searchsorted": [weights(4), four],
        "segment_max": [cut, flat, 2],
        "segment_min": [cut, flat, 2],
        "segment_prod": [cut, flat, 2],
        "segment_sum": [cut, flat, 2],
        "select": [[x > 0], [x]],
        "separable_conv": [image, weights((2, 2, 4, 1)), weights((1, 1, 4, 3))],
        "slice": [cut, (0, 0, 0), (2, 2, 2)],
        "slice_update": [cut, (0, 0, 0), cut],
        "sparse_categorical_crossentropy": [whole, x],
        "stft": [x, 4, 2, 4],
        "take_along_axis": [x, tensor(None, 4, 4, dtype="int32"), 1],
        "unfold": [tensor(1, 4, 8, 8), 2],
        "unravel_index": [whole, (2, 4)],
        "vander": [flat],
    }
    # Those that take a function do so in the model, and are refused there.
    own |= {
        "associative_scan": [lambda a, b: a + b, square],
        "cond": [True, lambda: square, lambda: square],
        "map": [lambda a: a, square],
        "scan": [lambda a, b: (a, b), one, square],
        "switch": [0, [lambda a: a], x],
        "vectorized_map": [lambda a: a, square],
        "while_loop": [lambda a: False, lambda a: a, (x,)],
        "fori_loop": [0, 2, lambda i, a: a, x],
        "jvp": [lambda a: a, (square,), (square,)],
        "vectorize": [lambda a: a],
        "custom_gradient": [lambda a: (a, lambda g: g)],
    }
    seen = set()
    for place in [ops, *(getattr(ops, n) for n in ("image", "linalg", "nn", "numpy") if hasattr(ops, n))]:
        for name, function in public(place, inspect.isroutine):
            if name in seen:
                continue
            seen.add(name)
            tries = [own[name]] if name in own else usual
            yield made("operation", name, [lambda f=function, t=t: written(f(*t)) for t in tries])


def compiled(**how):
    """Return a compiled model with a recurrent layer."""
    model = keras.Sequential([layers.Input((4, 4)), layers.LSTM(4), layers.Dense(2)])
    model.compile(**({"optimizer": "adam", "loss": "mse"} | how))
    return model


def quantized(mode):
    """Return a quantised model."""
    model = compiled()
    model.quantize(mode)
    return model


def half():
    """Return a model in mixed precision, whose optimizer scales the loss."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return compiled()
    finally:
        keras.mixed_precision.set_global_policy("float32")


def models():
    """Build whole models, as people save them."""
    for name, make in {
        "compiled": compiled,
        "compiled with objects": lambda: compiled(
            optimizer=keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
            loss=keras.losses.BinaryCrossentropy(),
            metrics=["accuracy", keras.metrics.AUC()],
        ),
        "compiled with functions": lambda: compiled(loss=keras.losses.binary_crossentropy),
        "mixed precision": half,
        **({f"quantized to {m}": lambda m=m: quantized(m) for m in MODES} if hasattr(keras, "ops") else {}),
    }.items():
        yield made("model", name, [lambda make=make: [saving.serialize_keras_object(make())]])


def operation_classes():
    """Return the classes of Keras's operations."""

    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    if not hasattr(keras, "Operation"):
        return []
    return sorted(c.__name__ for c in below(keras.Operation) if c.__module__.startswith("keras.src.ops."))


def main(path):
    """Write everything that was made."""
    compiled().save("model.keras")
    keras.Sequential([layers.LSTM(4), layers.Dense(2)]).save("unbuilt.keras")
    everything = [*classes(), *functions(), *models(), *(operations() if hasattr(keras, "ops") else [])]
    with open(path, "w", encoding="utf-8") as out:
        json.dump(
            {"keras": keras.__version__, "operations": operation_classes(), "objects": everything}, out, default=str
        )
    print(len(everything))


if __name__ == "__main__":
    main(sys.argv[2])

"""Inference on a .keras file with NumPy alone.

Serving needs no training framework: an embedding, LSTM steps and softmax layers are a page of
NumPy. The file is read as data, never executed; any layer or option that this module does not
know is refused, because a layer left out would give plausible and wrong numbers.
(Keras has a NumPy backend, but importing it needs JAX, which is larger than the rest of the
image together.) The tests hold this module's output against Keras on TensorFlow.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from lstm.keras_archive import CONFIG, WEIGHTS

Array = npt.NDArray[Any]
_MAX_CONFIG = 4 << 20
_MAX_WEIGHTS = 1 << 30


class UnsupportedModelError(ValueError):
    """A model file that this runtime cannot compute, or that is damaged."""


class NumpyModel:
    """A loaded model: call it with event numbers, get the outputs by name."""

    def __init__(self, data: bytes) -> None:
        """Read the bytes of a .keras file; UnsupportedModelError when that is not possible."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                config = json.loads(_read(archive, CONFIG, _MAX_CONFIG))
                weights = _read(archive, WEIGHTS, _MAX_WEIGHTS)
            with h5py.File(io.BytesIO(weights), "r") as file:
                self._steps = _steps(config, file)
            outputs = config["config"]["output_layers"]
            inputs = config["config"]["input_layers"]
            self._length = _input_length(config)
        except (zipfile.BadZipFile, KeyError, TypeError, IndexError, OSError, ValueError) as error:
            if isinstance(error, UnsupportedModelError):
                raise
            raise UnsupportedModelError(f"read model: {type(error).__name__}: {error}") from error
        if not isinstance(outputs, dict):
            raise UnsupportedModelError("read model: its outputs have no names")
        self._outputs: dict[str, str] = {name: layer[0] for name, layer in outputs.items()}
        self._input = str(inputs[0][0] if isinstance(inputs[0], list) else inputs[0])
        known = {self._input, *(name for name, _, _ in self._steps)}
        if not set(self._outputs.values()) <= known:
            raise UnsupportedModelError("read model: an output names no layer")

    def __call__(self, events: npt.NDArray[np.int32]) -> dict[str, Array]:
        """Return the outputs for (N, T) event numbers, by name."""
        if events.ndim != 2 or events.shape[1] != self._length:
            raise UnsupportedModelError(
                f"compute model: it reads {self._length} events, not an array {events.shape}"
            )
        values: dict[str, Array] = {self._input: events}
        for name, source, compute in self._steps:
            values[name] = compute(values[source])
        return {output: values[layer] for output, layer in self._outputs.items()}


def _input_length(config: dict[str, Any]) -> int:
    layers = [one for one in config["config"]["layers"] if one["class_name"] == "InputLayer"]
    if len(layers) != 1:
        raise UnsupportedModelError(f"read model: {len(layers)} inputs, needs one")
    return int(layers[0]["config"]["batch_shape"][1])


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).file_size > limit:
        raise UnsupportedModelError(f"read model: {name} is larger than {limit} bytes")
    return archive.read(name)


def _steps(
    config: dict[str, Any], file: h5py.File
) -> list[tuple[str, str, Callable[[Array], Array]]]:
    """Return (layer, its input, its function) in the order of computation."""
    if config["class_name"] != "Functional":
        raise UnsupportedModelError(f"read model: {config['class_name']} is not Functional")
    steps = []
    seen: dict[str, int] = {}
    known: set[str] = set()
    for layer in config["config"]["layers"]:
        kind, name = layer["class_name"], layer["config"]["name"]
        # Keras stores weights under the class name, numbered in the order of the layers.
        group = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
        index = seen.get(group, 0)
        seen[group] = index + 1
        path = f"layers/{group}" + (f"_{index}" if index else "")
        if kind == "InputLayer":
            known.add(name)
            continue
        if kind not in _LAYERS:
            raise UnsupportedModelError(f"read model: layer {name} is a {kind}")
        source = _source(layer)
        if source not in known:
            raise UnsupportedModelError(f"read model: layer {name} reads from unknown {source}")
        known.add(name)
        steps.append((name, source, _LAYERS[kind](layer["config"], file, path)))
    return steps


def _source(layer: dict[str, Any]) -> str:
    nodes = layer["inbound_nodes"]
    if len(nodes) != 1 or len(nodes[0]["args"]) != 1 or nodes[0]["kwargs"].get("mask") is not None:
        raise UnsupportedModelError(f"read model: layer {layer['name']} is shared or masked")
    return str(nodes[0]["args"][0]["config"]["keras_history"][0])


def _weights(file: h5py.File, path: str, *shape_ranks: int) -> list[Array]:
    arrays = [
        np.asarray(file[f"{path}/vars/{number}"], np.float32) for number in range(len(shape_ranks))
    ]
    if [array.ndim for array in arrays] != list(shape_ranks):
        raise UnsupportedModelError(f"read model: weights of {path} have unexpected shapes")
    return arrays


def _demand(config: Mapping[str, Any], **expected: Any) -> None:
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise UnsupportedModelError(
                f"read model: layer {config['name']} has {key}={config[key]!r}, not {value!r}"
            )


def _embedding(config: Mapping[str, Any], file: h5py.File, path: str) -> Callable[[Array], Array]:
    _demand(config, mask_zero=False)
    (table,) = _weights(file, path, 2)
    return lambda numbers: np.asarray(table[numbers])


def _dropout(config: Mapping[str, Any], file: h5py.File, path: str) -> Callable[[Array], Array]:
    del config, file, path  # acts in training only
    return lambda values: values


def _dense(config: Mapping[str, Any], file: h5py.File, path: str) -> Callable[[Array], Array]:
    _demand(config, activation="softmax", use_bias=True)
    kernel, bias = _weights(file, path, 2, 1)

    def compute(values: Array) -> Array:
        scores = values @ kernel + bias
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=-1, keepdims=True))

    return compute


def _lstm(config: Mapping[str, Any], file: h5py.File, path: str) -> Callable[[Array], Array]:
    _demand(
        config,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        go_backwards=False,
        stateful=False,
        return_state=False,
    )
    kernel, recurrent, bias = _weights(file, f"{path}/cell", 2, 2, 1)
    units = recurrent.shape[0]
    every_step = bool(config["return_sequences"])

    def compute(values: Array) -> Array:
        hidden = np.zeros((len(values), units), np.float32)
        carry = np.zeros_like(hidden)
        projected = values @ kernel + bias
        steps = []
        for step in range(values.shape[1]):
            gates = projected[:, step] + hidden @ recurrent
            entry, forget, candidate, exit_ = np.split(gates, 4, axis=1)
            carry = _sigmoid(forget) * carry + _sigmoid(entry) * np.tanh(candidate)
            hidden = _sigmoid(exit_) * np.tanh(carry)
            if every_step:
                steps.append(hidden)
        return np.stack(steps, axis=1) if every_step else hidden

    return compute


def _sigmoid(values: Array) -> Array:
    return np.asarray(0.5 * (np.tanh(0.5 * values) + 1.0))  # no overflow, unlike exp(-x)


_LAYERS: dict[str, Callable[[Mapping[str, Any], h5py.File, str], Callable[[Array], Array]]] = {
    "Embedding": _embedding,
    "Dropout": _dropout,
    "Dense": _dense,
    "LSTM": _lstm,
}

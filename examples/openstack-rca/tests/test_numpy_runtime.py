"""The NumPy runtime refuses what it cannot compute."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import pytest

from lstm import numpy_runtime
from lstm.keras_archive import CONFIG, WEIGHTS
from lstm.model_store import MODEL_FILE
from lstm.numpy_runtime import NumpyModel, UnsupportedModelError
from tests.conftest import Trained


def rebuilt(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return the archive with its configuration changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members[CONFIG])
    change(config)
    members[CONFIG] = json.dumps(config).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def layer(config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the first layer of a class."""
    layers: list[dict[str, Any]] = config["config"]["layers"]
    return next(one for one in layers if one["class_name"] == kind)


def set_class(config: dict[str, Any]) -> None:
    layer(config, "Dropout")["class_name"] = "Lambda"


def set_sequential(config: dict[str, Any]) -> None:
    config["class_name"] = "Sequential"


def set_activation(config: dict[str, Any]) -> None:
    layer(config, "LSTM")["config"]["activation"] = "relu"


def set_backwards(config: dict[str, Any]) -> None:
    layer(config, "LSTM")["config"]["go_backwards"] = True


def set_linear(config: dict[str, Any]) -> None:
    layer(config, "Dense")["config"]["activation"] = "linear"


def set_mask(config: dict[str, Any]) -> None:
    layer(config, "Embedding")["config"]["mask_zero"] = True


def set_masked_call(config: dict[str, Any]) -> None:
    layer(config, "LSTM")["inbound_nodes"][0]["kwargs"]["mask"] = {"class_name": "x"}


def set_shared(config: dict[str, Any]) -> None:
    nodes = layer(config, "LSTM")["inbound_nodes"]
    nodes.append(nodes[0])


def set_unknown_input(config: dict[str, Any]) -> None:
    node = layer(config, "LSTM")["inbound_nodes"][0]["args"][0]
    node["config"]["keras_history"] = ["nowhere", 0, 0]


def set_unknown_output(config: dict[str, Any]) -> None:
    config["config"]["output_layers"]["root_cause"] = ["nowhere", 0, 0]


def set_unnamed_outputs(config: dict[str, Any]) -> None:
    config["config"]["output_layers"] = [["root_cause", 0, 0]]


def set_missing_weights(config: dict[str, Any]) -> None:
    layers = config["config"]["layers"]
    layers.insert(2, json.loads(json.dumps(layer(config, "Embedding"))))


def set_two_inputs(config: dict[str, Any]) -> None:
    layers = config["config"]["layers"]
    layers.append(layer(config, "InputLayer"))


def set_incomplete(config: dict[str, Any]) -> None:
    del config["config"]["layers"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_class, "layer dropout is a Lambda"),
        (set_sequential, "Sequential is not Functional"),
        (set_activation, "activation='relu', not 'tanh'"),
        (set_backwards, "go_backwards=True"),
        (set_linear, "activation='linear', not 'softmax'"),
        (set_mask, "mask_zero=True"),
        (set_masked_call, "shared or masked"),
        (set_shared, "shared or masked"),
        (set_unknown_input, "reads from unknown nowhere"),
        (set_unknown_output, "an output names no layer"),
        (set_unnamed_outputs, "outputs have no names"),
        (set_missing_weights, "KeyError"),
        (set_two_inputs, "2 inputs, needs one"),
        (set_incomplete, "KeyError: 'layers'"),
    ],
)
def test_a_model_it_cannot_compute_is_refused(
    trained: Trained, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    data = rebuilt((trained.directory / MODEL_FILE).read_bytes(), change)
    with pytest.raises(UnsupportedModelError, match=message):
        NumpyModel(data)


def test_weights_of_the_wrong_rank_are_refused(trained: Trained) -> None:
    data = (trained.directory / MODEL_FILE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        config, weights = archive.read(CONFIG), io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(weights, "r+") as file:
        del file["layers/embedding/vars/0"]
        file["layers/embedding/vars/0"] = [1.0, 2.0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(CONFIG, config)
        archive.writestr(WEIGHTS, weights.getvalue())
    with pytest.raises(UnsupportedModelError, match="layers/embedding have unexpected shapes"):
        NumpyModel(buffer.getvalue())


@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_a_damaged_file_is_refused(trained: Trained, cut: int) -> None:
    data = (trained.directory / MODEL_FILE).read_bytes()
    with pytest.raises(UnsupportedModelError, match="BadZipFile"):
        NumpyModel(data[:cut])


def test_an_archive_without_weights_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(CONFIG, "{}")
    with pytest.raises(UnsupportedModelError, match=WEIGHTS):
        NumpyModel(buffer.getvalue())


def test_a_member_beyond_its_limit_is_not_read(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_runtime, "_MAX_WEIGHTS", 100)
    with pytest.raises(UnsupportedModelError, match=r"model\.weights\.h5 is larger than 100"):
        NumpyModel((trained.directory / MODEL_FILE).read_bytes())

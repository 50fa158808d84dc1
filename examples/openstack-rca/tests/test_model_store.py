"""The pair of model file and description."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lstm.inference import RootCauseModel
from lstm.keras_archive import normalise
from lstm.model_store import (
    DESCRIPTION_FILE,
    MODEL_FILE,
    ModelFileError,
    find_description,
    read_model,
    write_json,
)
from tests.conftest import Trained


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the model directory, to be damaged."""
    return Path(shutil.copytree(trained.directory, tmp_path / "models"))


def _change(directory: Path, **changes: Any) -> None:
    path = directory / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_description_survives_the_way_to_disk_and_back(trained: Trained, tmp_path: Path) -> None:
    description = trained.model.description
    write_json(tmp_path / "any_name.json", description.to_json())
    assert find_description(tmp_path, description.model_sha256) == description


def test_renamed_files_still_find_each_other(trained: Trained, copy: Path) -> None:
    (copy / MODEL_FILE).rename(copy / "lstm_model_v7.keras")
    (copy / DESCRIPTION_FILE).rename(copy / "lstm_model_v7.json")
    (copy / "broken.json").write_text("{")
    assert RootCauseModel.load(copy).sha256 == trained.model.sha256


def test_the_named_one_of_several_models_is_loaded(trained: Trained, copy: Path) -> None:
    (copy / "other.keras").write_bytes(b"other")
    with pytest.raises(ModelFileError, match=r"has lstm_model\.keras, other\.keras"):
        RootCauseModel.load(copy)
    assert RootCauseModel.load(copy, file=MODEL_FILE).sha256 == trained.model.sha256


def test_weights_of_another_description_are_refused(copy: Path) -> None:
    with (copy / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelFileError, match="no JSON file there describes the model"):
        RootCauseModel.load(copy)


@pytest.mark.parametrize("file", [None, "none.keras"])
def test_an_empty_directory_is_refused(tmp_path: Path, file: str | None) -> None:
    with pytest.raises(ModelFileError, match=r"has none|No such file"):
        read_model(tmp_path, file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99, not 1"),
        ({"vocabulary": ["a"]}, "must start with"),
        ({"max_length": "long"}, "ValueError"),
        ({"labels": None}, "TypeError"),
        ({"max_length": 5}, "it reads 32 events"),
        ({"labels": ["one", "two"]}, "its description says"),
    ],
)
def test_a_wrong_description_is_refused(copy: Path, changes: dict[str, Any], message: str) -> None:
    _change(copy, **changes)
    with pytest.raises(ModelFileError, match=message):
        RootCauseModel.load(copy)


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"accuracy": float("nan")})


def test_normalising_twice_changes_nothing(copy: Path) -> None:
    before = (copy / MODEL_FILE).read_bytes()
    normalise(copy / MODEL_FILE)
    assert (copy / MODEL_FILE).read_bytes() == before

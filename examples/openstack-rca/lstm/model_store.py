"""A model on disk: the Keras file, and beside it what turns its numbers into words.

The JSON file holds the sha256 of the Keras file. A vocabulary that belongs to other weights
gives confident nonsense, so a pair that does not match is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm.keras_archive import sha256_of
from lstm.vocabulary import Vocabulary

FORMAT = 1
MODEL_FILE, DESCRIPTION_FILE = "lstm_model.keras", "lstm_model.json"
METRICS_FILE, PREDICTIONS_FILE, GOLDEN_FILE = "metrics.json", "predictions.json", "golden.json"


class ModelFileError(ValueError):
    """A model directory that cannot be used; the message names the file."""


@dataclass(frozen=True)
class Description:
    """What the weights mean."""

    task: str
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    max_length: int
    top_k: int
    model_sha256: str
    #: Parameters, versions and data of the training, as written.
    training: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {
            "format": FORMAT,
            "task": self.task,
            "model_file": MODEL_FILE,
            "model_sha256": self.model_sha256,
            "vocabulary": list(self.vocabulary.templates),
            "labels": list(self.labels),
            "max_length": self.max_length,
            "top_k": self.top_k,
            **self.training,
        }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON: a NaN is an error here, not a surprise for the reader."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def find_description(directory: Path, model_sha256: str) -> Description:
    """Return the description that belongs to a model file, whatever the name of its file.

    Raises ModelFileError when no JSON file in the directory names the hash.
    """
    for path in sorted(directory.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # not ours: the search goes on, and fails by name if nothing matches
        # The golden predictions name the hash too, but describe nothing.
        described = isinstance(content, dict) and "vocabulary" in content
        if described and content.get("model_sha256") == model_sha256:
            return _description(path, content)
    raise ModelFileError(
        f"load model {directory}: no JSON file there describes the model with sha256 {model_sha256}"
    )


def read_model(directory: Path, file: str | None = None) -> tuple[bytes, Description]:
    """Return the bytes and the description of the one model in a directory.

    ``file`` chooses among several. Raises ModelFileError when there is not exactly one, or it
    has no description with its hash.
    """
    if file is None:
        found = sorted(directory.glob("*.keras"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ModelFileError(f"load model {directory}: needs one .keras file, has {names}")
        file = found[0].name
    try:
        data = (directory / file).read_bytes()
    except OSError as error:
        raise ModelFileError(f"load model {directory / file}: {error.strerror}") from error
    return data, find_description(directory, sha256_of(data))


def _description(path: Path, content: dict[str, Any]) -> Description:
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        known = {"format", "task", "model_file", "model_sha256", "vocabulary", "labels"}
        known |= {"max_length", "top_k"}
        return Description(
            task=str(content["task"]),
            vocabulary=Vocabulary(tuple(content["vocabulary"])),
            labels=tuple(content["labels"]),
            max_length=int(content["max_length"]),
            top_k=int(content["top_k"]),
            model_sha256=str(content["model_sha256"]),
            training={key: value for key, value in content.items() if key not in known},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"load model {path}: {type(error).__name__}: {error}") from error

"""Golden predictions: a fixed sample with the outputs the model had when it was trained.

Whoever loads the model later, anywhere, scores the sample and knows whether it is still the
model that passed the gates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE
from lstm.inference import Array, RootCauseModel
from lstm.model_store import FORMAT, ModelFileError

DECIMALS = 6
SAMPLES = 20


def make_golden(model: RootCauseModel, sequences: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the content of the golden file for the first SAMPLES different sequences."""
    chosen = list(dict.fromkeys(tuple(events) for events in sequences))[:SAMPLES]
    expected = _scores(model, chosen)
    return {
        "format": FORMAT,
        "task": model.description.task,
        "model_sha256": model.sha256,
        "decimals": DECIMALS,
        "samples": [
            {
                "events": list(events),
                "expected": {
                    name: [round(float(value), DECIMALS) for value in scores[row]]
                    for name, scores in expected.items()
                },
            }
            for row, events in enumerate(chosen)
        ],
    }


def compare(model: RootCauseModel, path: Path, tolerance: float) -> dict[str, Any]:
    """Score the golden file with a model; return the comparison, "result" equal or different.

    Raises ModelFileError when the file cannot be read or belongs to another model.
    """
    try:
        golden = json.loads(path.read_text(encoding="utf-8"))
        if golden["format"] != FORMAT:
            raise ValueError(f"format {golden['format']}, not {FORMAT}")
        sequences = [sample["events"] for sample in golden["samples"]]
        wanted = [sample["expected"] for sample in golden["samples"]]
        owner = golden["model_sha256"]
        scores = _scores(model, sequences)
        differences = [
            np.abs(scores[name][row] - np.asarray(values, np.float64)).max()
            for row, expected in enumerate(wanted)
            for name, values in expected.items()
        ]
        difference = float(np.max(differences))  # of NumPy: it does not pass over a NaN
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"score {path}: {type(error).__name__}: {error}") from error
    if owner != model.sha256:
        raise ModelFileError(f"score {path}: it belongs to model {owner}, not to {model.sha256}")
    # NaN compares as different: not (NaN <= tolerance).
    return {
        "result": "equal" if difference <= tolerance else "different",
        "samples": len(sequences),
        "max_abs_difference": difference if np.isfinite(difference) else None,
        "tolerance": tolerance,
        "model_sha256": model.sha256,
    }


def _scores(model: RootCauseModel, sequences: Sequence[Sequence[str]]) -> dict[str, Array]:
    outputs = model.predict(sequences)
    scores = {NEXT_EVENT: outputs[NEXT_EVENT][:, -1]}  # what would follow the last event
    if ROOT_CAUSE in outputs:
        scores[ROOT_CAUSE] = outputs[ROOT_CAUSE]
    return scores

"""What the model is worth on instances it has never seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE, Dataset, Part, duplicates
from lstm.inference import Array, RootCauseModel

#: The k that is reported whatever ``top_k`` the model uses, so that models stay comparable.
TOP = 3
_SCORE_DECIMALS = 6


def ranks_of_next_events(following: Array, part: Part) -> Array:
    """Return the rank (1 = most likely) of every next event that counts, in order."""
    rows, steps = np.nonzero(part.next_weights)
    scores = following[rows, steps]
    true = scores[np.arange(len(rows)), part.next_events[rows, steps]]
    return np.asarray((scores > true[:, None]).sum(axis=1) + 1)


def majority_share(labels: Array, top: int = 1) -> float:
    """Return what always answering the ``top`` most frequent classes would reach."""
    if labels.size == 0:
        return 0.0
    counts = np.sort(np.bincount(labels))[::-1]
    return float(counts[:top].sum() / labels.size)


def evaluate(model: RootCauseModel, dataset: Dataset) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics on the test part, and the content of the predictions file.

    ``accuracy`` is a fraction: of root causes with labels, of next events among the ``top_k``
    most likely ones without.
    """
    test = dataset.test
    outputs = model.predict([sequence.events for sequence in test.sequences])
    ranks = ranks_of_next_events(outputs[NEXT_EVENT], test)
    metrics = {
        "top1_next_event_accuracy": float(np.mean(ranks <= 1)),
        f"top{TOP}_next_event_accuracy": float(np.mean(ranks <= TOP)),
        "train_sequences": len(dataset.train.sequences),
        "validation_sequences": len(dataset.validation.sequences),
        "test_sequences": len(test.sequences),
        "duplicate_sequences_train_validation": duplicates(dataset.train, dataset.validation),
        "duplicate_sequences_train_test": duplicates(dataset.train, test),
        "vocabulary_size": len(dataset.vocabulary),
    }
    if dataset.task == ROOT_CAUSE:
        return metrics | _root_cause(outputs[ROOT_CAUSE], dataset), _predictions(outputs, dataset)
    counted = np.nonzero(test.next_weights)
    true = test.next_events[counted]
    top = model.description.top_k
    metrics |= {
        "accuracy": float(np.mean(ranks <= top)),
        "accuracy_top_k": top,
        "baseline_accuracy": majority_share(true, top),
    }
    return metrics, {
        "task": NEXT_EVENT,
        "labels": list(dataset.vocabulary.templates),
        "top_k": top,
        "y_true": true.tolist(),
        "y_pred": outputs[NEXT_EVENT][counted].argmax(axis=1).tolist(),
        "y_rank": ranks.tolist(),
    }


def _root_cause(causes: Array, dataset: Dataset) -> dict[str, float]:
    true = dataset.test.labels
    predicted = causes.argmax(axis=1)
    recalls = {
        label: float(np.mean(predicted[true == number] == number))
        for number, label in enumerate(dataset.labels)
    }
    return {
        "accuracy": float(np.mean(predicted == true)),
        "baseline_accuracy": majority_share(true),
        "macro_recall": float(np.mean(list(recalls.values()))),
        **{f"recall_{label}": recall for label, recall in recalls.items()},
    }


def _predictions(outputs: dict[str, Array], dataset: Dataset) -> dict[str, Any]:
    causes = outputs[ROOT_CAUSE]
    return {
        "task": ROOT_CAUSE,
        "labels": list(dataset.labels),
        "y_true": dataset.test.labels.tolist(),
        "y_pred": causes.argmax(axis=1).tolist(),
        "y_score": [[round(float(p), _SCORE_DECIMALS) for p in row] for row in causes],
    }

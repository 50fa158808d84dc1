"""Training: files, metrics, determinism, failures."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config import Config
from lstm import training
from lstm.dataset import NEXT_EVENT, build
from lstm.evaluation import majority_share
from lstm.golden import SAMPLES
from lstm.inference import RootCauseModel
from lstm.model_store import METRICS_FILE, MODEL_FILE, PREDICTIONS_FILE
from tests.conftest import Trained, sequence
from utils.log_files import DataError
from utils.log_generator import generate
from utils.log_parser import parse_lines
from utils.sequences import EventSequence, group_by_instance


def quiet(_epoch: int, _epochs: int, _metrics: Mapping[str, float], _remaining: float) -> None:
    """Report nothing."""


def of_generator(config: Config) -> list[EventSequence]:
    """Return the sequences that the command line trains on."""
    logs = generate(config.instances, config.seed)
    grouped = group_by_instance(parse_lines(logs.lines))
    return [replace(s, label=logs.labels[s.key]) for s in grouped if len(s.events) > 1]


def unlabelled(count: int = 40) -> list[EventSequence]:
    """Return machines that start in a fixed order with one step in two orders."""
    rng = random.Random(5)
    found = []
    for number in range(count):
        events = ["claim", "image", "start", "spawned", "terminate", "gone"]
        if rng.random() < 0.3:
            events[1], events[2] = events[2], events[1]
        found.append(sequence(f"vm-{number}", events))
    return found


SMALL = Config(
    epochs=16, lstm_units=12, embedding_dim=8, batch_size=8, learning_rate=0.02, top_k=2, seed=7
)


def test_a_second_training_gives_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    training.train(of_generator(trained.config), trained.config, tmp_path, quiet)
    for name in (MODEL_FILE, PREDICTIONS_FILE):
        assert (tmp_path / name).read_bytes() == (trained.directory / name).read_bytes(), name


def test_metrics_are_strict_json_with_flat_numbers(trained: Trained) -> None:
    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    text = (trained.directory / METRICS_FILE).read_text()
    metrics = json.loads(text, parse_constant=refuse)
    assert 0.0 <= metrics["accuracy"] <= 1.0
    assert metrics["accuracy"] >= metrics["baseline_accuracy"] + 0.2
    assert metrics["train_sequences"] > metrics["test_sequences"] > 0
    assert metrics["duplicate_sequences_train_validation"] >= 0
    assert metrics["tags"]["model_sha256"] == trained.model.sha256
    recalls = [metrics[f"recall_{label}"] for label in trained.model.description.labels]
    assert metrics["macro_recall"] == pytest.approx(np.mean(recalls))


def test_the_history_has_every_epoch_and_the_best_one_is_kept(trained: Trained) -> None:
    metrics = json.loads((trained.directory / METRICS_FILE).read_text())
    history = metrics["history"]
    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))
    best = min(history, key=lambda entry: entry["val_loss"])
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["val_loss"] == best["val_loss"]
    assert {"loss", "val_loss", "train_accuracy", "val_accuracy"} <= set(best)
    assert best["loss"] < history[0]["loss"]


def test_without_labels_the_next_event_is_learnt(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def report(epoch: int, epochs: int, metrics: Mapping[str, float], remaining: float) -> None:
        assert remaining >= 0
        assert math.isfinite(metrics["val_accuracy"])
        seen.append((epoch, epochs))

    result = training.train(unlabelled(), SMALL, tmp_path, report)
    assert seen == [(number, 16) for number in range(1, len(seen) + 1)]
    assert result.params["task"] == NEXT_EVENT
    assert result.metrics["accuracy_top_k"] == 2
    assert result.metrics["accuracy"] > 0.95 > result.metrics["baseline_accuracy"]
    predictions = json.loads((tmp_path / PREDICTIONS_FILE).read_text())
    ranks = np.array(predictions["y_rank"])
    assert result.metrics["accuracy"] == pytest.approx(np.mean(ranks <= predictions["top_k"]))
    right = np.array(predictions["y_true"]) == np.array(predictions["y_pred"])
    assert right.tolist() == (ranks == 1).tolist()
    model = RootCauseModel.load(tmp_path)
    usual = ["claim", "image", "start", "spawned", "terminate", "gone"]
    normal, odd = model.diagnose([usual, ["claim", "gone", "claim", "claim"]])
    assert normal.label == "normal"
    assert odd.label == "anomalous"
    assert not odd.probabilities


def test_failed_training_leaves_no_older_model(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes(b"of an earlier run")
    with pytest.raises(DataError):
        training.train([], trained.config, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_ends_training() -> None:
    progress = training._Progress(3, NEXT_EVENT, quiet)
    with pytest.raises(training.TrainingError, match=r"epoch 2 gave .*nan"):
        progress.on_epoch_end(1, {"loss": float("nan"), "val_top_k": 0.5})


@pytest.mark.parametrize("shift", [0.01, float("nan")])
def test_a_saved_model_that_computes_something_else_is_refused(
    trained: Trained, shift: float
) -> None:
    part = build(
        of_generator(trained.config), trained.config.max_sequence_length, trained.config.seed
    ).test

    class Shifted:
        def predict(self, _events: Any, **_: Any) -> dict[str, Any]:
            outputs = trained.model.predict([s.events for s in part.sequences[:SAMPLES]])
            return {name: values + shift for name, values in outputs.items()}

    with pytest.raises(training.TrainingError, match="away from the trained one"):
        training._runtime_difference(trained.model, Shifted(), part)


@pytest.mark.parametrize(
    ("labels", "top", "share"),
    [([0, 0, 1, 2], 1, 0.5), ([0, 0, 1, 2], 2, 0.75), ([1, 1], 3, 1.0), ([], 1, 0.0)],
)
def test_the_majority_share(labels: list[int], top: int, share: float) -> None:
    assert majority_share(np.array(labels, np.int32), top) == share

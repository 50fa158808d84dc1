"""Training: from sequences to the files of a model directory."""

from __future__ import annotations

import math
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config import Config
from lstm import evaluation, golden, network
from lstm.dataset import NEXT_EVENT, ROOT_CAUSE, Dataset, Part, build
from lstm.inference import RootCauseModel
from lstm.keras_archive import normalise
from lstm.model_store import (
    DESCRIPTION_FILE,
    GOLDEN_FILE,
    METRICS_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    Description,
    write_json,
)
from lstm.network import keras, tf
from utils.sequences import EventSequence

#: Passes over the data when the settings leave it to the task. Real logs without labels are
#: few, so that one pass is a handful of steps.
EPOCHS = {ROOT_CAUSE: 12, NEXT_EVENT: 60}
#: Few sequences are cut into at least this many steps for each epoch.
MIN_STEPS = 8
#: How far the NumPy runtime may be from Keras before the model is refused.
RUNTIME_TOLERANCE = 1e-4

Report = Callable[[int, int, Mapping[str, float], float], None]


class TrainingError(RuntimeError):
    """A training run that ended without a usable model."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training run has measured; the files are in ``directory``."""

    directory: Path
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    params: Mapping[str, Any]
    tags: Mapping[str, str]

    @property
    def files(self) -> list[Path]:
        """The five files of the model directory."""
        names = (MODEL_FILE, DESCRIPTION_FILE, METRICS_FILE, PREDICTIONS_FILE, GOLDEN_FILE)
        return [self.directory / name for name in names]


def parameters(dataset: Dataset, config: Config) -> dict[str, Any]:
    """Return the parameters of a run, those that the task decides included."""
    training = len(dataset.train.sequences)
    return {
        "task": dataset.task,
        "seed": config.seed,
        "epochs": config.epochs or EPOCHS[dataset.task],
        "batch_size": max(1, min(config.batch_size, training // MIN_STEPS)),
        "learning_rate": config.learning_rate,
        "embedding_dim": config.embedding_dim,
        "lstm_units": config.lstm_units,
        "dropout_rate": config.dropout_rate,
        "max_sequence_length": dataset.max_length,
        "top_k": config.top_k,
        "threads": config.threads,
        "vocabulary_size": len(dataset.vocabulary),
        "num_classes": len(dataset.labels),
    }


def train(
    sequences: Sequence[EventSequence], config: Config, directory: Path, report: Report
) -> TrainingResult:
    """Train a model and write its files.

    ``report`` is called after every epoch with its number, the number of all, its metrics and
    the seconds that the rest will take. The weights kept are those of the epoch with the lowest
    validation loss. Files of an earlier run are removed first: what is in the directory after a
    failure is nothing. Raises DataError for unusable data, TrainingError when the loss is not a
    number or the saved model does not compute what the trained one did.
    """
    started = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, DESCRIPTION_FILE, METRICS_FILE, PREDICTIONS_FILE, GOLDEN_FILE):
        (directory / name).unlink(missing_ok=True)
    dataset = build(sequences, config.max_sequence_length, config.seed)
    params = parameters(dataset, config)
    network.make_deterministic(config.seed, config.threads)
    model = network.build(dataset, config)
    history = _fit(model, dataset, params, report)
    best = min(range(len(history)), key=lambda epoch: history[epoch]["val_loss"])
    sha256 = _save(model, directory / MODEL_FILE)
    description = Description(
        task=dataset.task,
        vocabulary=dataset.vocabulary,
        labels=dataset.labels,
        max_length=dataset.max_length,
        top_k=config.top_k,
        model_sha256=sha256,
        training={"parameters": params, "versions": _versions(), "data": _data(dataset)},
    )
    write_json(directory / DESCRIPTION_FILE, description.to_json())
    loaded = RootCauseModel.load(directory)
    difference = _runtime_difference(loaded, model, dataset.test)
    metrics, predictions = evaluation.evaluate(loaded, dataset)
    metrics |= {
        **{name: value for name, value in history[best].items() if name != "epoch"},
        "best_epoch": best + 1,
        "runtime_difference": difference,
        "training_seconds": round(time.monotonic() - started, 3),
    }
    tags = {
        "task": dataset.task,
        "model_type": "lstm",
        "data_fingerprint": dataset.fingerprint,
        "model_sha256": sha256,
    }
    write_json(directory / PREDICTIONS_FILE, predictions)
    sample = [sequence.events for sequence in dataset.test.sequences]
    write_json(directory / GOLDEN_FILE, golden.make_golden(loaded, sample))
    content = {"task": dataset.task, **metrics, "history": history, "params": params, "tags": tags}
    write_json(directory / METRICS_FILE, content)
    return TrainingResult(directory, metrics, history, params, tags)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Collects the metrics of every epoch and reports them."""

    def __init__(self, epochs: int, task: str, report: Report) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []
        self._epochs, self._task, self._report = epochs, task, report
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = _readable({name: float(value) for name, value in (logs or {}).items()}, self._task)
        if not all(math.isfinite(value) for value in values.values()):
            raise TrainingError(f"train model: epoch {epoch + 1} gave {values}: not a number")
        done = epoch + 1
        remaining = (time.monotonic() - self._started) / done * (self._epochs - done)
        self.history.append({"epoch": done, **values})
        self._report(done, self._epochs, values, remaining)


def _readable(logs: dict[str, float], task: str) -> dict[str, float]:
    """Give Keras's names for the metrics of several outputs the usual ones.

    "accuracy" without a prefix stays free: it is the accuracy on held-out instances.
    """
    chosen = f"{ROOT_CAUSE}_accuracy" if task == ROOT_CAUSE else f"{NEXT_EVENT}_top_k"
    if f"val_{chosen}" not in logs:  # a single output goes without the prefix
        chosen = chosen.removeprefix(f"{NEXT_EVENT}_")
    names = {chosen: "train_accuracy", f"val_{chosen}": "val_accuracy"}
    return {names.get(name, name): value for name, value in logs.items()}


def _fit(
    model: Any, dataset: Dataset, params: Mapping[str, Any], report: Report
) -> list[dict[str, float]]:
    progress = _Progress(params["epochs"], dataset.task, report)
    events, targets, weights = _arrays(dataset.train, dataset.task)
    model.fit(
        events,
        targets,
        sample_weight=weights,
        validation_data=_arrays(dataset.validation, dataset.task),
        epochs=params["epochs"],
        batch_size=params["batch_size"],
        verbose=0,
        callbacks=[
            progress,
            keras.callbacks.EarlyStopping(
                "val_loss",
                patience=max(3, params["epochs"] // 5),
                restore_best_weights=True,
            ),
        ],
    )
    return progress.history


def _arrays(part: Part, task: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return inputs, targets and weights; the weights are scaled to a mean of one event."""
    weights = part.next_weights * (part.next_weights.size / max(part.next_weights.sum(), 1.0))
    targets: dict[str, Any] = {NEXT_EVENT: part.next_events}
    sample_weights: dict[str, Any] = {NEXT_EVENT: weights}
    if task == ROOT_CAUSE:
        targets[ROOT_CAUSE] = part.labels
        sample_weights[ROOT_CAUSE] = np.ones(len(part.labels), np.float32)
    return part.events, targets, sample_weights


def _save(model: Any, path: Path) -> str:
    """Save the model without its optimizer, in reproducible bytes; return their sha256."""
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as scratch:
        temporary = Path(scratch) / path.name
        bare.save(temporary)
        sha256 = normalise(temporary)
        path.write_bytes(temporary.read_bytes())
    return sha256


def _runtime_difference(loaded: RootCauseModel, trained: Any, part: Part) -> float:
    """Return how far the saved file, under NumPy, is from the trained network in memory."""
    sample = part.sequences[: golden.SAMPLES]
    expected = trained.predict(part.events[: golden.SAMPLES], verbose=0)
    actual = loaded.predict([sequence.events for sequence in sample])
    difference = float(np.max([np.abs(actual[name] - expected[name]).max() for name in expected]))
    if not difference <= RUNTIME_TOLERANCE:
        raise TrainingError(
            f"check model: the saved model is {difference:.2g} away from the trained one"
        )
    return difference


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def _data(dataset: Dataset) -> dict[str, Any]:
    return {
        "fingerprint": dataset.fingerprint,
        "train_sequences": len(dataset.train.sequences),
        "validation_sequences": len(dataset.validation.sequences),
        "test_sequences": len(dataset.test.sequences),
    }

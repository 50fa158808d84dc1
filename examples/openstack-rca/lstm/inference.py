"""Loading a trained model and asking it what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE
from lstm.model_store import Description, ModelFileError, read_model
from lstm.numpy_runtime import NumpyModel

Array = npt.NDArray[Any]
NUMPY, KERAS = "numpy", "keras"
#: Sequences computed at once: bounds the memory of (batch, steps, vocabulary).
BATCH = 256


@dataclass(frozen=True)
class Anomaly:
    """An event that the model did not expect where it occurred."""

    #: Index into the sequence's events.
    position: int
    event: str
    #: 1 for the most likely event; greater than ``top_k`` here.
    rank: int
    #: What the model expected most.
    expected: str


@dataclass(frozen=True)
class Diagnosis:
    """The model's answer for one sequence."""

    #: The most likely class; without labels "normal" or "anomalous".
    label: str
    #: Class -> probability, most likely first; empty without labels.
    probabilities: Mapping[str, float]
    anomalies: tuple[Anomaly, ...]


class RootCauseModel:
    """A model with its vocabulary and labels. Load it with ``load``."""

    def __init__(
        self, description: Description, compute: Callable[[Array], Mapping[str, Array]]
    ) -> None:
        """Take the description and a function from event numbers to the named outputs."""
        self.description = description
        #: Registry version; None for a model from a directory.
        self.version: str | None = None
        self._compute = compute

    @classmethod
    def load(cls, directory: Path, runtime: str = NUMPY, file: str | None = None) -> RootCauseModel:
        """Load the model in a directory; ``file`` chooses among several.

        ``runtime`` is "numpy" (all that serving needs) or "keras". Raises ModelFileError or
        numpy_runtime.UnsupportedModelError.
        """
        data, description = read_model(directory, file)
        if runtime == NUMPY:
            model: Callable[[Array], Mapping[str, Array]] = NumpyModel(data)
        elif runtime == KERAS:
            from lstm.keras_runtime import keras_model

            model = keras_model(data)
        else:
            raise ValueError(f"load model: runtime {runtime!r} is neither {NUMPY} nor {KERAS}")
        loaded = cls(description, model)
        loaded.check_shapes()
        return loaded

    @property
    def sha256(self) -> str:
        """The hash of the model file, which identifies the model everywhere."""
        return self.description.model_sha256

    def check_shapes(self) -> None:
        """Raise ModelFileError when the outputs do not fit vocabulary, labels and length."""
        description = self.description
        try:
            outputs = self._compute(np.zeros((1, description.max_length), np.int32))
        except ValueError as error:
            raise ModelFileError(f"load model: {error}") from error
        expected = {NEXT_EVENT: (1, description.max_length, len(description.vocabulary))}
        if description.task == ROOT_CAUSE:
            expected[ROOT_CAUSE] = (1, len(description.labels))  # type: ignore[assignment]
        found = {name: tuple(value.shape) for name, value in outputs.items()}
        if found != expected:
            raise ModelFileError(
                f"load model: outputs are {found}, its description says {expected}"
            )

    def predict(self, sequences: Sequence[Sequence[str]]) -> dict[str, Array]:
        """Return the outputs for sequences of event templates.

        ``root_cause``: (N, classes) probabilities; ``next_event``: (N, steps, vocabulary).
        Raises ValueError when a sequence is no sequence of texts or there is none.
        """
        if not sequences:
            raise ValueError("predict: no sequence given")
        for number, events in enumerate(sequences):
            if isinstance(events, str) or not all(isinstance(event, str) for event in events):
                raise ValueError(f"predict: sequence {number} is not a list of event templates")
            if not events:
                raise ValueError(f"predict: sequence {number} has no events")
        description = self.description
        encoded = description.vocabulary.encode(sequences, description.max_length)
        batches = [
            self._compute(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)
        ]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    def diagnose(self, sequences: Sequence[Sequence[str]]) -> list[Diagnosis]:
        """Return the root cause and the unexpected events of each sequence."""
        outputs = self.predict(sequences)
        return [
            self._diagnosis(
                events,
                outputs[NEXT_EVENT][row],
                outputs[ROOT_CAUSE][row] if ROOT_CAUSE in outputs else None,
            )
            for row, events in enumerate(sequences)
        ]

    def _diagnosis(
        self, events: Sequence[str], following: Array, causes: Array | None
    ) -> Diagnosis:
        anomalies = tuple(self._anomalies(events, following))
        if causes is None:
            return Diagnosis("anomalous" if anomalies else "normal", {}, anomalies)
        order = np.argsort(-causes, kind="stable")
        probabilities = {self.description.labels[i]: float(causes[i]) for i in order}
        return Diagnosis(next(iter(probabilities)), probabilities, anomalies)

    def _anomalies(self, events: Sequence[str], following: Array) -> list[Anomaly]:
        description = self.description
        templates = description.vocabulary.templates
        numbers = description.vocabulary.numbers(events)
        steps = following.shape[0]
        found = []
        # The event at position p is predicted by the step before it; the model sees the last
        # ``steps`` events, so the first of them has no prediction when the sequence fills it.
        for position in range(max(0, len(events) - steps + 1), len(events)):
            scores = following[steps - len(events) + position - 1]
            rank = int((scores > scores[numbers[position]]).sum()) + 1
            if rank > description.top_k:
                expected = templates[int(scores.argmax())]
                found.append(Anomaly(position, events[position], rank, expected))
        return found

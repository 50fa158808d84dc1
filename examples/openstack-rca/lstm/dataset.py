"""From sequences to arrays for training, validation and test that share no instance."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstm.vocabulary import IntArray, Vocabulary
from utils.fault_scripts import NORMAL
from utils.log_files import DataError
from utils.sequences import EventSequence

ROOT_CAUSE, NEXT_EVENT = "root_cause", "next_event"
#: Shares of training and validation; the rest is the test set.
SHARES = (0.70, 0.15)
#: Fewer sequences of a class cannot be in all three parts.
MIN_PER_CLASS = 3

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """One of the three parts, as sequences and as arrays."""

    sequences: tuple[EventSequence, ...]
    #: (N, T) event numbers.
    events: IntArray
    #: (N, T) the event after each step.
    next_events: IntArray
    #: (N, T) 1.0 where ``next_events`` counts: real events of sequences that are normal.
    next_weights: FloatArray
    #: (N,) class numbers; zeros without labels.
    labels: IntArray


@dataclass(frozen=True)
class Dataset:
    """Everything that training needs."""

    task: str
    vocabulary: Vocabulary
    #: Class names by number; empty without labels.
    labels: tuple[str, ...]
    max_length: int
    train: Part
    validation: Part
    test: Part
    #: Hash over every sequence and label: equal data, equal fingerprint.
    fingerprint: str


def fingerprint(sequences: Sequence[EventSequence]) -> str:
    """Return "sha256:..." over keys, events and labels, in order."""
    digest = hashlib.sha256()
    for sequence in sequences:
        for text in (sequence.key, sequence.label or "", *sequence.events, ""):
            digest.update(text.encode())
            digest.update(b"\0")
    return f"sha256:{digest.hexdigest()}"


def split(
    sequences: Sequence[EventSequence], seed: int
) -> tuple[list[EventSequence], list[EventSequence], list[EventSequence]]:
    """Return training, validation and test sequences: each class in the same shares.

    Sequences of one key stay together: no instance is on two sides. A background task never
    ends, so its windows count as sequences of their own. Raises DataError where a class is too
    small.
    """
    groups: dict[str, dict[str, list[EventSequence]]] = defaultdict(lambda: defaultdict(list))
    for sequence in sequences:
        stratum = sequence.label or ("instance" if sequence.of_instance else "background")
        groups[stratum][sequence.key].append(sequence)
    parts: tuple[list[EventSequence], ...] = ([], [], [])
    small = []
    for stratum in sorted(groups):
        keys = sorted(groups[stratum])
        random.Random(f"{seed}/{stratum}").shuffle(keys)
        if len(keys) < MIN_PER_CLASS:
            if stratum == "background":
                parts[0].extend(s for key in keys for s in groups[stratum][key])
            else:
                small.append(f"{stratum} has {len(keys)}")
            continue
        first = min(max(1, round(len(keys) * SHARES[0])), len(keys) - 2)
        second = first + min(max(1, round(len(keys) * SHARES[1])), len(keys) - first - 1)
        for part, chosen in zip(
            parts, (keys[:first], keys[first:second], keys[second:]), strict=True
        ):
            part.extend(s for key in chosen for s in groups[stratum][key])
    if small:
        raise DataError(
            f"split sequences: every class needs {MIN_PER_CLASS} instances: {', '.join(small)}"
        )
    return parts[0], parts[1], parts[2]


def build(sequences: Sequence[EventSequence], max_length: int, seed: int) -> Dataset:
    """Split and encode. The vocabulary comes from the training part alone.

    Raises DataError when some sequences have labels and others none, or a class is too small.
    """
    labelled = [s for s in sequences if s.label is not None]
    if not sequences or len(labelled) not in (0, len(sequences)):
        raise DataError(f"build dataset: {len(labelled)} of {len(sequences)} sequences have labels")
    labels = tuple(sorted({s.label for s in labelled if s.label is not None}))
    if len(labels) == 1:
        raise DataError(f"build dataset: all instances are {labels[0]}: nothing to tell apart")
    parts = split(sequences, seed)
    vocabulary = Vocabulary.build(s.events for s in parts[0])
    longest = max(len(s.events) for s in parts[0])
    length = min(max_length, longest + 1)  # one step of padding, which predicts the first event
    train, validation, test = (_encode(part, vocabulary, labels, length) for part in parts)
    return Dataset(
        task=ROOT_CAUSE if labels else NEXT_EVENT,
        vocabulary=vocabulary,
        labels=labels,
        max_length=length,
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint(sequences),
    )


def duplicates(one: Part, other: Part) -> int:
    """Return how many sequences of ``other`` have exactly the events of one in ``one``.

    Such machines tell nothing new. On real logs most normal machines are equal, so the number
    is reported and not forbidden.
    """
    known = {s.events for s in one.sequences}
    return sum(s.events in known for s in other.sequences)


def _encode(
    sequences: list[EventSequence], vocabulary: Vocabulary, labels: tuple[str, ...], length: int
) -> Part:
    events = vocabulary.encode([s.events for s in sequences], length)
    targets = np.zeros_like(events)
    targets[:, :-1] = events[:, 1:]  # nothing follows the last event: its target is padding
    normal = np.array([s.label in (None, NORMAL) for s in sequences], dtype=bool)
    weights = ((targets > 0) & normal[:, None]).astype(np.float32)
    return Part(
        sequences=tuple(sequences),
        events=events,
        next_events=targets,
        next_weights=weights,
        labels=np.array([labels.index(s.label) if s.label else 0 for s in sequences], np.int32),
    )

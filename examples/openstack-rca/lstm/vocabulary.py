"""Event templates as integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

PAD, UNKNOWN = "<PAD>", "<UNK>"
#: Templates seen less often in training become <UNK>, so that <UNK> has been trained when
#: serving meets an event that training never saw.
MIN_COUNT = 2

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """The templates a model knows; a template's position is its number."""

    templates: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a list that cannot have been written by ``build``."""
        if self.templates[:2] != (PAD, UNKNOWN):
            raise ValueError(f"read vocabulary: must start with {PAD}, {UNKNOWN}")
        if len(set(self.templates)) != len(self.templates):
            raise ValueError("read vocabulary: a template occurs twice")

    @classmethod
    def build(cls, sequences: Iterable[Sequence[str]], min_count: int = MIN_COUNT) -> Vocabulary:
        """Return the vocabulary of the training sequences, in alphabetical order."""
        counts = Counter(event for events in sequences for event in events)
        known = sorted(event for event, count in counts.items() if count >= min_count)
        return cls((PAD, UNKNOWN, *known))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {template: number for number, template in enumerate(self.templates)}

    def __len__(self) -> int:
        """Return the number of templates, padding and unknown included."""
        return len(self.templates)

    def numbers(self, events: Sequence[str]) -> list[int]:
        """Return the events' numbers."""
        unknown = self._numbers[UNKNOWN]
        return [self._numbers.get(event, unknown) for event in events]

    def encode(self, sequences: Sequence[Sequence[str]], length: int) -> IntArray:
        """Return an array (sequences, length), padded on the left; of longer ones the end counts.

        On the left, because then the last step always is the last event, and the padding is the
        network's "before the first event": no mask is needed.
        """
        encoded = np.zeros((len(sequences), length), dtype=np.int32)
        for row, events in enumerate(sequences):
            numbers = self.numbers(events[-length:])
            if numbers:
                encoded[row, length - len(numbers) :] = numbers
        return encoded

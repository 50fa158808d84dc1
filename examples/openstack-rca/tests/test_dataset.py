"""Vocabulary, splitting, encoding, leakage."""

from __future__ import annotations

import numpy as np
import pytest

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE, build, duplicates, fingerprint, split
from lstm.vocabulary import PAD, UNKNOWN, Vocabulary
from tests.conftest import sequence
from utils.log_files import DataError
from utils.sequences import EventSequence


def labelled(count: int = 20) -> list[EventSequence]:
    """Return ``count`` sequences of each of two classes."""
    return [
        sequence(f"{label}-{number}", ["a", "b", label], label)
        for label in ("fault", "normal")
        for number in range(count)
    ]


def test_a_vocabulary_knows_frequent_events_in_alphabetical_order() -> None:
    vocabulary = Vocabulary.build([["b", "a"], ["a", "b", "rare"]])
    assert vocabulary.templates == (PAD, UNKNOWN, "a", "b")
    assert len(vocabulary) == 4
    assert vocabulary.numbers(["b", "rare", "new", "a"]) == [3, 1, 1, 2]


def test_encoding_pads_on_the_left_and_keeps_the_end() -> None:
    vocabulary = Vocabulary((PAD, UNKNOWN, "a", "b"))
    encoded = vocabulary.encode([["a"], ["a", "b", "b", "a"], []], 3)
    assert encoded.tolist() == [[0, 0, 2], [3, 3, 2], [0, 0, 0]]
    assert encoded.dtype == np.int32


@pytest.mark.parametrize("templates", [("a", "b"), (UNKNOWN, PAD), (PAD, UNKNOWN, "a", "a"), ()])
def test_an_impossible_vocabulary_is_refused(templates: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="read vocabulary"):
        Vocabulary(templates)


def test_parts_share_no_instance_and_have_the_same_mix() -> None:
    parts = split(labelled(), 1)
    keys = [{s.key for s in part} for part in parts]
    assert [len(part) for part in parts] == [28, 6, 6]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    for part in parts:
        assert sum(s.label == "fault" for s in part) * 2 == len(part)


def test_the_seed_alone_decides_the_split() -> None:
    assert split(labelled(), 1) == split(list(reversed(labelled())), 1)
    assert split(labelled(), 1) != split(labelled(), 2)


def test_sequences_of_one_instance_stay_together() -> None:
    pieces = [sequence(f"vm-{n // 3}", ["a", "b"]) for n in range(30)]
    parts = split(pieces, 1)
    owners = [{s.key for s in part} for part in parts]
    assert sum(len(owner) for owner in owners) == 10


def test_a_class_too_small_for_three_parts_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="rare has 2"):
        split([*labelled(), sequence("x", ["a"], "rare"), sequence("y", ["a"], "rare")], 1)


def test_few_background_windows_go_to_training() -> None:
    window = EventSequence("req-1/0", ("a", "b"), (1, 2), None, of_instance=False)
    instances = [sequence(f"vm-{n}", ["a", "b"]) for n in range(10)]
    parts = split([window, *instances], 1)
    assert window in parts[0]


def test_with_labels_the_task_is_the_root_cause() -> None:
    dataset = build(labelled(), 10, 1)
    assert dataset.task == ROOT_CAUSE
    assert dataset.labels == ("fault", "normal")
    assert dataset.max_length == 4
    assert dataset.train.events.shape == (28, 4)
    for part in (dataset.train, dataset.validation, dataset.test):
        wanted = [dataset.labels.index(s.label or "") for s in part.sequences]
        assert part.labels.tolist() == wanted


def test_the_target_of_each_step_is_the_next_event_of_normal_sequences() -> None:
    dataset = build(labelled(), 10, 1)
    part = dataset.train
    for row, one in enumerate(part.sequences):
        numbers = dataset.vocabulary.numbers(one.events)
        assert part.events[row].tolist() == [0, *numbers]
        assert part.next_events[row].tolist() == [*numbers, 0]
        expected = [1.0, 1.0, 1.0, 0.0] if one.label == "normal" else [0.0] * 4
        assert part.next_weights[row].tolist() == expected


def test_the_vocabulary_comes_from_training_alone() -> None:
    data = labelled()
    test_keys = {s.key for s in split(data, 1)[2]}
    data = [
        sequence(s.key, ["seen in test only", *s.events], s.label) if s.key in test_keys else s
        for s in data
    ]
    dataset = build(data, 10, 1)
    assert "seen in test only" not in dataset.vocabulary.templates
    assert (dataset.test.events == 1).any()


def test_without_labels_the_task_is_the_next_event() -> None:
    dataset = build([sequence(f"vm-{n}", ["a", "b"]) for n in range(10)], 10, 1)
    assert dataset.task == NEXT_EVENT
    assert dataset.labels == ()
    assert dataset.train.next_weights.sum() == 2 * len(dataset.train.sequences)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "0 of 0"),
        ([*labelled(), sequence("x", ["a", "b"])], "40 of 41 sequences have labels"),
        (labelled()[:20], "all instances are fault"),
    ],
)
def test_unusable_data_is_refused(data: list[EventSequence], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(data, 10, 1)


def test_duplicates_count_sequences_not_instances() -> None:
    dataset = build(labelled(), 10, 1)
    assert duplicates(dataset.train, dataset.test) == 6
    other = build([sequence(f"{n}", [str(n), "x"], "ab"[n % 2]) for n in range(20)], 10, 1)
    assert duplicates(other.train, other.test) == 0


def test_the_fingerprint_depends_on_everything() -> None:
    base = [sequence("k", ["a", "b"], "l")]
    changed = [
        [sequence("x", ["a", "b"], "l")],
        [sequence("k", ["ab"], "l")],
        [sequence("k", ["a", "b"], "m")],
        base * 2,
    ]
    assert fingerprint(base).startswith("sha256:")
    assert fingerprint(base) == fingerprint([sequence("k", ["a", "b"], "l")])
    assert len({fingerprint(base), *map(fingerprint, changed)}) == 5

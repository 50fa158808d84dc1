"""The generated logs: reproducible, parsable, hard enough."""

from __future__ import annotations

import csv
import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from utils import log_generator
from utils.fault_scripts import NORMAL, SCRIPTS
from utils.log_files import read_labels, read_sequences
from utils.log_generator import generate
from utils.log_parser import parse_lines
from utils.sequences import group_by_instance


def test_equal_seeds_give_equal_logs() -> None:
    assert generate(30, 1) == generate(30, 1)
    assert generate(30, 1).lines != generate(30, 2).lines


def test_all_classes_occur_and_normal_is_the_largest() -> None:
    counts = Counter(generate(400, 3).labels.values())
    assert set(counts) == set(SCRIPTS)
    assert counts.most_common(1)[0][0] == NORMAL
    assert sum(share for _, share in SCRIPTS.values()) == pytest.approx(1.0)


def test_every_line_parses_and_belongs_to_a_generated_instance() -> None:
    logs = generate(60, 5)
    records = list(parse_lines(logs.lines))
    assert len(records) == len(logs.lines)
    assert [record.time for record in records] == sorted(record.time for record in records)
    assert {s.key for s in group_by_instance(records)} <= set(logs.labels)


def test_templates_do_not_grow_with_the_data() -> None:
    few, many = (
        {record.template for record in parse_lines(generate(size, 3).lines)} for size in (300, 600)
    )
    assert len(many) <= len(few) + 2
    assert not [template for template in many if any(c.isdigit() for c in template)]


def test_instances_overlap_in_time() -> None:
    owners = [
        record.instances[0] for record in parse_lines(generate(40, 5).lines) if record.instances
    ]
    assert sum(a != b for a, b in itertools.pairwise(owners)) > 3 * len(set(owners))


def test_no_line_gives_the_class_away_for_all_instances() -> None:
    logs = generate(350, 3)
    seen: dict[str, set[str]] = defaultdict(set)
    named: dict[str, set[str]] = defaultdict(set)
    for sequence in group_by_instance(parse_lines(logs.lines)):
        for event in sequence.events:
            seen[event].add(logs.labels[sequence.key])
    decisive = {event: labels for event, labels in seen.items() if len(labels) == 1}
    for sequence in group_by_instance(parse_lines(logs.lines)):
        named[logs.labels[sequence.key]].add(str(any(e in decisive for e in sequence.events)))
    unnamed = [label for label, found in named.items() if label != NORMAL and "False" in found]
    assert len(unnamed) >= 4


def test_a_data_set_reads_back_with_its_labels(tmp_path: Path) -> None:
    assert log_generator.main(["--out", str(tmp_path / "d"), "--instances", "60"]) == 0
    labels = read_labels(tmp_path / "d")
    assert labels == generate(60, 7).labels
    for sequence in read_sequences(tmp_path / "d"):
        assert sequence.label == labels[sequence.key]
    with (tmp_path / "d" / "labels.csv").open() as stream:
        assert len(list(csv.reader(stream))) == 61


def test_nothing_to_generate_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log_generator.main(["--out", str(tmp_path), "--instances", "0"]) == 1
    assert capsys.readouterr().err == "error: generate logs: 0 instances\n"

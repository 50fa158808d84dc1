"""From records to sequences, and reading them from directories."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from utils.log_files import DataError, read_labels, read_records, read_sequences
from utils.log_parser import LogRecord, parse_lines
from utils.sequences import group_by_instance, group_windows, instance_of_request

ONE = "b9000564-fe1a-409b-b8cc-1e88b294cd1d"
TWO = "96abccce-8d1f-4e07-b6d1-4b2ab87e23b4"
USER = "113d3a99c3da401fbd62cc2caa5b96d2 54fadb412c4e40cdbaed9335e4c35a9e - - -"


def line(second: float, request: str, message: str, who: str = USER) -> str:
    """Return a line ``second`` seconds after eight."""
    time = f"2026-01-05 08:{int(second) // 60:02d}:{second % 60:06.3f}"
    return f"{time} 2931 INFO nova.compute.manager [req-{request} {who}] {message}"


def records(*lines: str) -> list[LogRecord]:
    """Return the records; every line must be one."""
    found = list(parse_lines(lines))
    assert len(found) == len(lines)
    return found


def test_interleaved_instances_are_told_apart() -> None:
    found = group_by_instance(
        records(
            line(1, "aaaaaaaa", f"[instance: {ONE}] start"),
            line(2, "bbbbbbbb", f"[instance: {TWO}] start"),
            line(3, "aaaaaaaa", f"[instance: {ONE}] stop"),
        )
    )
    assert [(s.key, s.events, s.lines) for s in found] == [
        (ONE, ("start", "stop"), (1, 3)),
        (TWO, ("start",), (2,)),
    ]
    assert all(s.of_instance and s.label is None for s in found)


def test_lines_are_ordered_by_time_not_by_position() -> None:
    (found,) = group_by_instance(
        records(
            line(2, "aaaaaaaa", f"[instance: {ONE}] second"),
            line(1, "aaaaaaaa", f"[instance: {ONE}] first"),
        )
    )
    assert found.events == ("first", "second")
    assert found.lines == (2, 1)


def test_a_users_request_ties_its_lines_to_its_only_instance() -> None:
    (found,) = group_by_instance(
        records(
            line(1, "aaaaaaaa", "Starting with many hosts"),
            line(2, "aaaaaaaa", f"[instance: {ONE}] claim"),
        )
    )
    assert found.events == ("Starting with many hosts", "claim")


@pytest.mark.parametrize(
    ("who", "second_instance"), [(USER, TWO), ("- - - - -", ONE)], ids=["two instances", "no user"]
)
def test_other_requests_tie_nothing(who: str, second_instance: str) -> None:
    given = records(
        line(1, "aaaaaaaa", "periodic task", who),
        line(2, "aaaaaaaa", f"[instance: {ONE}] one", who),
        line(3, "aaaaaaaa", f"[instance: {second_instance}] two", who),
    )
    assert instance_of_request(given) == {}
    assert all("periodic task" not in s.events for s in group_by_instance(given))


def test_windows_hold_the_lines_of_no_instance() -> None:
    task = "- - - - -"
    found = group_windows(
        records(
            line(0, "cccccccc", "audit", task),
            line(1, "cccccccc", "total", task),
            line(2, "dddddddd", "alone", task),
            line(3, "cccccccc", f"[instance: {ONE}] sync", task),
            line(90, "cccccccc", "audit", task),
            line(91, "cccccccc", "record", task),
        )
    )
    assert [(s.key, s.events) for s in found] == [
        ("req-cccccccc/0", ("audit", "total")),
        ("req-cccccccc/1", ("audit", "record")),
    ]
    assert not any(s.of_instance for s in found)


def test_a_window_has_a_longest_time() -> None:
    given = records(*(line(second, "cccccccc", "tick", "- - - - -") for second in range(6)))
    found = group_windows(given, timedelta(seconds=2))
    assert [len(s.events) for s in found] == [3, 3]


def test_a_directory_is_read_with_its_labels(tmp_path: Path) -> None:
    (tmp_path / "b.log").write_text(line(5, "aaaaaaaa", f"[instance: {ONE}] stop") + "\n")
    (tmp_path / "a.log.1").write_text(line(1, "aaaaaaaa", f"[instance: {ONE}] start") + "\n")
    (tmp_path / "a.log.csv").write_text("not,a,log\n")
    (tmp_path / "labels.csv").write_text(f"instance,label\n{ONE.upper()},normal\n{TWO},other\n")
    (found,) = read_sequences(tmp_path)
    assert (found.key, found.label, found.events) == (ONE, "normal", ("start", "stop"))


def test_without_labels_background_windows_are_sequences_too(tmp_path: Path) -> None:
    lines = [
        line(1, "aaaaaaaa", f"[instance: {ONE}] start"),
        line(2, "aaaaaaaa", f"[instance: {ONE}] stop"),
        line(3, "cccccccc", "audit", "- - - - -"),
        line(4, "cccccccc", "total", "- - - - -"),
    ]
    (tmp_path / "nova.log").write_text("\n".join(lines))
    assert [s.of_instance for s in read_sequences(tmp_path)] == [True, False]


def test_undecodable_bytes_do_not_stop_reading(tmp_path: Path) -> None:
    file = tmp_path / "nova.log"
    file.write_bytes(line(1, "aaaaaaaa", "good").encode() + b"\n\xff\xfe\x00broken\n")
    assert [record.template for record in read_records(file)] == ["good"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no \\*.log file"),
        ({"nova.log": "nothing here\n"}, "no line of nova.log is an OpenStack log line"),
        ({"nova.log": line(1, "aaaaaaaa", "alone")}, "two lines or more"),
    ],
)
def test_an_unusable_directory_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_sequences(tmp_path)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or directory"):
        read_records(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,class\n", "needs the columns"),
        ("", "needs the columns"),
        (f"instance,label\n{ONE},\n", "line 2 lacks a value"),
        (f"instance,label\n{ONE},a\n{ONE},b\n", "a second label"),
    ],
)
def test_an_unusable_label_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path)


def test_labels_of_other_logs_are_refused(tmp_path: Path) -> None:
    lines = [line(n, "aaaaaaaa", f"[instance: {ONE}] event") for n in (1, 2)]
    (tmp_path / "nova.log").write_text("\n".join(lines))
    (tmp_path / "labels.csv").write_text(f"instance,label\n{TWO},normal\n")
    with pytest.raises(DataError, match="none of its 1 instances"):
        read_sequences(tmp_path)

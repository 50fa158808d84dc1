"""Reading a directory of logs, with the root-cause labels where there are any."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from utils.log_parser import LogRecord, parse_lines
from utils.sequences import MIN_EVENTS, EventSequence, group_by_instance, group_windows

#: Optional file beside the logs with the columns ``instance`` and ``label``.
LABELS_FILE = "labels.csv"


class DataError(ValueError):
    """Logs that cannot be used; the message names the file."""


def read_records(path: Path) -> list[LogRecord]:
    """Return the log records of a file, or of all ``*.log*`` files of a directory by name.

    Undecodable bytes are replaced, not fatal: hosts die in the middle of a line.
    Raises DataError when there is no such file or no line in it is a log line.
    """
    files = _log_files(path)

    def lines() -> Iterator[str]:
        for file in files:
            with file.open(encoding="utf-8", errors="replace") as stream:
                yield from stream

    records = list(parse_lines(lines()))
    if not records:
        names = ", ".join(file.name for file in files)
        raise DataError(f"read logs {path}: no line of {names} is an OpenStack log line")
    return records


def read_labels(path: Path) -> dict[str, str]:
    """Return instance -> label of the label file of a directory, empty when it has none."""
    file = path / LABELS_FILE
    if not file.is_file():
        return {}
    labels: dict[str, str] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"instance", "label"} <= set(reader.fieldnames or ()):
            raise DataError(f"read {file}: needs the columns 'instance' and 'label'")
        for row in reader:
            instance, label = (row["instance"] or "").strip().lower(), (row["label"] or "").strip()
            if not instance or not label:
                raise DataError(f"read {file}: line {reader.line_num} lacks a value")
            if labels.setdefault(instance, label) != label:
                raise DataError(
                    f"read {file}: line {reader.line_num} gives {instance} a second label"
                )
    return labels


def read_sequences(path: Path) -> list[EventSequence]:
    """Return the training sequences of a directory.

    With labels: the labelled instances. Without: all instances and the windows of background
    tasks. Raises DataError when nothing is left.
    """
    records = read_records(path)
    labels = read_labels(path) if path.is_dir() else {}
    sequences = [s for s in group_by_instance(records) if len(s.events) >= MIN_EVENTS]
    if labels:
        found = {s.key for s in sequences}
        sequences = [replace(s, label=labels[s.key]) for s in sequences if s.key in labels]
        if not sequences:
            raise DataError(
                f"read {path / LABELS_FILE}: none of its {len(labels)} instances is "
                f"among the {len(found)} of the logs"
            )
        return sequences
    sequences += group_windows(records)
    if not sequences:
        raise DataError(f"read logs {path}: no instance and no request with two lines or more")
    return sequences


def _log_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"read logs {path}: no such file or directory")
    files = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and ".log" in file.name and file.suffix not in (".csv", ".gz", ".json")
    )
    if not files:
        raise DataError(f"read logs {path}: no *.log file in it")
    return files

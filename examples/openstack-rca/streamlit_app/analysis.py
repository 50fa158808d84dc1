"""What the page shows, without the page: testable as plain functions."""

from __future__ import annotations

from dataclasses import dataclass

from lstm.inference import Diagnosis, RootCauseModel
from utils.log_parser import LogRecord, parse_lines
from utils.sequences import EventSequence, group_by_instance

#: Larger pastes are refused: the page computes while the user waits.
MAX_CHARACTERS = 5_000_000


@dataclass(frozen=True)
class InstanceAnalysis:
    """One instance of the pasted log."""

    sequence: EventSequence
    records: tuple[LogRecord, ...]
    diagnosis: Diagnosis

    @property
    def title(self) -> str:
        """One line: instance, class, how sure, how many surprises."""
        label = self.diagnosis.label.replace("_", " ")
        sure = self.diagnosis.probabilities.get(self.diagnosis.label)
        share = "" if sure is None else f" ({sure:.0%})"
        return f"{self.sequence.key}: {label}{share}, {len(self.diagnosis.anomalies)} unexpected"

    def events(self) -> list[dict[str, str | int]]:
        """Return the table of the instance's events, one row a line."""
        unexpected = {anomaly.position: anomaly for anomaly in self.diagnosis.anomalies}
        rows: list[dict[str, str | int]] = []
        for position, record in enumerate(self.records):
            anomaly = unexpected.get(position)
            rows.append(
                {
                    "line": record.number,
                    "time": f"{record.time:%H:%M:%S}",
                    "level": record.level,
                    "unexpected": f"rank {anomaly.rank}" if anomaly else "",
                    "event": record.template,
                    "expected instead": anomaly.expected if anomaly else "",
                    "component": record.component,
                }
            )
        return rows


def analyze_log(text: str, model: RootCauseModel) -> list[InstanceAnalysis]:
    """Return the instances of a log, faulty ones first.

    Raises ValueError with a sentence for the user when there is nothing to analyse.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"The log is longer than {MAX_CHARACTERS:,} characters. Paste a part.")
    records = {record.number: record for record in parse_lines(text.splitlines())}
    if not records:
        raise ValueError("No line has the form of an OpenStack log: date time pid LEVEL component.")
    sequences = group_by_instance(records.values())
    if not sequences:
        raise ValueError(f"None of the {len(records)} log lines names an instance.")
    diagnoses = model.diagnose([sequence.events for sequence in sequences])
    found = [
        InstanceAnalysis(sequence, tuple(records[line] for line in sequence.lines), diagnosis)
        for sequence, diagnosis in zip(sequences, diagnoses, strict=True)
    ]
    return sorted(found, key=lambda item: item.diagnosis.label == "normal")

"""Seeded generator of Nova logs with known faults.

The logs are meant to be hard in the ways that real ones are: instances overlap, lines are lost,
doubled and delayed, the line that names the cause may be missing, passing trouble leaves the
same warnings as a fault, and periodic tasks and API polling run in between.

``python -m utils.log_generator --out DIR`` writes a data set for ``main.py --data DIR``.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from utils.fault_scripts import API, SCRIPTS, Step
from utils.log_files import LABELS_FILE

_START = datetime(2026, 1, 5, 8, 0, 0)
#: Mean pause between two new instances, in seconds: several are in flight at any time.
_ARRIVAL = 4.0
_LOST = 0.03
_DOUBLED = 0.015
_DELAYED = 0.04
#: How often an instance loses every line that names its fault.
_UNNAMED = 0.08
_LOG_FILES = {
    "nova.osapi_compute": "nova-api.log",
    "nova.api": "nova-api.log",
    "nova.scheduler": "nova-scheduler.log",
    "nova.conductor": "nova-conductor.log",
}


@dataclass(frozen=True)
class GeneratedLogs:
    """Lines in the order of their time stamps, and the class of every instance in them."""

    lines: tuple[str, ...]
    labels: dict[str, str]


def generate(instances: int, seed: int) -> GeneratedLogs:
    """Return logs of ``instances`` virtual machines; equal arguments give equal lines."""
    if instances < 1:
        raise ValueError(f"generate logs: {instances} instances")
    rng = random.Random(seed)
    stamped: list[tuple[datetime, int, str]] = []
    labels: dict[str, str] = {}
    start = _START
    for _ in range(instances):
        start += timedelta(seconds=rng.expovariate(1 / _ARRIVAL))
        writer = _InstanceWriter(rng, start)
        label = rng.choices(list(SCRIPTS), [share for _, share in SCRIPTS.values()])[0]
        labels[writer.instance] = label
        for time, line in writer.write(SCRIPTS[label][0](rng)):
            stamped.append((time, len(stamped), line))
    for time, line in _background(rng, _START, start):
        stamped.append((time, len(stamped), line))
    stamped.sort()
    return GeneratedLogs(tuple(line for _, _, line in stamped), labels)


class _InstanceWriter:
    """Turns the steps of one instance into lines."""

    def __init__(self, rng: random.Random, start: datetime) -> None:
        self._rng = rng
        self._start = start
        self.instance = _uuid(rng)
        self._tenant = f"{rng.getrandbits(128):032x}"
        self._user = f"{rng.getrandbits(128):032x}"
        self._pids = {file: rng.randint(2000, 32000) for file in set(_LOG_FILES.values())}

    def write(self, steps: Sequence[Step]) -> list[tuple[datetime, str]]:
        rng, time = self._rng, self._start
        request = _uuid(rng)
        unnamed = rng.random() < _UNNAMED
        slowness = rng.lognormvariate(0.0, 0.5)
        written: list[tuple[datetime, str]] = []
        for step in steps:
            time += timedelta(seconds=rng.expovariate(1 / (step.pause * slowness)))
            if step.message.startswith('{ip} "DELETE'):
                request = _uuid(rng)
            if (unnamed and step.decisive) or rng.random() < _LOST:
                continue
            line_time = time
            if rng.random() < _DELAYED:
                line_time += timedelta(seconds=rng.uniform(0.0, 1.5))
            line = self._line(step, line_time, request)
            written.append((line_time, line))
            if rng.random() < _DOUBLED:
                written.append((line_time, line))
        return written

    def _line(self, step: Step, time: datetime, request: str) -> str:
        message = _fill(self._rng, step.message, self.instance, self._tenant)
        if step.prefixed:
            message = f"[instance: {self.instance}] {message}"
        context = f"[req-{request} {self._user} {self._tenant} - - -]"
        pid = self._pids.get(_file_of(step.component), 2931)
        return _format(step, time, pid, context, message)


def _background(rng: random.Random, start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return the lines of periodic tasks and of polling: they belong to no instance."""
    task = f"[req-{_uuid(rng)} - - - - -]"
    polls = [
        Step(API, '{ip} "GET /v2/{tenant}/servers/detail HTTP/1.1" status: 200 len: {n} time: {s}'),
        Step(
            "nova.metadata.wsgi.server",
            '{ip} "GET /latest/meta-data/ HTTP/1.1" status: 200 len: {n} time: {s}',
        ),
    ]
    audit = [
        Step(
            "nova.compute.resource_tracker",
            "Auditing locally available compute resources for node compute-{k}.local",
        ),
        Step(
            "nova.compute.resource_tracker", "Total usable vcpus: {k}, total allocated vcpus: {k}"
        ),
        Step(
            "nova.compute.resource_tracker", "Compute_service record updated for compute-{k}.local"
        ),
    ]
    lines: list[tuple[datetime, str]] = []
    time = start
    while time < end:
        time += timedelta(seconds=rng.expovariate(1 / 6.0))
        if rng.random() < 0.8:
            context = (
                f"[req-{_uuid(rng)} {rng.getrandbits(128):032x} {rng.getrandbits(128):032x} - - -]"
            )
            chosen = [rng.choice(polls)]
        else:
            context, chosen = task, audit
        for step in chosen:
            tenant = f"{rng.getrandbits(128):032x}"
            message = _fill(rng, step.message, "", tenant)
            lines.append((time, _format(step, time, 2931, context, message)))
            time += timedelta(milliseconds=rng.randint(1, 40))
    return lines


def _fill(rng: random.Random, message: str, instance: str, tenant: str) -> str:
    values: dict[str, Callable[[], str]] = {
        "{id}": lambda: instance,
        "{tenant}": lambda: tenant,
        "{uuid}": lambda: _uuid(rng),
        "{hex}": lambda: f"{rng.getrandbits(64):016x}",
        "{ip}": lambda: f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        "{n}": lambda: str(rng.randint(100, 65536)),
        "{k}": lambda: str(rng.randint(1, 64)),
        "{s}": lambda: f"{rng.uniform(0.01, 30):.7f}",
    }
    for placeholder, value in values.items():
        while placeholder in message:
            message = message.replace(placeholder, value(), 1)
    return message


def _file_of(component: str) -> str:
    prefix = ".".join(component.split(".")[:2])
    return _LOG_FILES.get(prefix, "nova-compute.log")


def _format(step: Step, time: datetime, pid: int, context: str, message: str) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03d}"
    origin = f"{step.level} {step.component}"
    return f"{_file_of(step.component)} {stamp} {pid} {origin} {context} {message}"


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def write_data_set(directory: Path, instances: int, seed: int) -> None:
    """Write ``nova.log`` and the label file to a directory, which is made when missing."""
    logs = generate(instances, seed)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "nova.log").write_text("\n".join(logs.lines) + "\n", encoding="utf-8")
    with (directory / LABELS_FILE).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["instance", "label"])
        rows.writerows(logs.labels.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a data set; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="directory to write to")
    parser.add_argument("--instances", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    try:
        write_data_set(options.out, options.instances, options.seed)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""From log records to one sequence of events for each virtual machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from utils.log_parser import LogRecord

#: A pause that ends a sequence of a background task: such tasks keep one request id for days.
WINDOW = timedelta(seconds=60)
#: Shorter sequences teach no order.
MIN_EVENTS = 2


@dataclass(frozen=True)
class EventSequence:
    """What happened to one instance, or in one window of a background task."""

    #: Instance id, or "request/n" for a window.
    key: str
    events: tuple[str, ...]
    #: The line of each event.
    lines: tuple[int, ...]
    #: Root-cause class where it is known.
    label: str | None = None
    of_instance: bool = True


def instance_of_request(records: Iterable[LogRecord]) -> dict[str, str]:
    """Map each user request that concerns exactly one instance to that instance.

    Scheduler and conductor know the request before there is an instance on a host; a periodic
    task's request id spans all instances of its host, so it identifies none.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.request and record.of_user:
            named[record.request].update(record.instances)
    return {request: next(iter(ids)) for request, ids in named.items() if len(ids) == 1}


def group_by_instance(records: Iterable[LogRecord]) -> list[EventSequence]:
    """Return one sequence for each instance, ordered by time, in order of first appearance.

    A line belongs to every instance that it names, else to its request's.
    """
    ordered = sorted(records, key=lambda record: (record.time, record.number))
    owner = instance_of_request(ordered)
    found: dict[str, list[LogRecord]] = {}
    for record in ordered:
        keys = record.instances or ((owner[record.request],) if record.request in owner else ())
        for key in keys:
            found.setdefault(key, []).append(record)
    return [_sequence(key, members, True) for key, members in found.items()]


def group_windows(records: Iterable[LogRecord], window: timedelta = WINDOW) -> list[EventSequence]:
    """Return the sequences of the lines that belong to no instance.

    They are grouped by request id and cut at pauses and after each window's length. Lines alone
    in their window (an API call that lists servers) are left out: they have no order to learn.
    """
    ordered = sorted(records, key=lambda record: (record.time, record.number))
    owner = instance_of_request(ordered)
    chains: dict[str, list[list[LogRecord]]] = {}
    for record in ordered:
        if record.instances or not record.request or record.request in owner:
            continue
        chain = chains.setdefault(record.request, [])
        if not chain or record.time - chain[-1][0].time > window:
            chain.append([])
        chain[-1].append(record)
    return [
        _sequence(f"{request}/{index}", members, False)
        for request, chain in chains.items()
        for index, members in enumerate(chain)
        if len(members) >= MIN_EVENTS
    ]


def _sequence(key: str, members: list[LogRecord], of_instance: bool) -> EventSequence:
    return EventSequence(
        key=key,
        events=tuple(record.template for record in members),
        lines=tuple(record.number for record in members),
        of_instance=of_instance,
    )

"""From a Nova log line to an event template.

A template is the message with everything that varies between two occurrences of the same
event replaced by ``<*>``: identifiers, addresses, paths, numbers. It is the "log key" of
DeepLog (Du et al., CCS 2017), found here by masking instead of by clustering: masking needs
no training pass, and the same line gives the same template in training and in serving.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

#: Longer messages are cut: a template is a name, and a stray binary dump must not become one.
MAX_MESSAGE = 2000

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

_LINE = re.compile(
    r"^(?:\S+\s+)??"  # file name, as collectors put it in front
    r"(?P<time>\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,6})?)\s+"
    r"(?P<pid>\d+)\s+"
    r"(?P<level>TRACE|DEBUG|INFO|AUDIT|WARNING|WARN|ERROR|CRITICAL)\s+"
    r"(?P<component>[\w.]+)\s+"
    r"(?:\[(?P<context>-|(?:req-)?[^\]]*)\]\s*)?"
    r"(?P<message>.*)$"
)
_INSTANCE_PREFIX = re.compile(rf"^\[instance: (?P<id>{_UUID})\]\s*")
_INSTANCE = re.compile(rf"\[instance: ({_UUID})\]|\b[Ii]nstance:? ({_UUID})")
_REQUEST = re.compile(r"^req-[0-9a-fA-F-]{8,36}$")

# Order matters: the more specific first, so that no rule splits what another one names.
_MASKS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'(?<=")(GET|POST|PUT|PATCH|DELETE|HEAD) \S+ HTTP/[\d.]+(?=")', r"\1 <*>"),
        (r"\b[a-z][a-z0-9+.-]*://\S+", "<*>"),
        (_UUID, "<*>"),
        (r"\breq-<\*>", "<*>"),
        (r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b", "<*>"),
        (r"\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d+)?(?:,\d{1,3}(?:\.\d{1,3}){3})*", "<*>"),
        (r"(?<![\w<>*])/(?:[\w.@%+=-]+/)*[\w.@%+=:-]+", "<*>"),
        (r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d+)?", "<*>"),
        (r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{12,}\b", "<*>"),
        (r"(?<=[Hh]ost )'?[\w.-]*\d[\w.-]*'?", "<*>"),
        (r"\b[\w-]+(?:\.[\w-]+){2,}(?=[\s:,')]|$)(?<!\.)", "<*>"),
        (r"\b0x[0-9a-fA-F]+\b", "<*>"),
        (r"(?<![\w<])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", "<*>"),
        (r"<\*>(?:[:.,/-]<\*>)+", "<*>"),
    )
)
# Text that looks like a dotted name but is Python's, not a host's: it tells faults apart.
_EXCEPTION = re.compile(r"\b(?:[a-z_]\w*\.)+([A-Z]\w+)\b")


@dataclass(frozen=True)
class LogRecord:
    """One parsed line."""

    #: Position in the input, counted from 1.
    number: int
    time: datetime
    level: str
    component: str
    #: Request id, "" when the line has none.
    request: str
    #: Whether a user's request caused the line; periodic tasks have a request id but no user.
    of_user: bool
    #: Instances the line names, in order of appearance.
    instances: tuple[str, ...]
    template: str
    message: str


def template_of(message: str) -> str:
    """Return the event template of a message, "" for an empty one.

    The instance prefix is dropped: which instance it was is not part of what happened.
    """
    text = _INSTANCE_PREFIX.sub("", message[:MAX_MESSAGE].strip())
    text = _EXCEPTION.sub(r"\1", text)
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def parse_line(line: str, number: int = 1) -> LogRecord | None:
    """Return the record of a line, None when it is not a log line (a traceback's continuation)."""
    match = _LINE.match(line.rstrip("\r\n"))
    if match is None:
        return None
    try:
        time = datetime.fromisoformat(match["time"].replace(",", "."))
    except ValueError:
        return None  # 2017-13-45: has the shape of a date and is none
    message = match["message"].strip()
    template = template_of(message)
    if not template:
        return None
    context = (match["context"] or "").split()
    has_request = bool(context and _REQUEST.match(context[0]))
    if match["context"] is not None and context and not has_request and context[0] != "-":
        # The bracket was part of the message ("[instance: ...] text" without a context).
        message = f"[{match['context']}] {message}"
    named = [first or second for first, second in _INSTANCE.findall(message)]
    return LogRecord(
        number=number,
        time=time,
        level=match["level"],
        component=match["component"],
        request=context[0] if has_request else "",
        of_user=has_request and any(part != "-" for part in context[1:]),
        instances=tuple(dict.fromkeys(name.lower() for name in named)),
        template=template,
        message=message,
    )


def parse_lines(lines: Iterable[str]) -> Iterator[LogRecord]:
    """Yield the records of the lines that are log lines, in order."""
    for number, line in enumerate(lines, start=1):
        record = parse_line(line, number)
        if record is not None:
            yield record

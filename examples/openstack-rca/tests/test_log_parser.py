"""From lines to event templates."""

from __future__ import annotations

from datetime import datetime

import pytest

from utils.log_parser import MAX_MESSAGE, parse_line, parse_lines, template_of

INSTANCE = "b9000564-fe1a-409b-b8cc-1e88b294cd1d"
OTHER = "96abccce-8d1f-4e07-b6d1-4b2ab87e23b4"
REQUEST = "req-3ea4052c-895d-4b64-9e2d-04d64c4d94ab"
USER = f"[{REQUEST} 113d3a99c3da401fbd62cc2caa5b96d2 54fadb412c4e40cdbaed9335e4c35a9e - - -]"


def line(message: str, context: str = USER, prefix: str = "nova-compute.log ") -> str:
    """Return a line of Nova's format."""
    return f"{prefix}2026-01-05 08:00:04.500 2931 INFO nova.compute.manager {context} {message}"


@pytest.mark.parametrize(
    ("message", "template"),
    [
        (f"[instance: {INSTANCE}] VM Started (Lifecycle Event)", "VM Started (Lifecycle Event)"),
        (
            f"[instance: {INSTANCE}] Attempting claim: memory 2048 MB, disk 20 GB, vcpus 1 CPU",
            "Attempting claim: memory <*> MB, disk <*> GB, vcpus <*> CPU",
        ),
        (
            '10.11.10.1 "GET /v2/54fadb41/servers/detail HTTP/1.1" status: 200 len: 1893 time: 0.2',
            '<*> "GET <*>" status: <*> len: <*> time: <*>',
        ),
        (
            '10.11.21.143,10.11.10.1 "GET /latest/meta-data/ HTTP/1.1" status: 200 len: 9 time: 1',
            '<*> "GET <*>" status: <*> len: <*> time: <*>',
        ),
        (
            f"Creating event network-vif-plugged:{OTHER} for instance {INSTANCE}",
            "Creating event network-vif-plugged:<*> for instance <*>",
        ),
        (
            "Active base files: /var/lib/nova/instances/_base/a489c868f0c37da93b76227c91bb03908ac0",
            "Active base files: <*>",
        ),
        (
            "Final resource view: name=cp-1.slowvm1.pg0.utah.lab phys_ram=64172MB pci_stats=[]",
            "Final resource view: name=<*> phys_ram=<*>MB pci_stats=[]",
        ),
        (
            "Error contacting glance server 'http://10.0.0.7:9292' for 'data', retrying.",
            "Error contacting glance server '<*> for 'data', retrying.",
        ),
        ("Guest MAC fa:16:3e:aa:bb:0c is gone", "Guest MAC <*> is gone"),
        ("address 0x7fff5a is not mapped", "address <*> is not mapped"),
        ("at 2026-01-05 08:00:04.500 it ended", "at <*> it ended"),
        ("nova.exception.NoValidHost: none", "NoValidHost: none"),
        ("synced   instances\tfrom host 'compute-12'", "synced instances from host <*>"),
        ("", ""),
    ],
)
def test_what_varies_is_masked(message: str, template: str) -> None:
    assert template_of(message) == template


def test_two_occurrences_of_one_event_have_one_template() -> None:
    first = template_of("Took 19.05 seconds to build instance.")
    assert first == template_of("Took 2 seconds to build instance.")
    assert first != template_of("Took 2 seconds to deallocate network for instance.")


def test_a_huge_message_gives_a_short_template() -> None:
    assert len(template_of("x" * 10_000_000)) <= MAX_MESSAGE


@pytest.mark.parametrize("prefix", ["nova-compute.log.1.2017-05-16_13:55:31 ", ""])
def test_a_line_is_parsed_with_and_without_a_file_name(prefix: str) -> None:
    record = parse_line(line(f"[instance: {INSTANCE}] Claim successful", prefix=prefix), 7)
    assert record is not None
    assert record.number == 7
    assert record.time == datetime(2026, 1, 5, 8, 0, 4, 500_000)
    assert record.level == "INFO"
    assert record.component == "nova.compute.manager"
    assert record.request == REQUEST
    assert record.of_user
    assert record.instances == (INSTANCE,)
    assert record.template == "Claim successful"
    assert record.message == f"[instance: {INSTANCE}] Claim successful"


def test_a_periodic_task_is_not_a_users_request() -> None:
    record = parse_line(line("Auditing", f"[{REQUEST} - - - - -]"))
    assert record is not None
    assert record.request == REQUEST
    assert not record.of_user


@pytest.mark.parametrize("context", ["[-]", ""])
def test_a_line_without_a_request_has_none(context: str) -> None:
    record = parse_line(line(f"[instance: {INSTANCE}] Instance destroyed successfully.", context))
    assert record is not None
    assert record.request == ""
    assert record.instances == (INSTANCE,)
    assert record.template == "Instance destroyed successfully."


def test_every_instance_that_a_line_names_counts_once() -> None:
    record = parse_line(line(f"[instance: {INSTANCE}] moved instance {OTHER}, instance {INSTANCE}"))
    assert record is not None
    assert record.instances == (INSTANCE, OTHER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        'Traceback (most recent call last):\n  File "x.py", line 1',
        "2026-01-05 no log",
        "2026-13-45 08:00:04.500 2931 INFO nova.compute.manager [-] impossible date",
        "2026-01-05 08:00:04.500 2931 INFO nova.compute.manager [-]    ",
        "\x00\x01\x02\xff" * 50,
    ],
)
def test_what_is_not_a_log_line_is_none(text: str) -> None:
    assert parse_line(text) is None


def test_lines_keep_their_numbers() -> None:
    records = list(parse_lines([line("one"), "junk", line("two") + "\r\n"]))
    assert [(record.number, record.template) for record in records] == [(1, "one"), (3, "two")]

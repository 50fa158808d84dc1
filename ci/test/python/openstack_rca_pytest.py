"""A pytest plugin that writes down what happens, as it happens.

The reports of pytest and coverage.py appear at the end of a run. When a run does not
reach its end - a test hangs, the process is killed - these events still tell which tests
ended how, and which one was running. When it does, they are a second count.

One JSON object a line, in the file that OPENSTACK_RCA_EVENTS names:

    {"event": "session", "pytest": "9.2.0", "added": ["pytest-cov==7.1.0"]}
    {"event": "collected", "tests": 12}
    {"event": "start", "id": "tests/test_a.py::test_b", "at": 1700000000.0}
    {"event": "result", "id": "...", "when": "call", "outcome": "passed", "seconds": 0.1}
    {"event": "finish", "id": "..."}
    {"event": "end", "status": 0}
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, TextIO

import pytest


def absolute_python_path() -> None:
    """Make PYTHONPATH independent of the directory that a test changes to."""
    path = os.environ.get("PYTHONPATH")
    if path:
        entries = (os.path.abspath(entry) for entry in path.split(os.pathsep) if entry)
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


absolute_python_path()


class Events:
    """Write events of the controlling process; workers of xdist report to it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self.stream = stream

    def write(self, event: str, **fields: Any) -> None:
        """Write one event and make sure that it survives this process."""
        self.stream.write(json.dumps({"event": event, **fields}) + "\n")
        self.stream.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tests are known."""
        self.write("collected", tests=len(session.items))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a test starts."""
        self.write("start", id=nodeid, at=time.time())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test ended. Passed set-up and tear-down say nothing."""
        if report.when == "call" or report.outcome != "passed":
            text = "" if report.outcome == "passed" else str(report.longrepr)[-2000:]
            # pytest leaves what a failed set-up printed out of its JUnit report.
            printed = (report.caplog, report.capstdout, report.capstderr)
            output = "\n".join(printed)[-2000:] if report.outcome == "failed" else ""
            self.write(
                "result",
                id=report.nodeid,
                when=report.when,
                outcome="xfailed"
                if report.outcome == "skipped" and hasattr(report, "wasxfail")
                else report.outcome,
                seconds=report.duration,
                text=text,
                output=output,
            )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that a test ended."""
        self.write("finish", id=nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session reached its end."""
        self.write("end", status=int(exitstatus))


def added() -> list[str]:
    """Name the packages that the pipeline added to the project's own."""
    path = Path(__file__).with_name("openstack_rca_added.json")
    with contextlib.suppress(OSError, ValueError):
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    return []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the file of events."""
    name = os.environ.get("OPENSTACK_RCA_EVENTS")
    if not name or hasattr(config, "workerinput"):
        return
    path = Path(name).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    events = Events(path.open("w", encoding="utf-8", buffering=1))
    config.pluginmanager.register(events, "openstack_rca_events")
    config.add_cleanup(events.stream.close)
    events.write("session", pytest=pytest.__version__, added=added())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the coverage report with paths relative to the project.

    With several sources coverage.py names files relative to each of them, and of two
    files with the same name one is lost.
    """
    target = os.environ.get("OPENSTACK_RCA_COVERAGE")
    plugin = config.pluginmanager.getplugin("_cov")
    if not target or hasattr(config, "workerinput") or plugin is None:
        return
    if not Path(target).exists():
        return
    import coverage

    data = coverage.Coverage(config_file=config.getoption("cov_config"))
    data.load()
    data.set_option("run:source", ["."])
    with contextlib.suppress(coverage.exceptions.NoDataError):
        data.xml_report(outfile=target)

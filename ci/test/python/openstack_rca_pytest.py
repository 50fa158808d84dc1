"""A pytest plugin that writes down what happens, as it happens, and selects tests.

The reports of pytest and coverage.py appear at the end of a run. When a run does not
reach its end - a test hangs, the process is killed - these events still tell which tests
ended how, and which one was running. When it does, they are a second count.

One JSON object a line, in the file that OPENSTACK_RCA_EVENTS names:

    {"event": "session", "pytest": "9.2.0", "added": ["pytest-cov==7.1.0"], "directory": "/src"}
    {"event": "collected", "tests": 12}
    {"event": "start", "id": "tests/test_a.py::test_b", "at": 1700000000.0}
    {"event": "result", "id": "...", "when": "call", "outcome": "passed", "seconds": 0.1}
    {"event": "finish", "id": "..."}
    {"event": "end", "status": 0}

What to select comes from the file that OPENSTACK_RCA_CONTROL names; what was selected goes
into the file that OPENSTACK_RCA_SELECTION names. See openstack_rca_select.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator
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

# Marks of pytest itself say nothing about what kind of test it is.
BUILT_IN = {"parametrize", "usefixtures", "skip", "skipif", "xfail", "filterwarnings"}


class Events:
    """Write events of the controlling process; workers of xdist report to it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self.stream = stream
        self.collected = False

    def write(self, event: str, **fields: Any) -> None:
        """Write one event and make sure that it survives this process."""
        self.stream.write(json.dumps({"event": event, **fields}) + "\n")
        self.stream.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tests are known."""
        self.write("collected", tests=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Tests are known to a worker of xdist; each of them collects the same."""
        if not self.collected:
            self.collected = True
            self.write("collected", tests=len(ids))

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
                outcome="xfailed" if report.outcome == "skipped" and hasattr(report, "wasxfail") else report.outcome,
                seconds=report.duration,
                text=text,
                output=output,
                markers=getattr(report, "openstack_rca_markers", []),
            )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that a test ended."""
        self.write("finish", id=nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session reached its end."""
        self.write("end", status=int(exitstatus))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Tell the controlling process of xdist too which marks a test has, and keep its output short.

    The output of a failed test goes into the JUnit report, which has to stay readable.
    """
    outcome = yield
    names = {mark.name for mark in item.iter_markers()} - BUILT_IN
    report = outcome.get_result()
    report.openstack_rca_markers = sorted(names)
    report.sections = [(title, shortened(text)) for title, text in report.sections]


MOST_OUTPUT = 1 << 20


def shortened(text: str) -> str:
    """Keep the end of a long output."""
    if len(text) <= MOST_OUTPUT:
        return text
    return f"[the first {len(text) - MOST_OUTPUT} characters are left out]\n" + text[-MOST_OUTPUT:]


def added() -> list[str]:
    """Name the packages that the pipeline added to the project's own."""
    path = Path(__file__).with_name("openstack_rca_added.json")
    with contextlib.suppress(OSError, ValueError):
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    return []


def worker(config: pytest.Config) -> str:
    """Name this worker of xdist; empty in the controlling process."""
    given = getattr(config, "workerinput", None)
    return str(given["workerid"]) if given else ""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the file of events, and register the selection where there is one."""
    control = os.environ.get("OPENSTACK_RCA_CONTROL")
    if control:
        from openstack_rca_select import Selection

        told = os.environ.get("OPENSTACK_RCA_SELECTION") if worker(config) in ("", "gw0") else None
        selection = Selection(
            json.loads(Path(control).read_text(encoding="utf-8")),
            Path.cwd(),
            Path(told).resolve() if told else None,
        )
        config.pluginmanager.register(selection, "openstack_rca_selection")
    name = os.environ.get("OPENSTACK_RCA_EVENTS")
    if not name or worker(config):
        return
    path = Path(name).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    events = Events(path.open("w", encoding="utf-8", buffering=1))
    config.pluginmanager.register(events, "openstack_rca_events")
    config.add_cleanup(events.stream.close)
    events.write("session", pytest=pytest.__version__, added=added(), directory=os.getcwd())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the coverage report with paths relative to the project.

    With several sources coverage.py names files relative to each of them, and of two
    files with the same name one is lost.
    """
    target = os.environ.get("OPENSTACK_RCA_COVERAGE")
    plugin = config.pluginmanager.getplugin("_cov")
    if not target or worker(config) or plugin is None:
        return
    if not Path(target).exists():
        return
    import coverage

    data = coverage.Coverage(config_file=config.getoption("cov_config"))
    data.load()
    data.set_option("run:source", ["."])
    with contextlib.suppress(coverage.exceptions.NoDataError):
        data.xml_report(outfile=target)

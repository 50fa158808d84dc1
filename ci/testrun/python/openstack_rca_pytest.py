"""A pytest plugin that records what happens, as it happens, and selects tests.

The reports of pytest and coverage.py appear at the end of a run. When a run does not
reach its end - a test hangs, the process is killed - these events still tell which tests
ended how, and which one was running. When it does, they are a second count.

One JSON object a line, in the file that OPENSTACK_RCA_EVENTS names:

    {"event": "session", "pytest": "9.2.0", "added": ["pytest-cov==7.1.0"], "directory": "/src"}
    {"event": "optimized", "plain": false}
    {"event": "load", "file": "tests/test_a.py"}
    {"event": "module", "file": "tests/test_a.py"}
    {"event": "loaded", "file": "tests/test_a.py"}
    {"event": "left_out", "deselected": 1, "removed": 0, "examples": ["tests/test_a.py::test_c"], "ignored": [],
     "untaken": []}
    {"event": "collected", "tests": 12}
    {"event": "start", "id": "tests/test_a.py::test_b", "at": 1700000000.0}
    {"event": "result", "id": "...", "when": "call", "outcome": "passed", "seconds": 0.1}
    {"event": "finish", "id": "..."}
    {"event": "hollow", "id": "...", "type": "returned"}
    {"event": "error", "type": "SystemExit", "text": "1", "file": "tests/test_a.py", "line": 3}
    {"event": "end", "status": 0}

A file can be written again by whoever runs in this process; what is printed cannot be taken
back. So the last line that a run prints is a seal, with the digests of its reports:

    openstack-rca: sealed events.jsonl=4f53cda18c2baa0c junit.xml=...

What to select comes from the file that OPENSTACK_RCA_CONTROL names; what was selected goes
into the file that OPENSTACK_RCA_SELECTION names. See openstack_rca_select.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


def absolute_python_path() -> None:
    """Make PYTHONPATH independent of the directory that a test changes to."""
    path = os.environ.get("PYTHONPATH")
    if path:
        entries = (os.path.abspath(entry) for entry in path.split(os.pathsep) if entry)
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


absolute_python_path()

# The stream that the runner reads, as it is before pytest captures what tests print.
PRINTED = os.dup(1) if os.environ.get("OPENSTACK_RCA_EVENTS") else -1
DIRECTORY = Path.cwd()
# As the pipeline set it, before a conftest.py can.
CONTROL = os.environ.get("OPENSTACK_RCA_CONTROL")

# Marks of pytest itself say nothing about what kind of test it is.
BUILT_IN = {"parametrize", "usefixtures", "skip", "skipif", "xfail", "filterwarnings"}

# Warnings of pytest that say of a test that it could have failed and did not.
HOLLOW = {"PytestReturnNotNoneWarning": "returned", "PytestUnhandledThreadExceptionWarning": "thread"}

SEALED = ("junit.xml", "coverage.xml", "coverage.data", "coverage-kept-out.json", "selection.json")


def added() -> list[str]:
    """Name the packages that the pipeline added to the project's own."""
    path = Path(__file__).with_name("openstack_rca_added.json")
    with contextlib.suppress(OSError, ValueError):
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    return []


def measure_early() -> Any:
    """Measure until pytest-cov does: plugins are loaded before, and import the project if it is one of them.

    A project that has pytest-cov itself counts without that, and sees its own number here. Others run pytest below
    coverage.py.
    """
    sources = os.environ.get("OPENSTACK_RCA_SOURCES")
    if (
        not sources
        or os.environ.get("PYTEST_XDIST_WORKER")
        or not any(name.startswith("pytest-cov=") for name in added())
    ):
        return None
    import coverage

    measuring = coverage.Coverage(source=sources.split(os.pathsep), branch=True, data_suffix=True)
    # What is not found or not imported yet, pytest-cov tells at the end.
    measuring.set_option(
        "run:disable_warnings",
        ["no-data-collected", "module-not-imported", "module-not-measured", "module-not-python", "include-ignored"],
    )
    measuring.set_option("run:data_file", os.path.abspath(str(measuring.get_option("run:data_file"))))
    measuring.start()
    return measuring


EARLY = measure_early()


class Events:
    """Write events of the controlling process; workers of xdist report to it."""

    def __init__(self, path: Path) -> None:
        """Write to a new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        before = failed_before(path)
        self.folder = path.parent
        self.stream = path.open("w", encoding="utf-8", buffering=1)
        self.digest = hashlib.sha256()
        self.collected = False
        self.handed_over = False
        self.write(
            "session",
            pytest=pytest.__version__,
            added=added(),
            directory=os.getcwd(),
            **({"before": before} if before else {}),
        )

    def write(self, event: str, **fields: Any) -> None:
        """Write one event and make sure that it survives this process."""
        line = json.dumps({"event": event, **fields}) + "\n"
        self.digest.update(line.encode())
        self.stream.write(line)
        self.stream.flush()

    def seal(self) -> None:
        """Print the digests of all reports, once they are written."""
        self.stream.close()
        digests = [f"events.jsonl={self.digest.hexdigest()[:32]}"]
        for name in SEALED:
            with contextlib.suppress(OSError):
                digests.append(f"{name}={hashlib.sha256((self.folder / name).read_bytes()).hexdigest()[:32]}")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(PRINTED, f"\nopenstack-rca: sealed {' '.join(digests)}\n".encode())

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> None:
        """Note which module is loaded next: it may end the process."""
        if isinstance(collector, pytest.Module):
            self.write("load", file=relative(collector.path))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tests are known."""
        watch = session.config.pluginmanager.getplugin("openstack_rca_watch")
        if watch is not None:
            self.take_over(watch.told())
        self.write("collected", tests=len(session.items))

    def take_over(self, told: dict[str, Any]) -> None:
        """Write down what the collection saw; every worker of xdist sees the same."""
        if self.handed_over:
            return
        self.handed_over = True
        for name in told.pop("modules"):
            self.write("module", file=name)
        for name in told.pop("loaded"):
            self.write("loaded", file=name)
        told["ignored"], told["untaken"] = told["ignored"][:1000], told["untaken"][:1000]
        self.write("left_out", **told)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Tests are known to a worker of xdist; each of them collects the same."""
        if not self.collected:
            self.collected = True
            self.write("collected", tests=len(ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of xdist saw."""
        told = getattr(node, "workeroutput", {}).get("openstack_rca")
        if told:
            self.take_over(told)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a test starts."""
        self.write("start", id=nodeid, at=time.time())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test ended. Passed set-up and tear-down say nothing."""
        if getattr(report, "openstack_rca_uncalled", False):
            self.write("hollow", id=report.nodeid, type="uncalled")
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
                **({"part": True, "of": report.head_line} if is_subtest(report) else {}),
                **({"raised": True} if getattr(report, "openstack_rca_raised", False) else {}),
            )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that a test ended."""
        self.write("finish", id=nodeid)

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """Note a test that returned its result instead of asserting it, or failed where pytest does not look."""
        way = HOLLOW.get(warning_message.category.__name__)
        if way:
            self.write("hollow", id=nodeid, type=way)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note where an exception came from that ends the session."""
        self.error(excinfo.value)

    def error(self, error: BaseException) -> None:
        """Write down an exception with the project's line that raised it."""
        kind, text = type(error).__name__, str(error)
        file, line = origin(error)
        if "Traceback (most recent call last)" in text and (sent := RAISED.findall(text)):
            # A worker of xdist sends its traceback as text.
            kind, text = sent[-1]
            file, line = ("", 0)
            for name, number in FRAME.findall(str(error)):
                if is_own(relative(Path(name))):
                    file, line = relative(Path(name)), int(number)
        self.write("error", type=kind, text=text[-1000:], file=file, line=line)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session reached its end."""
        self.write("end", status=int(exitstatus))


def failed_before(path: Path) -> int:
    """Return how an earlier pytest of the same command failed, whose reports this one replaces; 0 for none that did."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        lines = path.read_text(encoding="utf-8").splitlines()
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        status = int(last["status"]) if last["event"] == "end" else 0
        return int(first.get("before", 0)) or (status if status != pytest.ExitCode.NO_TESTS_COLLECTED else 0)
    return 0


FRAME = re.compile(r'^ *File "([^"\n]+)", line (\d+), in ', re.MULTILINE)
RAISED = re.compile(r"^ *(\w*(?:Exit|Error|Exception|Interrupt)): ?(.*)$", re.MULTILINE)


def is_subtest(report: pytest.TestReport) -> bool:
    """Tell whether a report is that of a part of a test (pytest 9, or the plugin pytest-subtests)."""
    return type(report).__name__.lower() == "subtestreport"


def relative(path: Path) -> str:
    """Name a file relative to the project where it is in it."""
    path = Path(os.path.abspath(DIRECTORY / path))
    return path.relative_to(DIRECTORY).as_posix() if path.is_relative_to(DIRECTORY) else str(path)


def is_own(name: str) -> bool:
    """Tell whether a file is one of the project's."""
    return not name.startswith(("/", "<")) and "site-packages" not in name


def origin(error: BaseException) -> tuple[str, int]:
    """Find the innermost line of the project that led to an exception."""
    found = ("", 0)
    trace = error.__traceback__
    while trace is not None:
        name = relative(Path(trace.tb_frame.f_code.co_filename))
        if is_own(name):
            found = (name, trace.tb_lineno)
        trace = trace.tb_next
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, None]:
    """Tell the controlling process of xdist too which marks a test has, and keep its output short.

    The output of a failed test goes into the JUnit report, which has to stay readable. The
    file that it names is the one that was collected, which is where the test can be run again;
    pytest names the file that the function's code is in, such as that of a decorator.
    """
    outcome = yield
    names = {mark.name for mark in item.iter_markers()} - BUILT_IN
    report = outcome.get_result()
    report.openstack_rca_markers = sorted(names)
    # A hook of the project may call the report of a test that raised what it likes.
    report.openstack_rca_raised = call.excinfo is not None
    report.openstack_rca_uncalled = call.when == "call" and getattr(item, "openstack_rca_uncalled", False)
    report.sections = [(title, shortened(text)) for title, text in report.sections]
    report.location = (str(item.nodeid).split("::")[0], *report.location[1:])


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, None]:
    """Note a test that passes without a call of its function: a hook of the project says that it made the call."""
    codes = {getattr(each, "__code__", None) for each in (pyfuncitem.obj, inspect.unwrap(pyfuncitem.obj))} - {None}
    hooks = (getattr(hook.function, "__code__", None) for hook in pyfuncitem.ihook.pytest_pyfunc_call.get_hookimpls())
    if not codes or not any(code and is_own(relative(Path(code.co_filename))) for code in hooks):
        yield
        return
    called = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in codes:
            called.append(True)

    before = sys.getprofile(), threading.getprofile()
    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        outcome = yield
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])
    if not called and outcome.excinfo is None:
        pyfuncitem.openstack_rca_uncalled = True


MOST_OUTPUT = 1 << 20


def shortened(text: str) -> str:
    """Keep the end of a long output."""
    if len(text) <= MOST_OUTPUT:
        return text
    return f"[the first {len(text) - MOST_OUTPUT} characters are left out]\n" + text[-MOST_OUTPUT:]


def worker(config: pytest.Config) -> str:
    """Name this worker of xdist; empty in the controlling process."""
    given = getattr(config, "workerinput", None)
    return str(given["workerid"]) if given else ""


def events_file() -> Path | None:
    """Return where events go; None when nobody asked for them."""
    name = os.environ.get("OPENSTACK_RCA_EVENTS")
    return DIRECTORY / name if name else None


def quiet() -> None:
    """Silence what coverage.py says of the sources that the pipeline names: that it ignores the project's include."""
    warnings.filterwarnings("ignore", "--include is ignored because --source is set")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Be quiet in a worker of xdist too, where pytest-cov starts only now."""
    quiet()


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, None]:
    """Let the pipeline's own options of coverage be as quiet as the project's, and record what ends the process.

    pytest itself does not tell of a conftest.py that exits. This wrapper is the innermost, so pytest's own has
    applied the project's filters, and pytest-cov starts within it.
    """
    quiet()
    sources = getattr(early_config.known_args_namespace, "cov_source", None)
    if sources and (named := [source for source in sources if source is not True]):
        # A --cov without a source of the project's own would void those of the pipeline.
        early_config.known_args_namespace.cov_source = named
    if EARLY:
        EARLY.stop()
    outcome = yield
    error = outcome.excinfo[1] if outcome.excinfo else None
    path = events_file()
    if isinstance(error, SystemExit) and path:
        Events(path).error(error)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the file of events, and register the selection where there is one."""
    if CONTROL:
        from openstack_rca_select import Selection

        told = os.environ.get("OPENSTACK_RCA_SELECTION") if worker(config) in ("", "gw0") else None
        selection = Selection(
            json.loads(Path(CONTROL).read_text(encoding="utf-8")),
            Path.cwd(),
            Path(told).resolve() if told else None,
        )
        config.pluginmanager.register(selection, "openstack_rca_selection")
    path = events_file()
    if not path:
        return
    from openstack_rca_collect import Watch

    config.pluginmanager.register(Watch(config, DIRECTORY), "openstack_rca_watch")
    if not worker(config):
        events = Events(path)
        config.pluginmanager.register(events, "openstack_rca_events")
        if sys.flags.optimize:
            events.write("optimized", plain=config.getoption("assertmode", "") == "plain")
        config.add_cleanup(events.stream.close)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what a worker of xdist saw."""
    watch = session.config.pluginmanager.getplugin("openstack_rca_watch")
    if worker(session.config) and watch is not None:
        session.config.workeroutput["openstack_rca"] = watch.told()


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, None]:
    """Let modules count that no test imports, before pytest-cov makes its reports: this wrapper is inside its own."""
    yield
    sources = os.environ.get("OPENSTACK_RCA_SOURCES")
    plugin = session.config.pluginmanager.getplugin("_cov")
    measuring = getattr(getattr(plugin, "cov_controller", None), "cov", None)
    if EARLY and measuring is not None:
        EARLY.save()  # pytest-cov combines what is there at its end; each worker removes what is there at its start
    if sources and measuring is not None:
        from openstack_rca_coverage import count_unimported

        watch = session.config.pluginmanager.getplugin("openstack_rca_watch")
        count_unimported(measuring, DIRECTORY, sources.split(os.pathsep), watch.modules if watch else set())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the coverage report, and seal all reports."""
    events = config.pluginmanager.getplugin("openstack_rca_events")
    if events is None:
        return
    target = os.environ.get("OPENSTACK_RCA_COVERAGE")
    plugin = config.pluginmanager.getplugin("_cov")
    if target and plugin is not None and getattr(plugin, "cov_controller", None) is not None:
        import coverage
        from openstack_rca_coverage import Report

        data = coverage.Coverage(config_file=config.getoption("cov_config"))
        data.load()
        Report(data, DIRECTORY).write(DIRECTORY / target, events.folder / "coverage-kept-out.json")
    events.seal()

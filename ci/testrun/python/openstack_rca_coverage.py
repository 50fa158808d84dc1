"""Write the coverage report of a run, and what its settings keep out of it.

The report names files relative to the project, whatever sources coverage.py was given: with
several, coverage.py names a file relative to one of them, and which one it is can depend on
the seed of Python's hashes.

What is kept out goes into a JSON file beside the report:

    {"version": "7.17.3", "settings": ["pyproject.toml"], "fail_under": 90.0,
     "excluded": {"app/core.py": {"lines": 12, "branches": 1}},
     "unmeasured": {"app/old.py": {"lines": 64, "why": "run:omit"}},
     "unknown": ""}

`excluded` are the lines that comments and settings of the project take out of measured files,
and the branching lines that they let count as taken. coverage.py's own rules, such as that
for TYPE_CHECKING, are not in it. `unmeasured` are the Python files that the report lacks.
`unknown` is the error that kept `excluded` from being counted: coverage.py has no public
interface for it, and a version that lacks the private one must not read as "nothing excluded".
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import coverage
import coverage.config
import coverage.files
from coverage.parser import PythonParser
from coverage.python import get_python_source

# Folders in which no code of the project is.
SKIPPED = {"__pycache__", "node_modules", "site-packages"}
MOST_FILES = 20_000
# Where the results of the project's build are.
BUILT = ".openstack-rca"
# Of coverage.py's own rules of exclusion, the one that somebody has to write into the code.
PRAGMA = "pragma"


def own_files(root: Path) -> Iterator[str]:
    """Name the Python files of the project, relative to its root."""
    found = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED
            and not name.startswith(".")
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            if name.endswith(".py"):
                found += 1
                if found > MOST_FILES:
                    return
                yield Path(folder, name).relative_to(root).as_posix()


def statements(text: str, exclude: Iterable[str]) -> set[int]:
    """Return the numbers of the executable lines."""
    if not text.strip():
        return set()
    parser = PythonParser(text=text, exclude="|".join(f"(?:{rule})" for rule in exclude) or None)
    parser.parse_source()
    return set(parser.statements)


def builtin(name: str, *, pragma: bool = False) -> list[str]:
    """Return the rules of a list that coverage.py has for every project, as this version has them."""
    rules = getattr(coverage.config, name, [])
    return [rule for rule in ([rules] if isinstance(rules, str) else rules) if pragma or PRAGMA not in rule]


def either(rules: Iterable[str]) -> re.Pattern[str]:
    """Match what one of the rules matches."""
    return re.compile("|".join(f"(?:{rule})" for rule in rules) or "(?!)", re.MULTILINE)


def matches(patterns: Any, path: Path) -> bool:
    """Tell whether one of coverage.py's patterns matches a file."""
    # coverage.py 7 took another name for it.
    matcher = getattr(coverage.files, "GlobMatcher", None) or coverage.files.FnmatchMatcher
    listed = [patterns] if isinstance(patterns, str) else patterns or []
    return bool(matcher(coverage.files.prep_patterns(listed)).match(str(path)))


def count_unimported(measuring: coverage.Coverage, root: Path, sources: list[str], tests: set[str]) -> None:
    """Let the modules of namespace packages count that no test imports.

    coverage.py adds modules that nothing imported, but looks into no folder without __init__.py. Here all modules
    below a source count. Where the source is the whole project, a folder without __init__.py may hold anything: one
    counts when a module in it was measured. Folders of tests count nowhere.
    """
    data = measuring.get_data()
    seen = set()
    for name in data.measured_files():
        path = Path(os.path.abspath(root / name))
        if path.is_relative_to(root):
            seen.add(path.relative_to(root).as_posix())
    ours = {folder for name in tests if is_named_test(folder := name.rpartition("/")[0])}

    def is_code(name: str) -> bool:
        folders = [parent.as_posix() for parent in PurePosixPath(name).parents]
        return name not in tests and not name.endswith("conftest.py") and ours.isdisjoint(folders)

    used = {name.partition("/")[0] for name in seen if "/" in name and is_code(name)}
    omit, added = measuring.get_option("run:omit"), []
    for name in own_files(root):
        inside = any(source != "." and name.startswith(source.rstrip("/") + "/") for source in sources)
        if (
            name not in seen
            and (inside or "." in sources and name.partition("/")[0] in used)
            and all(part.isidentifier() for part in name.removesuffix(".py").split("/"))
            and is_code(name)
            and not matches(omit, root / name)
        ):
            added.append(str(root / name))
    if added and seen:
        data.touch_files(added)


def is_named_test(folder: str) -> bool:
    """Tell whether a folder has the name of one for tests."""
    return folder.rpartition("/")[2].startswith("test")


class Report:
    """The reports of one set of measured data."""

    def __init__(self, data: coverage.Coverage, root: Path) -> None:
        """Report on loaded data; root is the project's directory."""
        self.data, self.root = data, root
        data.set_option("run:source", ["."])
        own = {"report:exclude_lines": "DEFAULT_EXCLUDE", "report:partial_branches": "DEFAULT_PARTIAL"}
        # The rules of the project, and the pragmas.
        self.rules = either(
            rule for option, name in own.items() for rule in data.get_option(option) or [] if rule not in builtin(name)
        )

    def measured(self) -> dict[str, str]:
        """Return the measured files of the project: by relative name, as coverage.py names them."""
        found = {}
        for name in self.data.get_data().measured_files():
            path = Path(os.path.abspath(self.root / name))
            # What a build made is not the source: by hand it would be in site-packages.
            if path.is_relative_to(self.root) and not path.is_relative_to(self.root / BUILT):
                found[path.relative_to(self.root).as_posix()] = name
        return found

    def write(self, xml: Path, kept_out: Path) -> None:
        """Write both files; neither when nothing was measured."""
        files = self.measured()
        if not files:
            return
        xml.parent.mkdir(parents=True, exist_ok=True)
        try:
            # As pytest-cov does: a file that is gone, or that this Python cannot parse, is left out.
            self.data.xml_report(morfs=sorted(files.values()), outfile=str(xml), ignore_errors=True)
        except coverage.exceptions.CoverageException as error:
            # Settings that leave nothing to report; kept_out then says which.
            print(f"CoverageWarning: no report was written: {error}")
        kept_out.write_text(json.dumps(self.kept_out(files, reported(xml))), encoding="utf-8")

    def kept_out(self, files: dict[str, str], shown: set[str]) -> dict[str, Any]:
        """Return what is not in the report."""
        excluded, unmeasured, unknown = {}, {}, ""
        try:
            for name in sorted(shown):
                if name in files and (counts := self.excluded(files[name])):
                    excluded[name] = counts
        except (AttributeError, TypeError) as error:
            unknown = f"{type(error).__name__}: {error}"
        for name in own_files(self.root):
            if name not in shown and (entry := self.unmeasured(name)):
                unmeasured[name] = entry
        config = self.data.config
        return {
            "version": coverage.__version__,
            "settings": [os.path.relpath(name, self.root) for name in getattr(config, "config_files_read", [])],
            "fail_under": self.data.get_option("report:fail_under"),
            "excluded": excluded,
            "unmeasured": unmeasured,
            "unknown": unknown,
        }

    def excluded(self, name: str) -> dict[str, int]:
        """Count what the project takes out of one measured file; empty for nothing."""
        try:
            text = get_python_source(os.path.join(self.root, name))
            # To analyse a file takes long, and most have nothing of the kind.
            if not self.rules.search(text):
                return {}
            analysis = self.data._analyze(name)
        except coverage.exceptions.CoverageException:
            return {}
        lines = branches = 0
        if analysis.excluded:
            lines = len(statements(text, builtin("DEFAULT_EXCLUDE")) - set(analysis.statements))
        excused = {line for line in analysis.no_branch if analysis.exit_counts.get(line, 0) > 1}
        if excused:
            always, source = either(builtin("DEFAULT_PARTIAL_ALWAYS")), text.splitlines()
            branches = sum(1 for line in excused if not always.search(source[line - 1]))
        return {"lines": lines, "branches": branches} if lines or branches else {}

    def unmeasured(self, name: str) -> dict[str, Any]:
        """Say how many lines a file has that is not in the report, and why; empty for one without lines."""
        path = self.root / name
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            lines = len(statements(text, builtin("DEFAULT_EXCLUDE", pragma=True)))
        except (coverage.exceptions.CoverageException, OSError, ValueError):
            return {"lines": 0, "why": "it cannot be parsed"}
        if not lines:
            return {}
        return {"lines": lines, "why": self.reason(path)}

    def reason(self, path: Path) -> str:
        """Name the setting that takes a file out; empty when no setting does.

        The include of [run] is none of them: coverage.py ignores it where sources are given, and they are.
        """
        for option in ("run:omit", "report:omit", "report:include"):
            patterns = self.data.get_option(option)
            if patterns and matches(patterns, path) == option.endswith("omit"):
                return option
        return ""


FILENAME = re.compile(rb'<class [^>]*?filename="([^"]*)"')


def reported(xml: Path) -> set[str]:
    """Return the files that a report names."""
    if not xml.exists():
        return set()
    # Not xml.sax.saxutils: it imports all of urllib and ssl, in every test run.
    return {html.unescape(name.decode("utf-8")) for name in FILENAME.findall(xml.read_bytes())}

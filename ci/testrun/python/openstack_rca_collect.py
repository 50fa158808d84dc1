"""Watch what pytest collects: which files are test modules, and which tests are left out.

Workers of xdist collect for the controlling process and hand over what they saw, as a
dictionary that xdist can send:

    {"modules": ["tests/test_a.py"], "loaded": ["tests/test_a.py"], "deselected": 1, "removed": 0,
     "examples": ["tests/test_a.py::test_b"], "ignored": ["tests/test_old.py"],
     "untaken": ["tests/test_a.py::TestC::test_d"]}

`untaken` are functions with the name of a test, in modules that were loaded, of which pytest made
no test: settings, a class with __init__ or a hook keep them from it, or a second one of the name.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

# How many of the tests that were left out are named, and of the ignored files looked for.
MOST_EXAMPLES = 20
MOST_FILES = 2_000

# Folders that pytest itself never looks into.
NEVER = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}", "__pycache__")

# A name that no project gives to its tests alone: a pattern that takes it takes every file.
ANY_NAME = "zq7.py"

# A function with the name of a test, at the level of the module or of a class.
DEFINED = re.compile(r"^(?:    |\t)?(?:async )?def (test_\w+)", re.MULTILINE)
# Decorators that leave a test a test. What any other makes of a function, such as a fixture, only its author knows.
PLAIN = re.compile(
    r"(^|\.)(mark|mock|patch|given|settings|example|unittest|skip\w*|parametrize|staticmethod|classmethod)\b"
)


class Watch:
    """Remember what was collected and what was not."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        """Name files relative to root."""
        self.config, self.root = config, root
        self.modules: set[str] = set()
        self.ignored: set[str] = set()
        self.deselected: set[str] = set()
        self.removed: set[str] = set()
        self.loaded: set[Path] = set()
        self.skipped: set[Path] = set()
        self.untaken: set[str] = set()

    def told(self) -> dict[str, Any]:
        """Say it all."""
        return {
            "modules": sorted(self.modules),
            "loaded": sorted(name for path in self.loaded if (name := self.relative(path))),
            "deselected": len(self.deselected),
            "removed": len(self.removed),
            "examples": sorted(self.deselected | self.removed)[:MOST_EXAMPLES],
            "ignored": sorted(self.ignored),
            "untaken": sorted(self.untaken),
        }

    def relative(self, path: Path) -> str:
        """Name a file of the project; empty for any other."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else ""

    def patterns(self) -> list[str]:
        """Return the names that test modules have."""
        return [str(pattern) for pattern in self.config.getini("python_files")]

    def fits(self, path: Path) -> bool:
        """Tell whether a file has the name of a test module."""
        return path.suffix == ".py" and any(
            fnmatch(path.name, pattern.rsplit("/", 1)[-1]) for pattern in self.patterns()
        )

    def is_module(self, path: Path) -> bool:
        """Tell whether a name is that of a test module alone.

        A pattern such as *.py says of the application's modules too that tests may be in them.
        """
        return any(
            fnmatch(path.name, name) and not fnmatch(ANY_NAME, name)
            for name in (pattern.rsplit("/", 1)[-1] for pattern in self.patterns())
        )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, Any, None]:
        """Note which test modules are not loaded."""
        outcome = yield
        if outcome.get_result() and not self.wanted(collection_path):
            for path in self.below(collection_path):
                if name := self.relative(path):
                    self.ignored.add(name)

    def wanted(self, path: Path) -> bool:
        """Tell whether this pipeline itself leaves a file to another shard."""
        selection = self.config.pluginmanager.getplugin("openstack_rca_selection")
        return selection is not None and selection.relative(path) in selection.ignored

    def below(self, path: Path) -> Iterator[Path]:
        """Find the test modules at or below a path, but for folders that hold none of the project."""
        if not path.is_dir():
            if self.fits(path):
                yield path
            return
        if never(path):
            return
        for at, (folder, folders, files) in enumerate(os.walk(path)):
            if at > MOST_FILES:
                return
            folders[:] = [name for name in folders if not never(Path(folder, name))]
            for name in files:
                if self.fits(Path(name)):
                    yield Path(folder, name)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, Any, None]:
        """Note the test modules, and the tests that go missing without being deselected."""
        before = [item.nodeid for item in items]
        self.note(items)
        self.compare(items)
        yield
        self.removed.update(set(before) - {item.nodeid for item in items} - self.deselected)
        selection = self.config.pluginmanager.getplugin("openstack_rca_selection")
        if selection is not None:
            self.removed -= selection.left_out

    def note(self, items: Sequence[pytest.Item]) -> None:
        """Note the modules that tests come from. A doctest is no test function, and its module no test module."""
        for item in items:
            module = item.getparent(pytest.Module) if isinstance(item, pytest.Function) else None
            if module is not None and self.is_module(module.path) and (name := self.relative(module.path)):
                self.modules.add(name)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, None]:
        """Note which modules were loaded, and which of them gave no tests by themselves: skipped, or with an error."""
        outcome = yield
        if isinstance(collector, pytest.Module):
            self.loaded.add(collector.path)
            if not outcome.get_result().passed:
                self.skipped.add(collector.path)

    def compare(self, items: Sequence[pytest.Item]) -> None:
        """Hold the tests against the functions that the modules define."""
        taken: dict[Path, set[tuple[str, str]]] = {}
        for item in items:
            within = item.getparent(pytest.Class)
            name = getattr(item, "originalname", None) or item.name.split("[")[0]
            taken.setdefault(item.path, set()).add((within.name if within else "", name))
        # What a call names by its id is one of the tests of its file.
        named = {(Path.cwd() / arg.partition("::")[0]).resolve() for arg in self.config.args if "::" in arg}
        everywhere = {name for names in taken.values() for _, name in names}
        for path in self.loaded - self.skipped - named:
            module = self.relative(path)
            if module and self.conventional(path):
                # What cannot be read or parsed is an error of the collection.
                with contextlib.suppress(OSError, SyntaxError, ValueError):
                    text = path.read_text(encoding="utf-8")
                    self.untaken.update(
                        f"{module}::{name}" for name in untaken(text, taken.get(path, set()), everywhere)
                    )

    def conventional(self, path: Path) -> bool:
        """Tell whether a file has the name that everybody gives to test modules, whatever the settings say."""
        return path.name.startswith("test_") or path.name.endswith("_test.py")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what is left out by -k, -m, --deselect or a plugin, but not what this pipeline selects."""
        selection = self.config.pluginmanager.getplugin("openstack_rca_selection")
        own = selection.left_out if selection is not None else set()
        self.deselected.update(item.nodeid for item in items if item.nodeid not in own)


def untaken(text: str, taken: set[tuple[str, str]], everywhere: set[str]) -> Iterator[str]:
    """Name the functions of a module with the name of a test that are none.

    taken are the tests by class and name, everywhere the names of all tests: those of a base class run in others.
    """
    defined, known = Counter(DEFINED.findall(text)), Counter(name for _, name in taken)
    if all(known[name] >= count for name, count in defined.items()):
        return  # to parse takes long
    tree = ast.parse(text)
    bodies: list[tuple[str, list[ast.stmt]]] = [("", tree.body)]
    bodies += [(node.name, node.body) for node in tree.body if isinstance(node, ast.ClassDef) and is_tests(node)]
    for within, body in bodies:
        base = any(isinstance(node, ast.Assign) and ast.unparse(node) == "__test__ = False" for node in body)
        seen: dict[str, int] = {}
        for node in reversed(body):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            if not all(PLAIN.search(ast.unparse(mark)) for mark in node.decorator_list):
                continue
            name = f"{within}::{node.name}" if within else node.name
            if node.name in seen:
                yield f"{name} (line {node.lineno}, replaced in line {seen[node.name]})"
            elif (within, node.name) not in taken and not (within and base and node.name in everywhere):
                yield f"{name} (line {node.lineno})"
            seen[node.name] = node.lineno


def is_tests(node: ast.ClassDef) -> bool:
    """Tell whether a class has the name of one with tests, or is one of unittest's."""
    return node.name.startswith("Test") or any(ast.unparse(base).endswith("TestCase") for base in node.bases)


def never(path: Path) -> bool:
    """Tell whether pytest's own rules keep it out of a folder."""
    return any(fnmatch(path.name, pattern) for pattern in NEVER) or (path / "pyvenv.cfg").exists()

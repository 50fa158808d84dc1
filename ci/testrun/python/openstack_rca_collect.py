"""Watch what pytest collects: which files are test modules, and which tests are left out.

Workers of xdist collect for the controlling process and hand over what they saw, as a
dictionary that xdist can send:

    {"modules": ["tests/test_a.py"], "deselected": 1, "removed": 0,
     "examples": ["tests/test_a.py::test_b"], "ignored": ["tests/test_old.py"]}
"""

from __future__ import annotations

import os
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


class Watch:
    """Remember what was collected and what was not."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        """Name files relative to root."""
        self.config, self.root = config, root
        self.modules: set[str] = set()
        self.ignored: set[str] = set()
        self.deselected: set[str] = set()
        self.removed: set[str] = set()

    def told(self) -> dict[str, Any]:
        """Say it all."""
        return {
            "modules": sorted(self.modules),
            "deselected": len(self.deselected),
            "removed": len(self.removed),
            "examples": sorted(self.deselected | self.removed)[:MOST_EXAMPLES],
            "ignored": sorted(self.ignored),
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

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what is left out by -k, -m, --deselect or a plugin, but not what this pipeline selects."""
        selection = self.config.pluginmanager.getplugin("openstack_rca_selection")
        own = selection.left_out if selection is not None else set()
        self.deselected.update(item.nodeid for item in items if item.nodeid not in own)


def never(path: Path) -> bool:
    """Tell whether pytest's own rules keep it out of a folder."""
    return any(fnmatch(path.name, pattern) for pattern in NEVER) or (path / "pyvenv.cfg").exists()

"""Select the tests of a category, of one shard, or those that a change can affect.

All are decided from the test's id, file and marks alone, so every process that looks at the same
source comes to the same answer: no shard has to ask another what it runs.

The control file says what is wanted:

    {"category": {"files": ["tests/test_api.py"], "marker": "api"},
     "shard": {"index": 0, "of": 4, "durations": {"tests/test_a.py::test_b": 1.5}},
     "changes": {"changed": ["app/model.py"], "removed": []}}
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest


class Split:
    """Divide a suite into shards of about the same length.

    Files whose tests have recorded durations lie side by side on a line; each shard owns an
    equal piece of it. Only the shards that own a part of a file load it. Tests of files
    without records are divided by number, and every shard loads those files.
    """

    def __init__(self, index: int, of: int, durations: dict[str, float]) -> None:
        """Divide among `of` shards, of which this is number `index`, from 0."""
        self.index, self.of, self.durations = index, of, durations
        by_file: defaultdict[str, float] = defaultdict(float)
        for name, seconds in durations.items():
            # A test of no measurable length still has to be run by somebody.
            by_file[name.split("::")[0]] += max(float(seconds), 0.001)
        self.total = sum(by_file.values())
        self.spans: dict[str, tuple[float, float]] = {}
        start = 0.0
        for name in sorted(by_file):
            self.spans[name] = (start, start + by_file[name])
            start += by_file[name]

    def owner(self, position: float) -> int:
        """Tell which shard owns a position on the line."""
        return min(self.of - 1, max(0, int(position * self.of / self.total)))

    def owners(self, name: str) -> range:
        """Tell which shards own a part of a file with records."""
        start, end = self.spans[name]
        return range(self.owner(start), self.owner(end - (end - start) * 1e-6) + 1)

    def loads(self, name: str) -> bool:
        """Tell whether this shard must load a file."""
        return name not in self.spans or self.index in self.owners(name)

    def mine(self, ids: Iterable[str]) -> set[str]:
        """Choose this shard's tests of those in the files that it loads."""
        known: defaultdict[str, list[str]] = defaultdict(list)
        unknown: list[str] = []
        for name in sorted(set(ids)):
            file = name.split("::")[0]
            (known[file] if file in self.spans else unknown).append(name)
        chosen = {name for at, name in enumerate(unknown) if at * self.of // len(unknown) == self.index}
        for file, names in known.items():
            chosen.update(self.of_file(file, names))
        return chosen

    def of_file(self, file: str, names: list[str]) -> list[str]:
        """Choose this shard's tests of one file with records."""
        owners = self.owners(file)
        start, end = self.spans[file]
        recorded = [self.durations[name] for name in names if name in self.durations]
        usual = max(sum(recorded) / len(recorded) if recorded else 1.0, 0.001)
        lengths = [max(self.durations.get(name, usual), 0.001) for name in names]
        whole, passed, chosen = sum(lengths), 0.0, []
        for name, length in zip(names, lengths, strict=True):
            position = start + (end - start) * (passed + length / 2) / whole
            passed += length
            if min(max(self.owner(position), owners[0]), owners[-1]) == self.index:
                chosen.append(name)
        return chosen


# Whoever uses one of these can reach files that no import statement names.
OPAQUE_MODULES = {"subprocess", "runpy", "pkgutil", "importlib.resources"}
OPAQUE_NAMES = {"glob", "rglob", "iglob", "iterdir", "listdir", "scandir", "walk", "walk_packages", "iter_modules"}
DYNAMIC = {"import_module", "__import__", "run_path", "run_module", "spec_from_file_location"}
DOTTED = re.compile(r"^[A-Za-z_]\w*([.:][A-Za-z_]\w*)*$")


class Imports:
    """The project's modules with what each of them names, found without running them.

    It errs on the side of too many edges: every suffix of a file's path counts as a name of
    the module, and a string that reads like a module counts as its import.
    """

    def __init__(self, root: Path) -> None:
        """Read all Python files below a directory."""
        self.root = root
        self.modules: defaultdict[str, set[str]] = defaultdict(set)
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        self.opaque: set[str] = set()
        self.files = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*.py")
            if not any(part.startswith(".") for part in path.relative_to(root).parts[:-1])
        )
        self.named: defaultdict[str, list[str]] = defaultdict(list)
        for file in self.files:
            self.named[file.rsplit("/", 1)[-1]].append(file)
            parts = file.removesuffix(".py").split("/")
            if parts[-1] == "__init__":
                parts.pop()
            for at in range(len(parts)):
                self.modules[".".join(parts[at:])].add(file)
        for file in self.files:
            self.read(file)

    def read(self, file: str) -> None:
        """Note what one file names."""
        try:
            tree = ast.parse((self.root / file).read_bytes())
        except (SyntaxError, ValueError, OSError):
            self.opaque.add(file)
            return
        package = file.split("/")[:-1]
        for node in ast.walk(tree):
            match node:
                case ast.Import():
                    for alias in node.names:
                        self.note(file, alias.name)
                case ast.ImportFrom():
                    base = package[: len(package) - node.level + 1] if node.level else []
                    base = [*base, *(node.module or "").split(".")]
                    for alias in node.names:
                        self.note(file, ".".join(part for part in [*base, alias.name] if part))
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    constant = node.args and isinstance(node.args[0], ast.Constant)
                    if name in OPAQUE_NAMES or name in DYNAMIC and not constant:
                        self.opaque.add(file)
                case ast.Constant(value=str(text)) if len(text) < 300:
                    if text.endswith(".py"):
                        named = text.lstrip("./")
                        same = self.named.get(named.rsplit("/", 1)[-1], ())
                        self.names[file].update(other for other in same if ("/" + other).endswith("/" + named))
                    elif DOTTED.match(text):
                        self.note(file, text.replace(":", "."), weak=True)
                case _:
                    pass

    def note(self, file: str, name: str, *, weak: bool = False) -> None:
        """Note that a file names a module, and with it the packages around it."""
        parts = name.split(".")
        if not weak and (parts[0] in OPAQUE_MODULES or name in OPAQUE_MODULES):
            self.opaque.add(file)
        for end in range(1, len(parts) + 1):
            # One word in a string is no import of a module that happens to be called so.
            if end > 1 or not weak:
                self.names[file].update(self.modules.get(".".join(parts[:end]), ()))

    def reached(self, file: str) -> set[str]:
        """Name everything that a test file can reach, itself and its conftest files included."""
        folders = file.split("/")[:-1]
        start = [file]
        for end in range(len(folders) + 1):
            for name in ("conftest.py", "__init__.py"):
                start.append("/".join([*folders[:end], name]))
        seen: set[str] = set()
        while start:
            name = start.pop()
            if name in seen or not (self.root / name).is_file():
                continue
            seen.add(name)
            start += self.names[name]
        return seen


def affected(root: Path, changed: Sequence[str], removed: Sequence[str], tests: Iterable[str]) -> tuple[set[str], str]:
    """Return the test files that a change can affect, and why it is all of them.

    The reason is empty when the imports decided.
    """
    everything = set(tests)
    if removed:
        return everything, f"{removed[0]} was removed, and nothing tells who used it"
    if not changed:
        return everything, "nothing changed"
    for name in changed:
        if not name.endswith(".py"):
            return everything, f"{name} changed, which is no Python file: any test may read it"
    imports = Imports(root)
    decisive = set(changed) | imports.opaque
    found = {test for test in everything if not decisive.isdisjoint(imports.reached(test))}
    if not found:
        return everything, f"no test is known to reach {changed[0]}"
    return found, ""


class Selection:
    """The plugin that leaves tests out, and tells which."""

    def __init__(self, control: dict[str, Any], root: Path, told: Path | None) -> None:
        """Follow a control file; write what was selected to `told`."""
        self.root, self.told = root, told
        shard, self.changes, self.category = control.get("shard"), control.get("changes"), control.get("category")
        self.split = Split(shard["index"], shard["of"], shard["durations"]) if shard else None
        self.loaded: set[str] = set()
        self.ignored: set[str] = set()
        # The tests that are left out because the call of the pipeline asked for others.
        self.left_out: set[str] = set()

    def relative(self, path: Path) -> str:
        """Name a path the way ids of tests do."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not load a file that only other shards own."""
        name = self.relative(collection_path)
        if self.split and not self.split.loads(name) and collection_path.is_file():
            self.ignored.add(name)
            return True
        return None

    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Note that a file was loaded, also one without tests."""
        self.loaded.add(self.relative(module_path))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is not selected."""
        told: dict[str, Any] = {}
        if self.category is not None:
            files, marker = set(self.category["files"]), self.category["marker"]
            self.keep(
                config,
                items,
                {
                    item.nodeid
                    for item in items
                    if self.relative(item.path) in files or marker and item.get_closest_marker(marker)
                },
            )
        if self.changes is not None:
            files = {item.nodeid.split("::")[0] for item in items}
            chosen, why = affected(self.root, self.changes["changed"], self.changes["removed"], files)
            self.keep(config, items, {item.nodeid for item in items if item.nodeid.split("::")[0] in chosen})
            told["changes"] = {"files": len(chosen), "of": len(files), "everything": why}
        if self.split:
            counts = {name: [0, 0] for name in self.loaded}
            mine = self.split.mine(item.nodeid for item in items)
            for item in items:
                count = counts.setdefault(item.nodeid.split("::")[0], [0, 0])
                count[0] += 1
                count[1] += item.nodeid in mine
            self.keep(config, items, mine)
            told["shard"] = {"files": counts, "ignored": sorted(self.ignored)}
        if self.told:
            self.told.parent.mkdir(parents=True, exist_ok=True)
            self.told.write_text(json.dumps(told), encoding="utf-8")

    def keep(self, config: pytest.Config, items: list[pytest.Item], ids: set[str]) -> None:
        """Keep the tests of these ids, in their order."""
        out = [item for item in items if item.nodeid not in ids]
        if out:
            self.left_out.update(item.nodeid for item in out)
            config.hook.pytest_deselected(items=out)
            items[:] = [item for item in items if item.nodeid in ids]

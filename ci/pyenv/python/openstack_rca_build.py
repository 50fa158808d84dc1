"""Build the packages of a source tree with their own backends, and leave what a build adds.

    python openstack_rca_build.py requires DIR...   installs what the backends ask for
    python openstack_rca_build.py build DIR...      builds a wheel of each directory

The packages are not installed: their source stays where it is, so that coverage counts its
files. `build` leaves in .openstack-rca/project what a wheel has and the source has not:

    site/         metadata, and modules that have no place in the source; goes on PYTHONPATH
    bin/          scripts and entry points; goes on PATH
    source/       generated files and compiled modules, at their places in the source
    project.json  {"projects": [{"dir": ".", "name": "x", "version": "1", "roots": ["src"],
                  "packages": ["src/x"], "elsewhere": [], "error": ""}]}

`packages` are the topmost directories of the source that hold modules of the wheel, and
`elsewhere` the modules that the wheel has under another name than the source.

A build that fails is reported in "error" and is no reason to stop: the caller decides.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from pyproject_hooks import BuildBackendHookCaller

OUT = Path(".openstack-rca/project")
# Where backends work; what is new there belongs to nobody.
WORK = re.compile(
    r"(^|/)(build|dist|_skbuild|target|\.eggs|__pycache__|\.openstack-rca|"
    r"[^/]*\.egg-info|[^/]*\.dist-info|\.mesonpy[^/]*|_cmake[^/]*)(/|$)"
)
LAST_LINES = 25


def tables(directory: Path) -> dict[str, Any]:
    """Read [build-system] of a directory's pyproject.toml."""
    path = directory / "pyproject.toml"
    if not path.exists():
        return {}
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    system: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8")).get("build-system", {})
    return system


def quiet(command: list[str], cwd: str | None = None, extra_environ: dict[str, str] | None = None) -> None:
    """Run a hook; its output is part of the error when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(extra_environ or {})},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout)


def backend(directory: Path) -> BuildBackendHookCaller:
    """Find the backend; without one, pip takes setuptools as of old."""
    system = tables(directory)
    name = system.get("build-backend", "setuptools.build_meta:__legacy__")
    return BuildBackendHookCaller(str(directory.resolve()), name, system.get("backend-path"), runner=quiet)


def install_requirements(directories: list[str]) -> int:
    """Install what the backends ask for besides build-system.requires."""
    wanted: set[str] = set()
    for directory in directories:
        try:
            wanted.update(backend(Path(directory)).get_requires_for_build_wheel())
        except Exception as error:  # the build itself reports it
            print(f"{directory}: {reason(error)}", file=sys.stderr)
    if wanted:
        return subprocess.run(["uv", "pip", "install", "--quiet", *sorted(wanted)], check=False).returncode
    return 0


def reason(error: Exception) -> str:
    """Shorten an error to the last lines of what was printed."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return "\n".join(lines[-LAST_LINES:])


def files() -> set[str]:
    """List the source, without what builds leave."""
    found: set[str] = set()
    for root, directories, names in os.walk("."):
        inside = PurePosixPath(root)
        directories[:] = [name for name in directories if name != ".git" and not WORK.search(str(inside / name))]
        found.update(str(inside / name) for name in names)
    return found


def place(path: str, content: bytes, mode: int = 0o644) -> None:
    """Write a file below OUT."""
    target = OUT / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(mode)


def script(name: str, reference: str) -> None:
    """Write the command of an entry point."""
    module, _, attribute = reference.split("[")[0].strip().partition(":")
    function = attribute.split(".")[0]
    text = (
        f"#!/usr/bin/env python\nimport sys\n\nfrom {module} import {function}\n\n"
        f"if __name__ == '__main__':\n    sys.exit({attribute}())\n"
    )
    place(f"bin/{name}", text.encode(), 0o755)


def entry_points(text: str) -> None:
    """Write the commands of entry_points.txt."""
    group = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            group = line.strip("[]")
        elif "=" in line and group in ("console_scripts", "gui_scripts"):
            name, _, reference = line.partition("=")
            script(name.strip(), reference.strip())


class Wheel:
    """What one wheel adds to its source."""

    def __init__(self, directory: str, before: set[str]) -> None:
        """Compare with the files that were there before the build."""
        self.dir = directory
        prefix = "" if directory == "." else directory.rstrip("/") + "/"
        self.source: dict[str, list[str]] = {}
        for name in sorted(before, key=lambda name: (name.count("/"), name)):
            if name.startswith(prefix):
                self.source.setdefault(PurePosixPath(name).name, []).append(name)
        self.roots: list[str] = []
        # packages maps a directory of the wheel to the root that holds it in the source.
        self.packages: dict[str, str] = {}
        self.topmost: set[str] = set()
        self.elsewhere: list[str] = []
        self.name, self.version = "", ""

    def root_of(self, path: str) -> str | None:
        """Find the directory of the source below which a file has the wheel's path."""
        for name in self.source.get(PurePosixPath(path).name, []):
            if name == path or name.endswith("/" + path):
                return name[: -len(path)].rstrip("/") or "."
        return None

    def read(self, wheel: zipfile.ZipFile) -> None:
        """Sort the files of the wheel."""
        added: list[tuple[str, zipfile.ZipInfo]] = []
        paths: list[str] = []
        for info in wheel.infolist():
            if info.is_dir():
                continue
            path = info.filename
            top, _, rest = path.partition("/")
            if top.endswith(".dist-info"):
                self.metadata(path, rest, wheel.read(info))
                continue
            if top.endswith(".data"):
                kind, _, path = rest.partition("/")
                if kind == "scripts":
                    content = re.sub(rb"\A#!pythonw?", b"#!/usr/bin/env python", wheel.read(info))
                    place(f"bin/{path}", content, 0o755)
                if kind not in ("purelib", "platlib"):
                    continue
            paths.append(path)
            root = self.root_of(path)
            if root is None:
                added.append((path, info))
                continue
            if path.endswith(".py") and "/" in path:
                self.topmost.add(str(PurePosixPath(root) / path.split("/")[0]))
            if root not in self.roots and path.endswith((".py", ".so", ".pyd", ".pyi")):
                self.roots.append(root)
            for parent in PurePosixPath(path).parents:
                self.packages.setdefault(str(parent), root)
        for path, info in added:
            self.add(path, wheel.read(info), info.external_attr >> 16 & 0o111)
        record = "".join(f"{path},,\n" for path in paths)
        for found in OUT.glob(f"site/{self.info}"):
            place(f"site/{found.name}/RECORD", record.encode())

    def metadata(self, path: str, rest: str, content: bytes) -> None:
        """Keep the metadata; its record has hashes of files that are not there."""
        self.info = path.split("/")[0]
        if rest == "RECORD":
            return
        place(f"site/{path}", content)
        if rest == "METADATA":
            text = content.decode("utf-8", "replace")
            self.name = (re.search(r"(?m)^Name:\s*(\S+)", text) or ["", ""])[1]
            self.version = (re.search(r"(?m)^Version:\s*(\S+)", text) or ["", ""])[1]
        if rest == "entry_points.txt":
            entry_points(content.decode("utf-8", "replace"))

    def add(self, path: str, content: bytes, executable: int) -> None:
        """Place a file that the source does not have beside those of its package."""
        if path.endswith(".py") and any(
            Path(name).read_bytes() == content for name in self.source.get(PurePosixPath(path).name, []) if content
        ):
            self.elsewhere.append(path)
        to = f"site/{path}"
        for parent in list(PurePosixPath(path).parents)[:-1]:
            root = self.packages.get(str(parent))
            if root is not None:
                to = "source/" + path if root == "." else f"source/{root}/{path}"
                break
        place(to, content, 0o755 if executable else 0o644)


def build(directory: str) -> dict[str, Any]:
    """Build one directory."""
    before = files()
    wheel = Wheel(directory, before)
    error = ""
    with tempfile.TemporaryDirectory() as out:
        try:
            name = backend(Path(directory)).build_wheel(out)
            with zipfile.ZipFile(Path(out) / name) as archive:
                wheel.read(archive)
        except Exception as failed:
            error = reason(failed)
    for name in sorted(files() - before):
        target = OUT / "source" / name
        if not error and not target.exists() and not WORK.search(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target)
    return {
        "dir": directory,
        "name": wheel.name,
        "version": wheel.version,
        "roots": wheel.roots,
        "packages": sorted(wheel.topmost),
        "elsewhere": wheel.elsewhere,
        "error": error,
    }


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    command, *directories = arguments
    if command == "requires":
        return install_requirements(directories)
    for part in ("site", "bin", "source"):
        (OUT / part).mkdir(parents=True, exist_ok=True)
    projects = [build(directory) for directory in directories]
    (OUT / "project.json").write_text(json.dumps({"projects": projects}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The lock files agree with each other and keep serving small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import main

ROOT = Path(main.__file__).parent / "requirements"
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(.*)$", re.MULTILINE)


def pins(name: str) -> dict[tuple[str, str], str]:
    """Return (package, marker) -> version."""
    text = (ROOT / name).read_text()
    return {(m[1], m[3].rstrip("\\ ").strip()): m[2] for m in _PIN.finditer(text)}


@pytest.mark.parametrize("name", ["train.lock", "serve.lock", "test.lock"])
def test_every_package_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(blocks) == len(pins(name)) > 10
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"^--|://", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["train.lock", "serve.lock"])
def test_what_is_tested_is_what_trains_and_serves(name: str) -> None:
    tested: dict[str, set[str]] = {package: set() for package, _ in pins("test.lock")}
    for (package, _), version in pins("test.lock").items():
        tested[package].add(version)
    for (package, _), version in pins(name).items():
        assert version in tested[package], package


def test_serving_has_no_training_framework() -> None:
    packages = {package for package, _ in pins("serve.lock")}
    assert {"streamlit", "numpy", "h5py"} <= packages
    assert not packages & {"tensorflow", "tensorflow-cpu", "keras", "jax", "mlflow", "boto3"}

"""Keras archives whose bytes depend on the model alone."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip file can hold


def sha256_of(data: bytes) -> str:
    """Return the lower-case hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def normalise(path: Path) -> str:
    """Rewrite a .keras file without the time and the memory addresses of the run that saved it.

    Keras writes the date into the metadata and into the zip directory, and numbers shared
    objects by their address. Returns the sha256 of the new file.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members[METADATA])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    members[METADATA] = json.dumps(metadata, sort_keys=True).encode()
    renumbered = _renumber(json.loads(members[CONFIG]), {})
    members[CONFIG] = json.dumps(renumbered, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, members[name])
    data = buffer.getvalue()
    path.write_bytes(data)
    return sha256_of(data)


def _renumber(node: Any, numbers: dict[int, int]) -> Any:
    """Replace shared object ids by their order of appearance."""
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(value, len(numbers) + 1)
            if key == "shared_object_id"
            else _renumber(value, numbers)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_renumber(value, numbers) for value in node]
    return node

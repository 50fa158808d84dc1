"""Unite the coverage data of several shards and write the reports of the whole.

    python openstack_rca_merge.py SPEC

SPEC is a JSON file: the data files with the directory in which each was recorded, and the
reports to write. The union is coverage.py's own, so it is exact for branches too. Data whose
digest is not the one that its shard printed is refused: see openstack_rca_pytest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import coverage
from openstack_rca_coverage import Report


def merge(spec: dict[str, Any]) -> None:
    """Write the reports that the spec asks for."""
    for part, digest in spec["digests"].items():
        if hashlib.sha256(Path(part).read_bytes()).hexdigest()[: len(digest)] != digest:
            sys.exit(f"error: {Path(part).name} of a shard is not what the run left: something changed it afterwards")
    united = coverage.Coverage(data_file=spec["data"])
    # Each shard may have run in a directory of its own; the files are the same.
    united.set_option("paths", {"source": [".", *spec["directories"]]})
    united.combine(data_paths=spec["parts"], strict=True, keep=True)
    united.save()
    xml = Path(spec["xml"])
    Report(united, Path.cwd()).write(xml, xml.with_name("coverage-kept-out.json"))
    with contextlib.suppress(coverage.exceptions.CoverageException):
        united.html_report(directory=spec["html"], ignore_errors=True)
        united.report(file=sys.stdout, ignore_errors=True)


if __name__ == "__main__":
    merge(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

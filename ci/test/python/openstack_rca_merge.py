"""Unite the coverage data of several shards and write the reports of the whole.

    python openstack_rca_merge.py SPEC

SPEC is a JSON file: the data files with the directory in which each was recorded, and the
reports to write. The union is coverage.py's own, so it is exact for branches too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import coverage


def merge(spec: dict[str, Any]) -> None:
    """Write the reports that the spec asks for."""
    united = coverage.Coverage(data_file=spec["data"])
    # Each shard may have run in a directory of its own; the files are the same.
    united.set_option("paths", {"source": [".", *spec["directories"]]})
    united.combine(data_paths=spec["parts"], strict=True, keep=True)
    united.save()
    united.set_option("run:source", ["."])
    with contextlib.suppress(coverage.exceptions.NoDataError):
        united.xml_report(outfile=spec["xml"])
        united.html_report(directory=spec["html"])
        united.report(file=sys.stdout)


if __name__ == "__main__":
    merge(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

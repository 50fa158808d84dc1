"""List the licences of the installed packages."""

import json
import sys
from importlib.metadata import distributions

found = []
for package in distributions():
    metadata = package.metadata
    found.append(
        {
            "Name": metadata["Name"],
            "Version": package.version,
            "Expression": metadata["License-Expression"] or "",
            "Text": (metadata["License"] or "")[:500],
            "Classifiers": [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")],
        }
    )
with open(sys.argv[1], "w", encoding="utf-8") as out:
    json.dump(found, out)

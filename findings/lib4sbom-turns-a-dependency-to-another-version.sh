#!/usr/bin/env bash
# lib4sbom 0.10.4.
#
# An SBOM may hold two versions of one package: lock files for several platforms do, and so do npm and Go. lib4sbom reads CycloneDX and
# writes SPDX, and other tools for SBOMs are built on it. It keeps both packages, but finds the ends of a relationship by their names, so
# every dependency on that name goes to the version that comes first. Here "web" requires old 1.0 and "report" requires old 2.0; in the SPDX
# file both require 1.0, and 2.0 is required by nothing and described by nothing. The order of the components decides. Nothing is said.
#
# A gate that follows dependencies ("is the vulnerable version reached?") has to read the original.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check lib4sbom==0.10.4
cd "$tmp"
cat >bom.json <<'JSON'
{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
"metadata": {"component": {"type": "application", "bom-ref": "app", "name": "app", "version": "5.0"}},
"components": [
  {"type": "library", "bom-ref": "pkg:pypi/web@3.0", "name": "web", "version": "3.0", "purl": "pkg:pypi/web@3.0"},
  {"type": "library", "bom-ref": "pkg:pypi/report@4.0", "name": "report", "version": "4.0", "purl": "pkg:pypi/report@4.0"},
  {"type": "library", "bom-ref": "pkg:pypi/old@1.0", "name": "old", "version": "1.0", "purl": "pkg:pypi/old@1.0"},
  {"type": "library", "bom-ref": "pkg:pypi/old@2.0", "name": "old", "version": "2.0", "purl": "pkg:pypi/old@2.0"}],
"dependencies": [
  {"ref": "app", "dependsOn": ["pkg:pypi/web@3.0", "pkg:pypi/report@4.0"]},
  {"ref": "pkg:pypi/web@3.0", "dependsOn": ["pkg:pypi/old@1.0"]},
  {"ref": "pkg:pypi/report@4.0", "dependsOn": ["pkg:pypi/old@2.0"]}]}
JSON
cat >program.py <<'PY'
import json
import sys

from lib4sbom.generator import SBOMGenerator
from lib4sbom.parser import SBOMParser

with open("bom.json") as file:
    bom = json.load(file)
if "reversed" in sys.argv:
    bom["components"].reverse()
with open("in.json", "w") as file:
    json.dump(bom, file)
parser = SBOMParser()
parser.parse_file("in.json")
SBOMGenerator(sbom_type="spdx", format="json").generate("example", parser.get_sbom(), filename="out.spdx.json")
with open("out.spdx.json") as file:
    spdx = json.load(file)
names = {package["SPDXID"]: f"{package['name']} {package['versionInfo']}" for package in spdx["packages"]}
for relation in spdx["relationships"]:
    if relation["relationshipType"] == "DEPENDS_ON":
        print(names[relation["spdxElementId"]], "requires", names[relation["relatedSpdxElement"]])
PY
found="$(venv/bin/python program.py | sort)
reversed:
$(venv/bin/python program.py reversed | sort)"
echo "$found"
[ "$found" = "report 4.0 requires old 1.0
web 3.0 requires old 1.0
reversed:
report 4.0 requires old 2.0
web 3.0 requires old 2.0" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

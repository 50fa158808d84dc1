#!/usr/bin/env bash
# uv 0.13.9 beside pip 26.3, for Python 3.10.
#
# A requirements file is a set to pip: the order of its lines changes nothing. uv gives the newest version to what is named first. With
# numpy>=1.24 above tensorflow>=2.14,<2.17 it takes NumPy 2.2.6, and therefore TensorFlow 2.14.0, the last one that declares no upper bound
# for NumPy, although it was built for NumPy 1 and cannot be imported beside NumPy 2. With the lines swapped it takes what pip takes in
# both cases, TensorFlow 2.16.2 with NumPy 1.26.4. Sorted files have numpy first.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pip==26.3 uv==0.13.9
cd "$tmp"
printf 'numpy>=1.24\ntensorflow>=2.14,<2.17\n' >numpy-first.txt
printf 'tensorflow>=2.14,<2.17\nnumpy>=1.24\n' >tensorflow-first.txt

with_uv() {
	venv/bin/uv pip compile --quiet --no-header --no-annotate --python-version 3.10 --python-platform x86_64-manylinux_2_28 "$1" |
		grep -E '^(numpy|tensorflow)=' | sort | tr '\n' ' '
}
with_pip() {
	local platforms=()
	for tag in manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux_2_12 manylinux2010 manylinux_2_5 manylinux1; do
		platforms+=(--platform "${tag}_x86_64")
	done
	venv/bin/pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --target none --only-binary :all: \
		--python-version 3.10 --implementation cp "${platforms[@]}" --report report.json -r "$1"
	python3 -c '
import json
found = {item["metadata"]["name"]: item["metadata"]["version"] for item in json.load(open("report.json"))["install"]}
print(" ".join(f"{name}=={found[name]}" for name in ("numpy", "tensorflow")), end=" ")'
}
found=$(for file in numpy-first.txt tensorflow-first.txt; do
	echo "$file: uv $(with_uv $file)pip $(with_pip $file)"
done | sed 's/ $//')
echo "$found"
[ "$found" = "numpy-first.txt: uv numpy==2.2.6 tensorflow==2.14.0 pip numpy==1.26.4 tensorflow==2.16.2
tensorflow-first.txt: uv numpy==1.26.4 tensorflow==2.16.2 pip numpy==1.26.4 tensorflow==2.16.2" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

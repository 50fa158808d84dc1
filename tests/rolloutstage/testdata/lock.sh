#!/bin/sh
# Resolves the tests' moto server anew: writes moto.lock from moto.in, for all platforms,
# with hashes. Needs uv. Run it in this folder: sh lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")"
uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--python-version 3.11 "$@" moto.in --output-file moto.lock

#!/bin/sh
# Resolves the sandbox's servers anew: writes locks/*.lock from locks/*.in, for all
# platforms, with hashes. Needs uv. Run it in this folder: sh lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/locks"
for name in mlflow s3; do
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 "$@" "$name.in" --output-file "$name.lock"
done

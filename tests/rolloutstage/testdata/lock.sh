#!/bin/sh
# Resolves what the tests need anew: writes NAME.lock from NAME.in, for
# all platforms, with hashes. Needs uv. Run it in this folder: sh lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")"
for name in moto cfn botocore; do
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 "$@" "$name.in" --output-file "$name.lock"
done

#!/usr/bin/env bash
# Keras 3.15.1.
#
# Keras has a backend "numpy" that is meant for inference without a deep-learning framework. Importing Keras with it fails where numpy and
# scipy are installed: the backend imports jax, which keras does not require. Installing jax (and nothing of it is used to compute) makes the
# same import pass. A slim serving image that installs keras and numpy and sets KERAS_BACKEND=numpy cannot start.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.4.6 scipy==1.17.1
export KERAS_BACKEND=numpy KERAS_HOME=$tmp
import() { "$tmp/venv/bin/python" -c 'import keras; print("imported, backend", keras.backend.backend())' 2>&1 | tail -n 1; }
without=$(import || true)
echo "without jax: $without"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2
with=$(import || true)
echo "with jax: $with"
[ "$without" = "ModuleNotFoundError: No module named 'jax'" ] && [ "$with" = "imported, backend numpy" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

#!/usr/bin/env bash
# Keras 3.15.1 and 3.14.1, backend jax.
#
# A plain model (Dense) that Keras 3.15 saves cannot be loaded by 3.14, nor by any before: GlorotUniform, the default initializer of nearly
# every layer, writes the new arguments input_axes and output_axes even if they are None, and older versions refuse an argument that they do
# not know. A serving environment that pins an older minor version than the training's fails on every model, although metadata.json, the
# only place that names the version, is not compared by either.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
pip=("$tmp/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" jax==0.10.2 numpy==2.4.6
export KERAS_BACKEND=jax KERAS_HOME=$tmp
"${pip[@]}" keras==3.15.1
"$tmp/venv/bin/python" - "$tmp/m.keras" <<-'EOF'
	import sys, keras
	keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(sys.argv[1])
EOF
load() { "$tmp/venv/bin/python" -c 'import sys, keras; keras.saving.load_model(sys.argv[1]); print("loaded by", keras.__version__)' "$tmp/m.keras" 2>&1 | tail -n 1; }
new=$(load || true)
echo "3.15.1: $new"
"${pip[@]}" keras==3.14.1
old=$(load || true)
echo "3.14.1: $old"
[ "$new" = "loaded by 3.15.1" ] && [[ $old == *"unexpected keyword argument 'input_axes'"* ]] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

#!/usr/bin/env bash
# xgboost-cpu 3.2.0 and 3.0.5 with pandas 2.3.3.
#
# Since 3.1 a model that is trained on a pandas column of type category holds the names of the categories, and finds the right one in any
# frame: that of one request, for which pandas knows one category only, is enough. 3.0.5 loads the same file without a warning, does not read
# the names, and takes the number that the category has in the frame at hand. So a model that was measured with 3.2.0 answers for single rows
# in a service with 3.0.5 as if each were of the first category. Frames with all categories, as tests have them, are answered alike.
#
# Compare the version at the top of the file with that of the service, and test with single rows.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
cd "$tmp"
pip=(venv/bin/pip install --quiet --disable-pip-version-check)
"${pip[@]}" xgboost-cpu==3.2.0 pandas==2.3.3 numpy==2.4.6
cat >program.py <<'PY'
import sys

import numpy as np
import pandas as pd
import xgboost

countries = np.random.default_rng(0).choice(["de", "fr", "uk"], 300)
labels = (countries == "fr").astype(int)


def matrix(values, **more):
    return xgboost.DMatrix(pd.DataFrame({"country": pd.Categorical(values)}), enable_categorical=True, **more)


if "train" in sys.argv:
    xgboost.train({"objective": "binary:logistic"}, matrix(countries, label=labels), 5).save_model("model.json")
model = xgboost.Booster(model_file="model.json")
together = (model.predict(matrix(countries)) > 0.5) == labels
alone = [(model.predict(matrix([name]))[0] > 0.5) == (name == "fr") for name in ("de", "fr", "uk")]
print(f"{xgboost.__version__}: {together.mean():.0%} right in one frame, {sum(alone)} of 3 alone")
PY
found=$(venv/bin/python -W error program.py train)
"${pip[@]}" xgboost-cpu==3.0.5
found+="
$(venv/bin/python -W error program.py)"
echo "$found"
[ "$found" = "3.2.0: 100% right in one frame, 3 of 3 alone
3.0.5: 100% right in one frame, 2 of 3 alone" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

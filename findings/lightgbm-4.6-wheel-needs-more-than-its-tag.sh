#!/usr/bin/env bash
# lightgbm 4.6.0, with xgboost-cpu 3.1.1 beside it; auditwheel 6.2.0.
#
# The tag of a wheel says on which systems it loads: manylinux_2_28 means glibc 2.28 and no library but those of the policy. LightGBM's
# wheel has this tag, references symbols of glibc 2.34, and needs libgomp.so.1, which the policy does not allow and the wheel does not
# bring. So pip and uv install it where it cannot be imported: on Debian 11 and Enterprise Linux 8, whose glibc is older, and in slim
# images without libgomp. auditwheel finds it consistent with plain linux_x86_64 alone. The wheel of XGBoost brings its libgomp and
# is what its tag says.
#
# In a slim image of Debian install libgomp1, and have glibc 2.34 or newer.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check auditwheel==6.2.0
venv/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --platform manylinux_2_28_x86_64 --dest wheels \
	lightgbm==4.6.0 xgboost-cpu==3.1.1
show() { venv/bin/auditwheel show "$1" | tr '\n' ' '; }
for wheel in wheels/*.whl; do
	said=$(show "$wheel")
	echo "$(basename "$wheel")"
	echo "  consistent with $(grep -oE 'platform tag: "[^"]*"' <<<"$said" | head -n 1), libgomp outside of it: $(grep -c 'libgomp.so.1 with' <<<"$said" || test $? = 1), newest glibc: $(grep -oE 'GLIBC_2\.[0-9]+' <<<"$said" | sort -uV | tail -n 1)"
done | tee seen
diff - seen <<'SEEN' || {
lightgbm-4.6.0-py3-none-manylinux_2_28_x86_64.whl
  consistent with platform tag: "linux_x86_64", libgomp outside of it: 1, newest glibc: GLIBC_2.34
xgboost_cpu-3.1.1-py3-none-manylinux_2_28_x86_64.whl
  consistent with platform tag: "manylinux_2_27_x86_64", libgomp outside of it: 0, newest glibc: GLIBC_2.27
SEEN
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

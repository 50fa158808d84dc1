#!/usr/bin/env bash
# junitparser 5.0.3 with Node.js 22.21.1 (npm package node) and its own test runner.
#
# `node --test --test-reporter=junit` writes a test that is in no describe() as a <testcase> directly below <testsuites>, beside the suites.
# junitparser reads suites only. The failed test is not there for it: `junitparser verify`, which is for gates, exits with 0, the library
# counts the test of the suite alone, and `junitparser merge`, which joins the files of several jobs, writes a file without the failed test
# and with failures="0", so that every tool after it sees a run that passed. A failed test inside describe() is found.
#
# Compare the number of test cases before and after, or wrap the tests in describe().
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check junitparser==5.0.3
cd "$tmp"
npm install --silent --no-audit --no-fund --prefix "$tmp" node@22.21.1
node=$(find "$tmp/node_modules" -path '*/bin/node' -type f -size +1M | head -n 1)
cat >outside.test.mjs <<'JS'
import assert from "node:assert";
import test, { describe } from "node:test";

test("adds", () => assert.equal(1 + 1, 3));
describe("text", () => {
  test("joins", () => assert.equal("a" + "b", "ab"));
});
JS
sed -e 's/^test.*/describe("sums", () => {\n  &\n});/' outside.test.mjs >inside.test.mjs

read_by() { # FILE: what junitparser makes of it
	local code=0
	venv/bin/junitparser verify "$1" >/dev/null || code=$?
	venv/bin/python - "$1" <<-'EOF'
		import sys
		from junitparser import JUnitXml

		report = JUnitXml.fromfile(sys.argv[1])
		report.update_statistics()
		print(f"{report.tests} tests, {report.failures} failed", end="")
	EOF
	echo ", verify exits with $code"
}
for name in outside inside; do
	code=0
	"$node" --test --test-reporter=junit "$name.test.mjs" >"$name.xml" || code=$?
	venv/bin/junitparser merge "$name.xml" "$name-merged.xml"
	echo "$name: node exits with $code and writes $(grep -c '<failure' "$name.xml") failure of $(grep -c '<testcase' "$name.xml") tests"
	echo "  junitparser: $(read_by "$name.xml"); in the merged file $(grep -c '<failure' "$name-merged.xml" || true) failure"
done >found
cat found
[ "$(<found)" = "outside: node exits with 1 and writes 1 failure of 2 tests
  junitparser: 1 tests, 0 failed, verify exits with 0; in the merged file 0 failure
inside: node exits with 1 and writes 1 failure of 2 tests
  junitparser: 2 tests, 1 failed, verify exits with 1; in the merged file 1 failure" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

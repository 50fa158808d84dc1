#!/usr/bin/env bash
# Prometheus 3.16.0 (github.com/prometheus/prometheus v0.316.0): promtool.
#
# Since version 3, Prometheus writes the label le of a bucket, and quantile, as a float when it reads metrics: le="1" of a Go service is
# stored as le="1.0". A rule that selects le="1" finds nothing then, and an alert over nothing is silent. `promtool test rules` takes
# input_series as they are written, so the test of this rule passes, and with the label as it is stored it fails. `promtool check rules`
# does not mind either. The guide for migrating from 2 to 3 tells of the label, not that the tests cannot see it.
#
# Write le="1.0" in rules, and copy input_series from a server, not from the page of a service.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
GOBIN=$tmp go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@v0.316.0
cat >rules.yml <<'YAML'
groups:
  - name: latency
    rules:
      - alert: Slow
        expr: latency_seconds_bucket{le="1"} / ignoring(le) latency_seconds_count < 0.9
YAML
cat >page.txt <<'TEXT'
# TYPE latency_seconds histogram
latency_seconds_bucket{le="1"} 50 1700000000
latency_seconds_bucket{le="+Inf"} 100 1700000000
latency_seconds_sum 150 1700000000
latency_seconds_count 100 1700000000
# EOF
TEXT
fires() { # LE: whether the alert fires in a test with this bucket
	cat >test.yml <<YAML
rule_files: [rules.yml]
tests:
  - input_series:
      - {series: 'latency_seconds_bucket{le="$1"}', values: '50'}
      - {series: 'latency_seconds_count', values: '100'}
    alert_rule_test:
      - {eval_time: 0m, alertname: Slow, exp_alerts: [{}]}
YAML
	if ./promtool test rules test.yml >out 2>&1; then echo fires; else grep -o 'got:\[\]' out; fi
}
check=$(./promtool check rules rules.yml >out 2>&1 && echo passes)
./promtool tsdb create-blocks-from openmetrics --quiet page.txt data
mkdir data/wal
stored=$(./promtool tsdb dump data | grep -o 'le="1[^"]*"')
found="check rules: $check
test rules with le=\"1\": $(fires 1)
stored: $stored
test rules with $stored: $(fires "$(cut -d'"' -f2 <<<"$stored")")"
echo "$found"
[ "$found" = 'check rules: passes
test rules with le="1": fires
stored: le="1.0"
test rules with le="1.0": got:[]' ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

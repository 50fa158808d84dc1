module github.com/openstack-rca/openstack-rca/tests/observe/grafana

go 1.26.1

require github.com/grafana/grafana-foundation-sdk/go v0.0.22

// The database builder uses Grype's library. It is a module of its own, so that the pipeline does
// not compile that; it is built with the versions of ci/supply/tools/tools.mod.
module github.com/openstack-rca/openstack-rca/tests/supply/makedb

go 1.26.1

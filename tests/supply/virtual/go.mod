// The services for signatures without a key use Sigstore's library. It is a module of its own, so that
// the pipeline does not compile that; it is built with the versions of ci/supply/tools/cosign.mod.
module github.com/openstack-rca/openstack-rca/tests/supply/virtual

go 1.26.1

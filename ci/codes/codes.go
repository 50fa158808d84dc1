// Package codes lists every code that the pipeline can end or warn with: the source of
// docs/codes.md.
package codes

import (
	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/join"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/notify"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/oneoff"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// All returns every code, sorted by stage and name. It returns an error when
// two packages declare a code of the same name.
func All() ([]verdict.Code, error) {
	return verdict.Codes(
		verdict.OwnCodes(), config.OwnCodes(), policy.OwnCodes(), pipeline.Codes(), assembly.Codes(),
		runledger.Codes(), metrics.Codes(), notify.Codes(), runner.Codes(), native.Codes(), testrun.Codes(), supply.Codes(), attest.Codes(),
		train.Codes(), publish.Codes(), sandbox.Codes(), image.Codes(), join.Codes(), rollout.Codes(), account.Codes(),
		ensure.Codes(), deployment.Codes(),
		journal.Codes(), release.Codes(), trial.Codes(), oneoff.Codes(),
	)
}

package pipeline

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAModelThatNothingLookedIntoIsNotPublished(t *testing.T) {
	b, r := backend(t, source(nil))
	p := prepare(t.Context(), b, Options{Environment: "staging", Ref: "main"})
	p.outcome.Model = &model.Artifact{File: "m.h5", Unseen: "h5"}
	stage := p.publish(t.Context(), policy.Permit{})
	assert.Equal(t, verdict.Fail, stage.Verdict)
	assert.Equal(t, CodeUnseen.Name, stage.Code)
	assert.Contains(t, stage.Cause, "m.h5 is a file of the format h5")
	assert.Nil(t, p.outcome.Version)
	assert.Empty(t, r.Steps(), "it is not loaded either")
}

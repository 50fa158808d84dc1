package rollout

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func codesOf(findings []verdict.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Code)
	}
	return all
}

func TestTheSandboxPassesWithAnImage(t *testing.T) {
	in := input(Sandbox)
	in.Image = "localhost:5000/openstack-rca-system@" + testDigest
	result := Run(context.Background(), in)
	assert.Equal(t, verdict.Pass, result.Stage.Verdict)
	assert.Equal(t, verdict.Deploy, result.Stage.Name)
	assert.Equal(t, []string{ExampleValues.Name}, codesOf(result.Stage.Warnings))
	assert.Contains(t, result.Stage.Evidence, verdict.Evidence{Name: "image", Value: in.Image, Want: "pinned by digest", OK: true})
	assert.Contains(t, result.Stage.Evidence, verdict.Evidence{Name: "calls to AWS", Value: "none", OK: true})
	assert.Len(t, result.Stage.Files, 7)
	require.NotEmpty(t, result.Stage.Blocks)
	require.NotNil(t, result.Plan)
}

func TestTheSandboxSaysThatNoImageWasBuilt(t *testing.T) {
	result := Run(context.Background(), input(Sandbox))
	assert.Equal(t, verdict.Pass, result.Stage.Verdict)
	assert.Equal(t, []string{ImageNotBuilt.Name, ExampleValues.Name}, codesOf(result.Stage.Warnings))
	assert.Contains(t, result.Stage.Evidence, verdict.Evidence{Name: "image", Value: "not built; the plan holds a placeholder digest",
		OK: true})
}

func TestAPlanIsNotADeployment(t *testing.T) {
	for _, environment := range []string{"staging", Production, "dev"} {
		result := Run(context.Background(), input(environment))
		assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict, environment)
		assert.Equal(t, NotApplied.Name, result.Stage.Code)
		assert.NotNil(t, result.Plan, "the plan is there to be read")
		assert.Empty(t, result.Stage.Published)
	}
}

func TestAnInvalidPlanFailsWithEveryProblem(t *testing.T) {
	in := input(Production)
	in.Image, in.Spec.CPU = "rca:v1", 1000
	result := Run(context.Background(), in)
	assert.Equal(t, verdict.Fail, result.Stage.Verdict)
	assert.Nil(t, result.Plan)
	assert.Equal(t, []string{ImageNotPinned.Name, SizeInvalid.Name}, codesOf(result.Stage.Problems))
	assert.Contains(t, result.Stage.Failure(), "FAIL deploy IMAGE_NOT_PINNED: ")
	assert.Empty(t, result.Stage.Files)
}

func TestACancelledRunCouldNotRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	result := Run(ctx, input(Sandbox))
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
	assert.Equal(t, Cancelled.Name, result.Stage.Code)
	assert.Nil(t, result.Plan)
}

func TestWhatIsRiskyIsWarnedOf(t *testing.T) {
	in := input(Production)
	in.Spec.Min, in.Spec.Desired = 1, 1
	in.Spec.Strategy = "linear"
	in.Spec.BakeMinutes = 50
	in.Spec.App.StartBudget = 5 * time.Minute
	result := Run(context.Background(), in)
	assert.Equal(t, []string{SingleTask.Name, StartPeriodShort.Name, LongRollout.Name, NotEncrypted.Name}, codesOf(result.Stage.Warnings))
}

func TestTheStageIsASerialisableVerdict(t *testing.T) {
	result := Run(context.Background(), input(Sandbox))
	content, err := json.Marshal(result.Stage)
	require.NoError(t, err)
	assert.NotContains(t, string(content), "Blocks")
}

package verdict_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestMeasure(t *testing.T) {
	floor := 0.8
	run := &verdict.Run{Stages: []verdict.Stage{{Name: verdict.Test, Verdict: verdict.Pass}}}
	stage := &run.Stages[0]
	stage.Measure(verdict.MeasureCoverage, "total", 0.9, &floor)
	stage.Measure(verdict.MeasureModel, "loss", math.NaN(), nil)
	stage.Measure(verdict.MeasureModel, "loss", math.Inf(1), nil)
	assert.Len(t, stage.Measures, 1, "what is no number is no measurement: JSON has no way to say it")
	value, ok := run.Measured(verdict.MeasureCoverage, "total")
	assert.True(t, ok)
	assert.InDelta(t, 0.9, value, 0)
	_, ok = run.Measured(verdict.MeasureCoverage, "model")
	assert.False(t, ok)
}

func TestMeasuresInTheReport(t *testing.T) {
	run := passedRun()
	floor := 0.8
	run.Stages[0].Measure(verdict.MeasureCoverage, "total", 0.9, &floor)
	run.Stages[0].Deployment = &verdict.Deployment{Service: "s\x1b[0m", Outcome: verdict.DeploymentSucceeded, Seconds: 12.34567}
	content, err := run.JSON()
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	require.NoError(t, schema(t).Validate(instance))
	assert.Contains(t, string(content), `"service": "s"`)
	assert.Equal(t, "s\x1b[0m", run.Stages[0].Deployment.Service, "the run itself is not changed")
}

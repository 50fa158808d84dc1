package overhttp_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The bars on requests, counted where they arrive.
func TestADeployIsOneUpdateAndFewRequestsOverTheWire(t *testing.T) {
	for _, strategy := range spec.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			o := newOperator(t, strategy)
			o.passes(o.deploy("a"))
			before, started := len(o.server.Actions()), o.clock.Now()
			o.passes(o.deploy("b"))
			actions, took := o.server.Actions()[before:], o.clock.Now().Sub(started)
			first := slices.Index(actions, "ecs:DescribeTasks") // the trial is waited for first
			updates := slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a != "ecs:UpdateService" })
			t.Logf("%d requests before waiting, %d in %s of waiting: %.2f a second", first, len(actions)-first, took,
				float64(len(actions)-first)/took.Seconds())
			assert.LessOrEqual(t, first, 40, "%v", actions[:first])
			assert.Len(t, updates, 1)
			assert.Less(t, float64(len(actions)-first), took.Seconds())

			before = len(o.aws.Calls())
			o.passes(o.deploy("b"))
			assert.Empty(t, fakeaws.Writes(o.aws.Calls()[before:]))
		})
	}
}

// Whatever answer is lost, reset or cut: after this run, or the next, the new version
// serves from one update and one revision.
func TestADeployWhoseAnswersAreLostOnTheWireEndsAsIfTheyWereNot(t *testing.T) {
	whole := newOperator(t, "rolling")
	whole.passes(whole.deploy("a"))
	before := len(whole.server.Actions())
	whole.passes(whole.deploy("b"))
	want := whole.aws.Dump()
	actions := slices.Compact(slices.Sorted(slices.Values(whole.server.Actions()[before:])))
	// Reads are repeated by the SDK, which TestEveryAnswerThatIsLostIsMadeUpFor shows for each.
	for _, action := range append(fakeaws.Writes(actions), "s3:GetObject") {
		for name, fault := range map[string]overhttp.Fault{"lost": {Lost: true}, "half": {Half: true}, "reset": {Reset: true},
			"unavailable": {Status: 503}} {
			t.Run(action+" "+name, func(t *testing.T) {
				o := newOperator(t, "rolling")
				o.passes(o.deploy("a"))
				o.server.Break(action, fault)
				if result := o.deploy("b"); result.Stage.Verdict != verdict.Pass {
					t.Logf("the run ended with %s: %s", result.Stage.Code, result.Stage.Cause)
					require.NoError(t, o.clock.Sleep(context.Background(), time.Minute))
					o.passes(o.deploy("b"))
				}
				assert.Equal(t, want, o.aws.Dump())
				assert.Equal(t, revision+"2", o.aws.ECS.Serving(cluster, service))
			})
		}
	}
}

// A session that ends while the deployment bakes is renewed; one that cannot be renewed
// ends the run with what to do, and the next run goes on.
func TestADeployWhoseCredentialsEnd(t *testing.T) {
	o := newOperator(t, "canary")
	o.passes(o.deploy("a"))
	o.clock.At(5*time.Minute, func() { o.server.STS.End("key-0") })
	ended := o.deploy("b")
	assert.Equal(t, "AUTH_EXPIRED", ended.Stage.Code, ended.Stage.Cause)
	clients, problem := account.Open(context.Background(), account.Options{Region: "ap-south-1", Endpoint: o.url, AccessKey: "key-1",
		SecretKey: "none", MaxBackoff: time.Millisecond})
	require.Nil(t, problem)
	o.clients = clients
	updates := len(slices.DeleteFunc(o.server.Actions(), func(a string) bool { return a != "ecs:UpdateService" }))
	o.passes(o.deploy("b"))
	assert.Equal(t, 1, updates)
	assert.Len(t, slices.DeleteFunc(o.server.Actions(), func(a string) bool { return a != "ecs:UpdateService" }), 1)
	assert.Equal(t, revision+"2", o.aws.ECS.Serving(cluster, service))
}

package release

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
)

// paths are the health check's paths of the target group that has the traffic, and of the other.
func (w *world) paths() (serving, idle string) {
	w.t.Helper()
	balancers, err := w.aws.Balancing.DescribeLoadBalancers(w.ctx, &elb.DescribeLoadBalancersInput{Names: []string{service}})
	require.NoError(w.t, err)
	listeners, err := w.aws.Balancing.DescribeListeners(w.ctx,
		&elb.DescribeListenersInput{LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn})
	require.NoError(w.t, err)
	rules, err := w.aws.Balancing.DescribeRules(w.ctx, &elb.DescribeRulesInput{ListenerArn: listeners.Listeners[0].ListenerArn})
	require.NoError(w.t, err)
	for _, rule := range rules.Rules {
		for _, action := range rule.Actions {
			if action.ForwardConfig == nil {
				continue
			}
			for _, group := range action.ForwardConfig.TargetGroups {
				name := strings.Split(*group.TargetGroupArn, "/")[1]
				out, err := w.aws.Balancing.DescribeTargetGroups(w.ctx, &elb.DescribeTargetGroupsInput{Names: []string{name}})
				require.NoError(w.t, err)
				if aws.ToInt32(group.Weight) > 50 {
					serving = aws.ToString(out.TargetGroups[0].HealthCheckPath)
				} else {
					idle = aws.ToString(out.TargetGroups[0].HealthCheckPath)
				}
			}
		}
	}
	return serving, idle
}

// The old version answers at the old path. A version that fails must not leave the load
// balancer asking it at the new one: its tasks would be taken for sick, and killed.
func TestTheOldVersionIsAskedWhereItAnswers(t *testing.T) {
	const before, after = "/_stcore/health", "/new-health"
	crashes := fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second}
	inService := crashes
	inService.Alone = &fakeaws.Behaviour{}
	for _, strategy := range strategies() {
		t.Run(strategy, func(t *testing.T) {
			for code, behaviour := range map[string]fakeaws.Behaviour{trial.Failed.Name: crashes, deployment.RolledBack.Name: inService} {
				w := newWorld(t, strategy)
				w.deployed("a")
				w.in.Spec.App.Health = after
				w.aws.ECS.Behave(family+"2", behaviour)
				during := ""
				w.clock.At(20*time.Second, func() { during, _ = w.paths() })
				result := w.deploy("b")
				require.Equal(t, code, result.Stage.Code)
				serving, _ := w.paths()
				assert.Equal(t, before, serving, code)
				assert.Equal(t, before, during, "and not during the trial either")
				// What works is asked at the new path, from when its tasks are in the group, and so is
				// the group that is left.
				begun := false
				w.in.Progress = func(line string) {
					if !begun && strings.Contains(line, "SCALE_UP") {
						begun = true
						serving, idle := w.paths()
						if strategy == "rolling" {
							assert.Equal(t, after, serving)
						} else {
							assert.Equal(t, before, serving)
							assert.Equal(t, after, idle)
						}
					}
				}
				w.deployed("c")
				assert.True(t, begun)
				serving, idle := w.paths()
				assert.Equal(t, after, serving)
				assert.Equal(t, after, idle)
				assert.False(t, w.passed(Plan(w.ctx, w.clients(), w.clock, w.in)).Changed)
			}
		})
	}
}

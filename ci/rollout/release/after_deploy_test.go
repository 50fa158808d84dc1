package release

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (w *world) warned(r *Result, code verdict.Code) bool {
	for _, warning := range r.Stage.Warnings {
		if warning.Code == code.Name {
			return true
		}
	}
	return false
}

func (w *world) ran(n string) bool {
	_, ran := w.aws.Objects.Content(journalAt + "staging/ran/" + strings.Repeat(n, 64) + ".json")
	return ran
}

// A deployment that was verified is a success, whatever becomes of what comes after it, and
// the record says so: production may take the digest, and a rollback may go back to it.
func TestAVerifiedDeploymentIsNoFailureForWhatComesAfter(t *testing.T) {
	refusal := func(code string) error {
		return &smithy.GenericAPIError{Code: code, Message: "no", Fault: smithy.FaultClient}
	}
	for _, strategy := range strategies() {
		for name, fail := range map[string]func(*world){
			"scaling is never consistent": func(w *world) { w.aws.Scaling.Settles = 24 * time.Hour },
			"scaling is denied": func(w *world) {
				w.aws.Fail("application-autoscaling:RegisterScalableTarget", refusal("AccessDeniedException"))
			},
			"a limit of policies": func(w *world) {
				w.aws.Fail("application-autoscaling:PutScalingPolicy", refusal("LimitExceededException"))
			},
			"the run is ended in it": func(w *world) {
				ctx, cancel := context.WithCancel(w.ctx)
				w.ctx = ctx
				w.in.Progress = func(string) {
					if w.serving() == family+"1" {
						cancel()
					}
				}
				w.in.Get = func(context.Context, string) error { cancel(); return nil }
			},
		} {
			t.Run(strategy+" "+name, func(t *testing.T) {
				w := newWorld(t, strategy)
				fail(w)
				r := w.deploy("a")
				if name == "the run is ended in it" && r.Stage.Verdict != verdict.Pass {
					t.Skip("it was ended before it was verified")
				}
				require.Equal(t, verdict.Pass, r.Stage.Verdict, "%s: %s", r.Stage.Code, r.Stage.Cause)
				assert.True(t, w.warned(r, NotAsPlanned), "what is not as planned is named")
				assert.Equal(t, family+"1", w.serving())
				assert.True(t, w.ran("a"), "staging has run it")
				s := w.state()
				require.Len(t, s.Ended, 1)
				assert.Equal(t, journal.Passed, s.Ended[0].Verdict)
				assert.Nil(t, s.Run)

				// The next run of the same digest makes what is missing, and deploys nothing.
				w.ctx, w.in.Progress, w.in.Get = context.Background(), nil, func(context.Context, string) error { return nil }
				w.aws.Scaling.Settles = 0
				from := len(w.aws.Calls())
				again := w.deployed("a")
				assert.False(t, w.warned(again, NotAsPlanned))
				assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
				assert.Equal(t, 2, count(w.aws.Calls()[from:], "application-autoscaling:PutScalingPolicy"))
			})
		}
	}
}

// It is no failure either of what an approval goes on with.
func TestScalingThatFailsAfterAnApprovalIsAWarning(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.in.Spec.PauseAt, w.in.Spec.TargetCPU = []string{"post_production_traffic_shift"}, 50
	w.code(t, deployment.AwaitingApproval, w.deploy("b"))
	w.aws.Fail("application-autoscaling:PutScalingPolicy", apiError("LimitExceededException"))
	r := w.passed(w.asked(Approve))
	assert.True(t, w.warned(r, NotAsPlanned))
	assert.True(t, w.ran("b"), "staging has run it")
	s := w.state()
	assert.Equal(t, journal.Passed, s.Ended[len(s.Ended)-1].Verdict)
}

// Scaling that takes seconds to be consistent is no warning either.
func TestScalingThatIsNotConsistentYet(t *testing.T) {
	w := newWorld(t, "rolling")
	w.aws.Scaling.Settles = 15 * time.Second
	r := w.deployed("a")
	assert.False(t, w.warned(r, NotAsPlanned))
	w.in.Spec.TargetCPU = 50
	w.aws.Fail("application-autoscaling:PutScalingPolicy", &smithy.GenericAPIError{Code: "ConcurrentUpdateException",
		Fault: smithy.FaultClient})
	assert.False(t, w.warned(w.deployed("b"), NotAsPlanned))
	// A rollback's target is the release that served.
	r = Rollback(w.ctx, w.clients(), w.clock, w.in)
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
	assert.Equal(t, family+"1", w.serving())
}

func TestWhatAWSRemarksIsAWarning(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.aws.CloudWatch.Warnings = []cloudwatch.DashboardValidationMessage{{DataPath: aws.String("/widgets/1"),
		Message: aws.String("may not render")}}
	r := w.deployed("a")
	assert.True(t, w.warned(r, AWSRemark))
	w.aws.ECS.SetAlarm("openstack-rca-service-staging-tasks-missing")
	assert.False(t, w.warned(w.deployed("b"), AlarmPreexisting), "it guards no deployment")
	w.aws.ECS.SetAlarm("openstack-rca-service-staging-5xx")
	assert.True(t, w.warned(w.deployed("c"), AlarmPreexisting))
}

func TestADeployWithAPolicyOfTheAccountWritesNothingTwice(t *testing.T) {
	w := newWorld(t, "rolling")
	w.aws.Logs.AccountPolicy, w.aws.Logs.AccountDays = "org-retention", 90
	w.deployed("a")
	from := len(w.aws.Calls())
	w.deployed("a")
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	r := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.False(t, r.Changed)
	assert.Contains(t, r.Text, "org-retention")
}

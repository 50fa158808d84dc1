package release

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// failsFrom makes all calls fail from the first one of an operation on.
func (w *world) failsFrom(operation string, err error) {
	failing := false
	w.aws.Disturb(func(called string) fakeaws.Disturbance {
		if failing = failing || called == operation; failing {
			return fakeaws.Disturbance{Err: err}
		}
		return fakeaws.Disturbance{}
	})
}

var expired = &smithy.GenericAPIError{Code: "ExpiredTokenException", Message: "The security token is expired", Fault: smithy.FaultClient}

// Credentials that expire are told as that, whichever call meets it first, and not as missing permissions or a wrong journal.
func TestCredentialsThatExpireAreNamed(t *testing.T) {
	for _, operation := range []string{"s3:GetObject", "ecs:DescribeClusters", "elb:DescribeRules", "logs:DescribeLogGroups",
		"s3:PutObject", "ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:UpdateService", "ecs:DescribeServiceDeployments"} {
		t.Run(operation, func(t *testing.T) {
			w := newWorld(t, "rolling")
			w.deployed("a")
			w.failsFrom(operation, expired)
			result := w.deploy("b")
			w.code(t, deployment.AuthExpired, result)
			assert.Contains(t, result.Stage.Next, "fresh credentials")
			w.aws.Disturb(nil)
			w.deployed("b")
			assert.Equal(t, family+"2", w.serving())
		})
	}
}

// After a rollback that did not succeed, the version that was to be left serves. It must not be called the old one, nor be
// deployed by the remedy.
func TestARollbackThatFailsSaysWhatServes(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.deployed("b")
	w.aws.ECS.Behave(family+"1", fakeaws.Behaviour{FailAfter: 15 * time.Second, Failure: &fakeaws.Failure{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1}})
	result := Rollback(w.ctx, w.clients(), w.clock, w.in)
	w.code(t, deployment.RolledBack, result)
	assert.Equal(t, family+"2", w.serving())
	assert.Contains(t, result.Stage.Cause, "2 tasks of the earlier release failed")
	assert.Contains(t, result.Stage.Cause, "the version that was to be left still serves")
	assert.NotContains(t, result.Stage.Failure(), "new")
	assert.Equal(t, result.Stage.Cause, w.state().Ended[2].Cause)
}

func TestAnInterruptedRollbackIsToBeRunAgain(t *testing.T) {
	for name, want := range map[string]verdict.Code{"cancelled": deployment.Interrupted, "expired": deployment.AuthExpired,
		"down": deployment.Lost} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.deployed("a")
			w.deployed("b")
			ctx, cancel := context.WithCancel(w.ctx)
			defer cancel()
			looks := 0
			w.aws.Disturb(func(operation string) fakeaws.Disturbance {
				if operation == "ecs:DescribeServiceDeployments" {
					looks++
				}
				switch {
				case looks < 4:
					return fakeaws.Disturbance{}
				case name == "cancelled":
					cancel()
				case name == "expired":
					return fakeaws.Disturbance{Err: expired}
				}
				return fakeaws.Disturbance{Err: &smithy.GenericAPIError{Code: "InternalFailure", Fault: smithy.FaultServer}}
			})
			result := Rollback(ctx, w.clients(), w.clock, w.in)
			w.code(t, want, result)
			require.Contains(t, result.Stage.Next, "Run rollback again")
			w.aws.Disturb(nil)
			result = Rollback(w.ctx, w.clients(), w.clock, w.in)
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Equal(t, family+"1", w.serving())
		})
	}
}

// The remedy of a journal that cannot be used now is not another journal, which would know neither the lock nor the releases.
func TestAJournalThatFailsKeepsItsPlace(t *testing.T) {
	for code, next := range map[string]string{
		"SlowDown": "when the store of the journal answers", "PermanentRedirect": "Set AWS_DEFAULT_REGION", "SignatureDoesNotMatch": "access key",
		"RequestTimeTooSkewed": "clock", "AccessDenied": "Set rollout.journal",
	} {
		for _, operation := range []string{"s3:GetObject", "s3:PutObject"} {
			w := newWorld(t, "rolling")
			w.failsFrom(operation, &smithy.GenericAPIError{Code: code, Message: "no"})
			result := w.deploy("a")
			w.code(t, journal.JournalFailed, result)
			assert.Contains(t, result.Stage.Next, next, code)
			assert.Equal(t, next == "Set rollout.journal", strings.Contains(result.Stage.Next, "rollout.journal"), code)
		}
	}
}

func TestARefusedUpdateDoesNotSayThatNothingWasChanged(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.failsFrom("ecs:UpdateService", &smithy.GenericAPIError{Code: "InvalidParameterException", Message: "TaskDefinition is inactive"})
	result := w.deploy("b")
	w.code(t, deployment.UpdateFailed, result)
	assert.NotEmpty(t, result.Stage.Published)
	assert.NotContains(t, result.Stage.Next, "nothing was changed")
}

func TestAFamilyThatAnotherCallerRegistersInIsWaitedFor(t *testing.T) {
	w := newWorld(t, "rolling")
	busy := &smithy.GenericAPIError{Code: "ClientException", Fault: smithy.FaultClient,
		Message: "Too many concurrent attempts to create a new revision of the specified family."}
	w.aws.Fail("ecs:RegisterTaskDefinition", busy, busy)
	w.deployed("a")
	assert.Equal(t, family+"1", w.serving())
}

// What ECS calls the reason is its rule; the first line says what happened, and the evidence how it ended.
func TestARolledBackDeploymentSaysWhatItsTasksDid(t *testing.T) {
	for _, strategy := range []string{"rolling", "blue_green"} {
		w := newWorld(t, strategy)
		w.deployed("a")
		w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{FailAfter: 15 * time.Second, Alone: &fakeaws.Behaviour{}, Failure: &fakeaws.Failure{
			Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 3}})
		result := w.deploy("b")
		w.code(t, deployment.RolledBack, result)
		assert.Contains(t, result.Stage.Cause, "exit code 3; the old version serves")
		names := map[string]string{}
		for _, e := range result.Stage.Evidence {
			names[e.Name] = e.Value
		}
		assert.Contains(t, names["deployment"], " ROLLBACK_SUCCESSFUL")
	}
}

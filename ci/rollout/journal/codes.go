package journal

import (
	"errors"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Codes of the journal.
var (
	JournalFailed = verdict.Code{Name: "JOURNAL_FAILED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "The journal of rollouts could not be read or written, so the lock could not be checked; nothing more was changed.",
		Remedy: "Set rollout.journal (or publish.artifact_root) to an s3:// address that the credentials may read and write, in a store " +
			"that honours conditional writes"}
	Locked = verdict.Code{Name: "LOCKED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "Another run is deploying this service of this environment; nothing was changed.",
		Remedy: "Wait for the run that the cause names; the lock of an interrupted run expires by itself, at the latest at the time in the " +
			"cause"}
)

// Problem converts an error of the journal: JournalFailed, or expired credentials. The remedy proposes another journal only
// if this one cannot work, because the lock and the releases are in this one.
func Problem(err error) *verdict.Problem {
	p := deployment.ProblemOf(JournalFailed, err)
	var store *s3object.Error
	if p.Code.Name != JournalFailed.Name || !errors.As(err, &store) {
		return p
	}
	switch store.Kind {
	case s3object.Throttled, s3object.Unreachable, s3object.Busy:
		p.Next = "Run the same again when the store of the journal answers; another journal would know neither the lock nor the releases"
	case s3object.WrongRegion:
		p.Next = "Set AWS_DEFAULT_REGION, or publish.region, to the region of the journal's bucket; rollout.region may be another one"
	case s3object.BadCredentials:
		p.Next = "Check the access key, its secret and its session token, then run the same again"
	case s3object.ClockSkew:
		p.Next = awsclock.Remedy
	case s3object.AccessDenied:
		p.Next = store.Denied()
	}
	return p
}

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{JournalFailed, Locked} }

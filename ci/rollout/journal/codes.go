package journal

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of the journal.
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

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{JournalFailed, Locked} }

package runledger

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of this package.
var (
	CodeUnwritten = verdict.Code{
		Name: "LEDGER_UNWRITTEN", Stage: verdict.Preflight,
		Meaning: "the run could not be recorded in the ledger of runs; its verdict stands, but runs, dora and metrics will not have it",
		Remedy:  "check the directory of --state, or that the credentials may write below publish.artifact_root (s3:PutObject)",
	}
	CodeFailed = verdict.Code{
		Name: "LEDGER_FAILED", Stage: verdict.Preflight, Outcome: verdict.CouldNotRun,
		Meaning: "the ledger of runs could not be read, so nothing is known of earlier runs",
		Remedy: "check the directory of --state, or that the credentials may list and read below publish.artifact_root (s3:ListBucket, " +
			"s3:GetObject)",
	}
	CodeNone = verdict.Code{
		Name: "LEDGER_NONE", Stage: verdict.Preflight, Outcome: verdict.CouldNotRun,
		Meaning: "there is no ledger of runs to read: the sandbox keeps none unless --state names a directory",
		Remedy:  "give --state a directory, or --environment staging or production with publish.artifact_root and credentials",
	}
	CodeRecord = verdict.Code{
		Name: "RECORD_UNREADABLE", Stage: verdict.Preflight,
		Meaning: "a record of the ledger of runs is damaged, or of a newer version of the pipeline; the figures are without it",
		Remedy:  "use the version of the pipeline that wrote it, or delete a damaged record; its name is in the cause",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeUnwritten, CodeFailed, CodeNone, CodeRecord} }

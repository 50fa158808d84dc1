package pipeline

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of what can be wrong before the first stage.
var (
	CodeBadArgument = verdict.Code{
		Name: "BAD_ARGUMENT", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "an argument of the call is not of the form it must have; all of them are listed",
		Remedy:  "correct the arguments; `dagger functions` and `openstack-rca --help` describe them",
	}
	CodeRefMissing = verdict.Code{
		Name: "REF_MISSING", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "outside of the sandbox a call has to name its branch, tag or pull request; it would have the rights of main otherwise",
		Remedy:  "give --ref, such as `--ref \"$GITHUB_REF\"` or `--ref main`",
	}
	CodeConfigMisnamed = verdict.Code{
		Name: "CONFIG_MISNAMED", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "there is no pipeline.yaml, but something that was most likely meant to be it; its settings would be ignored",
		Remedy:  "rename it to pipeline.yaml; if it belongs to another tool, add a pipeline.yaml, which may be empty",
	}
	CodeReportUnwritable = verdict.Code{
		Name: "REPORT_UNWRITABLE", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "no file can be written in the directory of --report, so nothing was started",
		Remedy:  "give --report a directory that can be made and written, on a disk that has room",
	}
	CodeSourceUnreadable = verdict.Code{
		Name: "SRC_UNREADABLE", Stage: verdict.Preflight, Outcome: verdict.CouldNotRun,
		Meaning: "the source directory could not be read",
		Remedy:  "check --source and the permissions of the directory",
	}
	CodeSourceEmpty = verdict.Code{
		Name: "SRC_EMPTY", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "the source directory holds no file that a stage may see",
		Remedy:  "point --source at the root of the application's repository",
	}
	CodeSourceNotPython = verdict.Code{
		Name: "SRC_NOT_PYTHON", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "the source directory holds no Python file",
		Remedy:  "point --source at the root of the application's repository",
	}
)

// CodeUntrusted refuses to run a stranger's code where credentials are in its reach.
var CodeUntrusted = verdict.Code{
	Name: "UNTRUSTED_SOURCE", Stage: verdict.Preflight, Outcome: verdict.CouldNotRun,
	Meaning: "without an engine, the code of a pull request would run as the user who holds the credentials of the call",
	Remedy:  "leave the credentials out of this job, tests and training need none; or run it on a Dagger engine, where they are out of reach",
}

// CodeUnseen refuses to publish a model that nothing looked into.
var CodeUnseen = verdict.Code{
	Name: "MODEL_UNSEEN", Stage: verdict.Publish, Outcome: verdict.Fail,
	Meaning: "the model is of a format that runs code when it is loaded, and services that load published models have credentials in reach",
	Remedy:  "save the model in the Keras v3 format (.keras)",
}

// CodeChampionNotAsked warns of a training that was not compared with the model in production.
var CodeChampionNotAsked = verdict.Code{
	Name: "CHAMPION_NOT_ASKED", Stage: verdict.Train,
	Meaning: "the ref gets no credentials, so the MLflow registry was not asked for the model in production",
	Remedy:  "nothing to do for a pull request: the run of the branch compares; --champion takes a file of metrics",
}

// The warnings about a run as a whole.
var (
	CodeNotStopped = verdict.Code{
		Name: "NOT_STOPPED", Stage: verdict.Preflight,
		Meaning: "a server that the run started did not stop in time",
		Remedy:  "nothing to do: it ends with the session",
	}
	CodeNotMasked = verdict.Code{
		Name: "SECRET_NOT_MASKED", Stage: verdict.Preflight,
		Meaning: "the value of a secret is too short to be hidden in reports: hiding it would hide much else",
		Remedy:  "use a longer secret",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{
		CodeBadArgument, CodeRefMissing, CodeConfigMisnamed, CodeReportUnwritable, CodeSourceUnreadable, CodeSourceEmpty, CodeSourceNotPython,
		CodeUntrusted, CodeUnseen, CodeChampionNotAsked, CodeNotStopped, CodeNotMasked,
	}
}

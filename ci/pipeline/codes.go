package pipeline

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of what can be wrong before the first stage.
var (
	CodeBadArgument = verdict.Code{
		Name: "BAD_ARGUMENT", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "an argument of the call is not of the form it must have; all of them are listed",
		Remedy:  "correct the arguments; `dagger functions` and `openstack-rca --help` describe them",
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

// CodeUnseen refuses to publish a model that nothing looked into.
var CodeUnseen = verdict.Code{
	Name: "MODEL_UNSEEN", Stage: verdict.Publish, Outcome: verdict.Fail,
	Meaning: "the model is of a format that runs code when it is loaded; whoever loads a published model has credentials in reach",
	Remedy:  "save the model in the Keras v3 format (.keras)",
}

// CodeNotStopped warns of a server of the sandbox that did not end when told to.
var CodeNotStopped = verdict.Code{
	Name: "NOT_STOPPED", Stage: verdict.Preflight,
	Meaning: "a server that the run started did not end in time",
	Remedy:  "nothing to do: it ends with the session",
}

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{CodeBadArgument, CodeSourceUnreadable, CodeSourceEmpty, CodeSourceNotPython, CodeUnseen, CodeNotStopped}
}

package pipeline

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// Problems that are found before the first stage.
var (
	CodeBadArgument = verdict.Code{
		Name: "BAD_ARGUMENT", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "an argument of the call is invalid; all of them are listed",
		Remedy:  "correct the arguments; `dagger functions` and `openstack-rca --help` describe them",
	}
	CodeRefMissing = verdict.Code{
		Name: "REF_MISSING", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "outside the sandbox a call must name its branch, tag or pull request; otherwise it would have the rights of main. " +
			"Only a rollout to an AWS on this machine need not",
		Remedy: "give --ref, such as `--ref \"$GITHUB_REF\"` or `--ref main`",
	}
	CodeRefAssumed = verdict.Code{
		Name: "REF_ASSUMED", Stage: verdict.Preflight,
		Meaning: "neither the call nor a git checkout named a branch, so the run has the rights of the default release branch, in the " +
			"sandbox or for an AWS on this machine",
		Remedy: "give --ref; the command `openstack-rca` takes it from git when --source is on a branch",
	}
	CodeEventUnknown = verdict.Code{
		Name: "EVENT_UNKNOWN", Stage: verdict.Preflight,
		Meaning: "the event is not known as one of a branch, so the run gets tests and training only, without credentials",
		Remedy:  "check the spelling of --event; push, schedule, workflow_dispatch and pull_request are known, and it may be left out",
	}
	CodeSourceModified = verdict.Code{
		Name: "SOURCE_MODIFIED", Stage: verdict.Preflight,
		Meaning: "the checkout has changes that are not committed, so its commit does not name what was tested and built",
		Remedy:  "commit the changes, or give --commit to name a commit anyway",
	}
	CodeConfigMisnamed = verdict.Code{
		Name: "CONFIG_MISNAMED", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "there is no pipeline.yaml, but a file or directory that was probably meant to be it; its settings would be ignored. " +
			"A warning beside a pipeline.yaml",
		Remedy: "rename it to pipeline.yaml; if it belongs to another tool, add a pipeline.yaml, which may be empty",
	}
	CodeConfigAbove = verdict.Code{
		Name: "CONFIG_ABOVE", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "the source is a folder of a project whose pipeline.yaml is in a folder above; its settings would be ignored",
		Remedy: "give --source the folder that has pipeline.yaml; a folder that is a project of its own takes a pipeline.yaml, which may " +
			"be empty",
	}
	CodeReportUnwritable = verdict.Code{
		Name: "REPORT_UNWRITABLE", Stage: verdict.Preflight, Outcome: verdict.Fail,
		Meaning: "no file can be written in the directory of --report, or files of yours are there, so nothing was started",
		Remedy:  "give --report a directory of its own that can be created and written, on a disk with space",
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

// CodeUntrusted refuses to run untrusted code that could read credentials.
var CodeUntrusted = verdict.Code{
	Name: "UNTRUSTED_SOURCE", Stage: verdict.Preflight, Outcome: verdict.CouldNotRun,
	Meaning: "without an engine, the code of a pull request would run as the user who holds the credentials of the call",
	Remedy:  "leave the credentials out of this job: tests and training need none. Or use a Dagger engine, whose containers cannot read them",
}

// CodeAppMissing means that the application's start command names a file that does not exist.
var CodeAppMissing = verdict.Code{
	Name: "APP_MISSING", Stage: verdict.Image, Outcome: verdict.Fail,
	Meaning: "the command that starts the application names a file that is not in the source",
	Remedy: "set image.command, image.port and image.health in pipeline.yaml to those of the application. " +
		"For a project that serves nothing leave image and deploy out: policy: {main: [test, train, publish]}",
}

// CodeUnseen refuses to publish a model that was not inspected.
var CodeUnseen = verdict.Code{
	Name: "MODEL_UNSEEN", Stage: verdict.Publish, Outcome: verdict.Fail,
	Meaning: "loading a model of this format runs code, and services that load published models can read credentials",
	Remedy: "save the model without pickle: skops.io.dump for scikit-learn, save_model with .ubj for XGBoost and .lgb for LightGBM, .keras, " +
		".onnx, or .safetensors for PyTorch: docs/models.md. Without that, leave what follows out: policy: {main: [test, train]}",
}

// CodeChampionNotAsked warns that the new model was not compared with the model in production.
var CodeChampionNotAsked = verdict.Code{
	Name: "CHAMPION_NOT_ASKED", Stage: verdict.Train,
	Meaning: "the ref gets no credentials, so the MLflow registry was not asked for the model in production",
	Remedy:  "nothing to do for a pull request: the run of the branch compares; --champion takes a file of metrics",
}

// Warnings about a whole run.
var (
	CodeNotStopped = verdict.Code{
		Name: "NOT_STOPPED", Stage: verdict.Preflight,
		Meaning: "a server that the run started did not stop in time",
		Remedy:  "nothing to do: it stops with the session",
	}
	CodeNotMasked = verdict.Code{
		Name: "SECRET_NOT_MASKED", Stage: verdict.Preflight,
		Meaning: "the value of a secret is too short to be masked in reports: that would mask much else, too",
		Remedy:  "use a longer secret",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{
		CodeBadArgument, CodeRefMissing, CodeConfigMisnamed, CodeConfigAbove, CodeReportUnwritable, CodeSourceUnreadable,
		CodeSourceEmpty, CodeSourceNotPython,
		CodeRefAssumed, CodeEventUnknown, CodeSourceModified, CodeUntrusted, CodeAppMissing, CodeUnseen, CodeChampionNotAsked,
		CodeNotStopped, CodeNotMasked,
	}
}

package pyenv

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// Codes for findings in a project's files. All are warnings except RequirementsInvalid. For returns a code as another stage
// raises it.
var (
	// PytestConfigIgnored: a section with settings that pytest does not read.
	PytestConfigIgnored = verdict.Code{
		Name: "PYTEST_CONFIG_IGNORED", Stage: verdict.Test,
		Meaning: "A pytest configuration file has its settings in a section that pytest does not read.",
		Remedy:  "Name the section [pytest] in pytest.ini and tox.ini, [tool:pytest] in setup.cfg, [tool.pytest.ini_options] in pyproject.toml",
	}
	// RequirementsUnlocked: the installed versions can change from day to day.
	RequirementsUnlocked = verdict.Code{
		Name: "REQUIREMENTS_UNLOCKED", Stage: verdict.Test,
		Meaning: "The packages are installed from files without hashes: what is tested can change without a commit.",
		Remedy:  "Lock them: uv pip compile --universal --generate-hashes FILE -o requirements/test.lock, with the named file for FILE",
	}
	// RequirementsNone: the project declares nothing to install.
	RequirementsNone = verdict.Code{
		Name: "REQUIREMENTS_NONE", Stage: verdict.Test,
		Meaning: "No file lists what the project needs, so only the test tools are installed.",
		Remedy:  "Add requirements/test.lock, or name the files in test.requirements of pipeline.yaml",
	}
	// RequirementsUnread: a declaration of packages that was not installed.
	RequirementsUnread = verdict.Code{
		Name: "REQUIREMENTS_UNREAD", Stage: verdict.Test,
		Meaning: "A module or a pytest plugin is missing, and the source declares packages in places that this stage does not install from.",
		Remedy: "If a named file declares the module, list that file under test.requirements of pipeline.yaml; " +
			"if a named group or extra does, write its name there: test.requirements: [\".[NAME]\"]",
	}
	// LockStale: the lock is older than a declared package.
	LockStale = verdict.Code{
		Name: "LOCK_STALE", Stage: verdict.Test,
		Meaning: "The lock lacks packages that the project declares: it was made before, and they are not installed.",
		Remedy:  "Lock again with the tool that owns the lock, such as uv lock or poetry lock",
	}
	// NumPyMismatch: a package built for NumPy 1 runs with NumPy 2.
	NumPyMismatch = verdict.Code{
		Name: "NUMPY_MISMATCH", Stage: verdict.Test,
		Meaning: "A package that was built for NumPy 1 was installed beside NumPy 2, which it does not declare. Where versions are free, " +
			"uv takes the newest of what is named first: numpy before an older tensorflow.",
		Remedy: "Add numpy<2 to the requirements, or allow a version of the package that was built for NumPy 2",
	}
	// FailUnderReplaced: the project's own coverage gate is not enforced.
	FailUnderReplaced = verdict.Code{
		Name: "FAIL_UNDER_REPLACED", Stage: verdict.Test,
		Meaning: "The project's own fail_under, or --cov-fail-under in its settings of pytest, is higher than the gate of pipeline.yaml, " +
			"which replaces it.",
		Remedy: "Set test.coverage.total in pipeline.yaml to the minimum that you want",
	}
	// PythonMismatch: the project does not support this Python.
	PythonMismatch = verdict.Code{
		Name: "PYTHON_MISMATCH", Stage: verdict.Test,
		Meaning: "The Python of the environment is not one that the project declares to support.",
		Remedy:  "Set python in pipeline.yaml to a version that requires-python allows; without the key, the pipeline chooses one",
	}
	// ProjectNotBuilt: the build of a package failed.
	ProjectNotBuilt = verdict.Code{
		Name: "PROJECT_NOT_BUILT", Stage: verdict.Test,
		Meaning: "The project's own build failed, so its plain source is used: generated files, compiled modules and full metadata are missing.",
		Remedy:  "Run `uv build --wheel` in the project's directory and correct what it reports; or set test.build: never in pipeline.yaml",
	}
	// VersionUnknown: the version is computed from git.
	VersionUnknown = verdict.Code{
		Name: "VERSION_UNKNOWN", Stage: verdict.Test,
		Meaning: "The project's version is computed from git, which its build does not see here.",
		Remedy: "Nothing to do unless a test needs the version: then set SETUPTOOLS_SCM_PRETEND_VERSION under test.vars (train.vars, " +
			"image.vars) in pipeline.yaml. It counts for other tools than setuptools-scm, too",
	}
	// ModulesMoved: a build puts modules under another name.
	ModulesMoved = verdict.Code{
		Name: "MODULES_MOVED", Stage: verdict.Test,
		Meaning: "The project's build puts modules of the source under other names. Tests that import these run copies, " +
			"and coverage does not count the originals as executed.",
		Remedy: "Give the named modules the same path in the source as in the package, or import them in tests as the source has them",
	}
	// SubmoduleEmpty: a submodule was not checked out.
	SubmoduleEmpty = verdict.Code{
		Name: "SUBMODULE_EMPTY", Stage: verdict.Test,
		Meaning: "A git submodule of the source has no files: it was not checked out.",
		Remedy:  "Run git submodule update --init --recursive in the source (on GitHub Actions: submodules: recursive of actions/checkout)",
	}
	// LFSPointer: a file of Git LFS was not fetched.
	LFSPointer = verdict.Code{
		Name: "LFS_POINTER", Stage: verdict.Test,
		Meaning: "A file of the source is a pointer of Git LFS: what it stands for was not fetched.",
		Remedy:  "Run git lfs pull in the source (on GitHub Actions: lfs: true of actions/checkout)",
	}
	// RequirementsInvalid: a requirements file cannot be used.
	RequirementsInvalid = verdict.Code{
		Name: "REQUIREMENTS_INVALID", Stage: verdict.Test, Outcome: verdict.Fail,
		Meaning: "A file that lists packages is missing, unreadable, or leads out of the source.",
		Remedy:  "Correct the named file, or test.requirements in pipeline.yaml",
	}
	// BuildFailed: a build that test.build requires failed.
	BuildFailed = verdict.Code{
		Name: "PROJECT_BUILD_FAILED", Stage: verdict.Test, Outcome: verdict.CouldNotRun,
		Meaning: "The project's own build failed, and test.build in pipeline.yaml demands it.",
		Remedy:  "Run `uv build --wheel` in the project's directory and correct what it reports",
	}
)

// For returns a finding's code as another stage reports it.
func For(stage string, code verdict.Code) verdict.Code {
	code.Stage = stage
	return code
}

// Codes are all codes of this package as the tests report them.
func Codes() []verdict.Code {
	return append(shared(), RequirementsInvalid, PytestConfigIgnored, RequirementsUnlocked, RequirementsNone, FailUnderReplaced, BuildFailed)
}

// CodesFor returns the codes that training and serving share with the tests.
func CodesFor(stage string) []verdict.Code {
	all := append(shared(), BuildFailed)
	for i := range all {
		all[i] = For(stage, all[i])
	}
	return all
}

func shared() []verdict.Code {
	return []verdict.Code{RequirementsUnread, LockStale, NumPyMismatch, PythonMismatch, ProjectNotBuilt, VersionUnknown, ModulesMoved,
		SubmoduleEmpty, LFSPointer}
}

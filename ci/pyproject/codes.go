package pyproject

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of what is found in a project's files.
var (
	// PytestConfigIgnored is a section that pytest does not read.
	PytestConfigIgnored = verdict.Code{
		Name: "PYTEST_CONFIG_IGNORED", Stage: verdict.Test,
		Meaning: "A pytest configuration file has its settings in a section that pytest does not read.",
		Remedy:  "Name the section [pytest] in pytest.ini and tox.ini, [tool:pytest] in setup.cfg, [tool.pytest.ini_options] in pyproject.toml",
	}
	// RequirementsUnlocked is an installation that can differ from day to day.
	RequirementsUnlocked = verdict.Code{
		Name: "REQUIREMENTS_UNLOCKED", Stage: verdict.Test,
		Meaning: "The packages are installed from files without hashes: what is tested can change without a commit.",
		Remedy:  "Lock them: uv pip compile --universal --generate-hashes requirements-test.txt -o requirements/test.lock",
	}
	// RequirementsNone is a project that declares nothing to install.
	RequirementsNone = verdict.Code{
		Name: "REQUIREMENTS_NONE", Stage: verdict.Test,
		Meaning: "No file says what the project needs, so only the test tools are installed.",
		Remedy:  "Add requirements/test.lock, or name the files in test.requirements of pipeline.yaml",
	}
	// FailUnderReplaced is a gate of the project's own that is not held.
	FailUnderReplaced = verdict.Code{
		Name: "FAIL_UNDER_REPLACED", Stage: verdict.Test,
		Meaning: "coverage.py's own fail_under is higher than the gate of pipeline.yaml, which replaces it.",
		Remedy:  "Set test.coverage.total in pipeline.yaml to the floor you mean",
	}
	// RequirementsInvalid is a requirements file that cannot be used.
	RequirementsInvalid = verdict.Code{
		Name: "REQUIREMENTS_INVALID", Stage: verdict.Test, Outcome: verdict.Fail,
		Meaning: "A requirements file is missing, unreadable or leads out of the source.",
		Remedy:  "Correct test.requirements in pipeline.yaml, or the -r and -c lines of the files named there",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{RequirementsInvalid, PytestConfigIgnored, RequirementsUnlocked, RequirementsNone, FailUnderReplaced}
}

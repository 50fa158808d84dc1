package native

import "github.com/openstack-rca/openstack-rca/ci/verdict"

var (
	// CodeOtherPython warns that results come from another Python than the configured one.
	CodeOtherPython = verdict.Code{
		Name: "OTHER_PYTHON", Stage: "any",
		Meaning: "Without an engine: the Python version that was asked for is not installed, and the stages ran on another one.",
		Remedy:  "install it (`uv python install VERSION`, `pyenv install VERSION`, or your system's package), or set `python` in pipeline.yaml",
	}
	// CodeSystemMissing warns about Debian packages that the host lacks.
	CodeSystemMissing = verdict.Code{
		Name: "SYSTEM_PACKAGE_MISSING", Stage: "any",
		Meaning: "Without an engine: packages of Debian in system_packages of pipeline.yaml are not installed on this machine. " +
			"The pipeline does not install them here.",
		Remedy: "install them: sudo apt-get install NAME",
	}
	// CodeEnvChanged warns about a step that wrote into its own environment.
	CodeEnvChanged = verdict.Code{
		Name: "ENV_CHANGED", Stage: "any",
		Meaning: "Without an engine: a step changed the packages that were installed for it, so it did not run on what the lock file names. " +
			"The environment was thrown away, and the result is not kept for later runs.",
		Remedy: "install what the step needs by the requirements, not in a test; let it write to its working directory or to TMPDIR",
	}
	// CodeNotRemembered warns that the next run has to repeat a step.
	CodeNotRemembered = verdict.Code{
		Name: "NOT_REMEMBERED", Stage: "any",
		Meaning: "Without an engine: the result of a step could not be kept, so the next run makes it again. The result itself is good.",
		Remedy:  "read the cause; XDG_CACHE_HOME chooses another place for the cache",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{CodeOtherPython, CodeSystemMissing, CodeEnvChanged, CodeNotRemembered}
}

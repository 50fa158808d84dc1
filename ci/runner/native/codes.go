package native

import "github.com/openstack-rca/openstack-rca/ci/verdict"

var (
	// CodeOtherPython warns of results that another Python than the configured one gave.
	CodeOtherPython = verdict.Code{
		Name: "OTHER_PYTHON", Stage: "any",
		Meaning: "Without an engine: the Python version that was asked for is not installed, and the stages ran on another one.",
		Remedy:  "install it (`uv python install VERSION`, `pyenv install VERSION`, or your system's package), or set `python` in pipeline.yaml",
	}
	// CodeNotRemembered warns of a result that the next run has to make again.
	CodeNotRemembered = verdict.Code{
		Name: "NOT_REMEMBERED", Stage: "any",
		Meaning: "Without an engine: the result of a step could not be kept, so the next run makes it again. The result itself is good.",
		Remedy:  "read the cause; XDG_CACHE_HOME chooses another place for the cache",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeOtherPython, CodeNotRemembered} }

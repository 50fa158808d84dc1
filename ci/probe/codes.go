package probe

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

// The codes of a probe. They belong to the image stage: nothing else is probed.
var (
	CodeUnhealthy = failure("UNHEALTHY", "The application answers, but its health path never answered 200 or 204 in time.",
		"Read the application's last lines, here and in the report; raise image.start_budget if it is only slow")
	CodeScriptUnhealthy = failure("SCRIPT_UNHEALTHY", "The server is healthy, but the page script behind it fails.",
		"Read the application's last lines, here and in the report: most often an import is missing in the serving requirements, "+
			"or the model does not load")
	CodeNotListening = failure("NOT_LISTENING", "Nothing answers on the application's port.",
		"Let the application listen on 0.0.0.0 and on image.port, or raise image.start_budget if it is only slow")
	CodeCrashed = failure("CRASHED", "The application ended before it was healthy.",
		"Fix the error in the application's last lines, here and in the report")
	CodeFlapping = failure("FLAPPING", "The application was healthy, and then was not.",
		"Read the application's last lines, here and in the report: most often too little memory, or an error on the first request")
	CodeUnproven = failure("HEALTH_UNPROVEN",
		"The health path answers with the page that the server gives for any path, also one that cannot exist: this shows nothing.",
		"Set image.health (and image.script_health) to a path that the application has; for Streamlit 1.67 and later /_stcore/health")
	WarnUnproven = verdict.Code{Name: "HEALTH_ANSWERS_ALL", Stage: verdict.Image,
		Meaning: "The health path answers as a path does that cannot exist, so that it shows only that something listens.",
		Remedy:  "Let the application answer unknown paths with 404, or give its health path an answer of its own"}
	CodeNoPath = failure("NO_HEALTH_PATH", "There is no health path to ask.",
		"Set image.health in pipeline.yaml")
	CodeCancelled = verdict.Code{Name: "PROBE_CANCELLED", Stage: verdict.Image, Outcome: verdict.CouldNotRun,
		Meaning: "The run was cancelled while the application was starting.", Remedy: "Run the stage again"}
)

// Codes lists every code a probe can end with.
func Codes() []verdict.Code {
	return []verdict.Code{CodeUnhealthy, CodeScriptUnhealthy, CodeNotListening, CodeCrashed, CodeFlapping, CodeUnproven, CodeNoPath,
		CodeCancelled, WarnUnproven}
}

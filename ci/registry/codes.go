package registry

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func fail(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

// The codes of what a registry answers. Package image lists them.
var (
	PushAuth = fail("PUSH_AUTH", "The registry refused the credentials.",
		"Check the username and password, and that they may push to this repository")
	PushThrottled = couldNotRun("PUSH_THROTTLED", "The registry limited the rate of requests, and retries did not help.",
		"Run the stage again later; log in for a higher limit")
	PushUnavailable = couldNotRun("PUSH_UNAVAILABLE", "The registry could not be reached or failed.",
		"Run the stage again when the registry works again")
	PushFailed = fail("PUSH_FAILED", "The registry did not accept the image.",
		"Read the registry's answer; check that the repository exists")
	DigestMismatch = fail("DIGEST_MISMATCH", "The registry holds another digest than was pushed.",
		"Do not use the image; find out what else pushes to this repository, then run the stage again")
	TagTaken = fail("TAG_TAKEN", "An immutable tag already names another digest, or a model's version an image of another model.",
		"Build a new commit: published versions are never changed. If the tag is a model's version, check which MLflow server assigned it, "+
			"and push the images of another server to another repository")
	TagFailed = fail("TAG_FAILED", "A tag could not be set or does not read back.",
		"Run the stage again: it pushes nothing new, and sets only the tags")
)

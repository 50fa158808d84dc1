package join

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func fail(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

// The codes of an index. Those of a push are package registry's.
var (
	NotByDigest = fail("JOIN_NOT_BY_DIGEST", "An image to join is not named by its digest.",
		"Name it by repository@sha256:<hex>, as the report of its run does")
	OtherRepository = fail("JOIN_OTHER_REPOSITORY", "The images to join are in several repositories; an index names images of its own.",
		"Push all of them to one repository: --image-address of their runs")
	WrongPlatforms = fail("JOIN_WRONG_PLATFORMS", "The images to join are not those of image.platforms in pipeline.yaml.",
		"Set image.platforms, and give one image of each: a run with --platform builds it")
	PlatformTwice = fail("JOIN_PLATFORM_TWICE", "Two of the images to join are of the same platform.",
		"Give one image of each platform, all of the same commit")
	OfIndex = fail("JOIN_OF_INDEX", "An image to join is an index itself.",
		"Name the images in it, which the runs of their platforms pushed")
	Unproven = fail("JOIN_UNPROVEN", "Nothing proves that a run of this environment built the image, started it and let it pass.",
		"Give the report of the run that built it with --from; where the call trusts a key, attest the image with that report first. If "+
			"the run did not pass, correct what it found and run it again")
	OtherModel = fail("JOIN_OTHER_MODEL", "The images to join hold different models, or one names none.",
		"Build all of them with the model that one run trained; docs/image.md says how")
	OtherCommit = fail("JOIN_OTHER_COMMIT", "The images to join are of different commits, or one names none.",
		"Build all of them from one commit, with --commit")
	OtherConfiguration = fail("JOIN_OTHER_CONFIGURATION", "Containers of the images to join would be started differently.",
		"Build all of them from the same source and for the same environment; in a Dockerfile, set these the same for every platform")
	Unreadable = verdict.Code{Name: "JOIN_UNREADABLE", Stage: verdict.Image, Outcome: verdict.CouldNotRun,
		Meaning: "An image to join could not be read from its registry.",
		Remedy:  "Check the reference and the registry's login; then join again"}
	WarnVariables = verdict.Code{Name: "JOIN_VARIABLES_DIFFER", Stage: verdict.Image,
		Meaning: "The images in the index set environment variables differently.",
		Remedy:  "Look at them in the images; variables of pipeline.yaml are the same in both"}
)

// Codes lists the codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{
		NotByDigest, OtherRepository, WrongPlatforms, PlatformTwice, OfIndex, Unproven, OtherModel, OtherCommit, OtherConfiguration,
		Unreadable, WarnVariables,
	}
}

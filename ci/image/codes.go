package image

import (
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Image, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

// The codes of the image stage. Those of the probe are package probe's.
var (
	CodeConfigInvalid = failure("IMAGE_CONFIG_INVALID", "The image section of pipeline.yaml cannot be followed.",
		"Correct the image section of pipeline.yaml; docs/configuration.md lists every key")
	CodeRequirementsMissing = failure("REQUIREMENTS_MISSING", "The source holds no requirements file for serving.",
		"Add requirements/serve.lock, or name the file under image.requirements in pipeline.yaml")
	CodeSourceUnreadable = couldNotRun("SOURCE_UNREADABLE", "A file of the source could not be read.",
		"Run the stage again; if it persists, look at the named file")
	CodeModelMissing = failure("MODEL_MISSING", "There is no model to put into the image.",
		"Train first: an image is only built around a model that passed its gates")
	CodeModelMismatch = failure("MODEL_MISMATCH", "The model's file is not the one that passed the gates.",
		"Train again; do not touch a model's files after training")
	CodeBaseUnavailable = couldNotRun("BASE_UNAVAILABLE", "The base image could not be pulled.",
		"Check image.base in pipeline.yaml, the registry's address, and the engine's network")
	CodeBaseUnfit = failure("BASE_UNFIT", "The base image cannot run the application.",
		"Use a python:<version>-slim image, or one with the same Python version at the same place, as image.base")
	CodeEnvFailed = couldNotRun("IMAGE_ENV_FAILED", "The serving requirements could not be installed.",
		"Correct what the installer's last lines, here and in the report, name, and use packages with wheels")
	CodePlatform = couldNotRun("PLATFORM_NOT_RUNNABLE", "The engine cannot run commands of the image's platform.",
		"Use an engine on such a machine, or install emulation on the engine's host: "+
			"docker run --privileged --rm tonistiigi/binfmt --install arm64")
	CodeWrongPlatform = failure("WRONG_PLATFORM", "The image is for another platform than was chosen.",
		"Use a base image that exists for image.platform; set image.platform where the engine is no linux/amd64 machine")
	CodeBuildFailed = failure("BUILD_FAILED", "The image could not be built.",
		"Read the last lines of the build")
	CodeEngineFailed = couldNotRun("ENGINE_FAILED", "The engine failed.",
		"Run doctor, then run the stage again")
	CodeCancelled = couldNotRun("CANCELLED", "The run was cancelled during the image stage.",
		"Run the stage again")

	CodeRoot = failure("RUNS_AS_ROOT", "The image would run as root.",
		"Set image.user to a number above 0")
	CodePort = failure("PORT_NOT_EXPOSED", "The image does not expose the application's port.",
		"Set image.port to the port that the application listens on")
	CodeNoHealthcheck = failure("NO_HEALTHCHECK", "The image declares no health check.",
		"Set image.health to the path that answers 200 or 204 when the application is healthy")
	CodeHealthcheckFails = failure("HEALTHCHECK_FAILS",
		"The application is healthy, but the health check that the image declares fails inside of it.",
		"Check image.health, and that the application also listens on 127.0.0.1")
	CodeSecret = failure("SECRET_IN_IMAGE", "The image holds what looks like a secret.",
		"Remove it from the source or from image.vars, and give it to the task as a secret at run time; replace it if it was ever pushed")
	CodeSetuid = failure("SETUID_FILE", "The image holds files that run with another user's rights.",
		"Use a base image without them; before USER in a Dockerfile: RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +")
	CodeWorldWritable = failure("WORLD_WRITABLE", "Files of the image are world-writable.",
		"Correct the modes in the source or in the base image")
	CodeHidden = failure("VOLUME_HIDES_CODE", "A volume is mounted over code of the image, which the application then does not find.",
		"Set image.volumes (and rollout.volumes) to directories that hold only what the application writes, such as /app/var; [] for none")
	CodeBuildTool = failure("BUILD_TOOL_LEFT", "Installers, compilers or what they cached are left in the image.",
		"Remove them from the serving requirements, or use a base image without them")
	CodeTooLarge = failure("IMAGE_TOO_LARGE", "The compressed layers exceed the budget.",
		"Remove packages that serving does not need from its requirements, or raise image.max_megabytes")
	CodeGolden = failure("GOLDEN_MISMATCH", "The model does not score the golden sample inside the image as it did after training.",
		"Compare the versions in the serving requirements with those in the training requirements")
	CodeUnreadable = failure("MODEL_UNREADABLE", "The library in the serving environment does not load the model.",
		"Pin the library that saved the model in the serving requirements (the cause names the versions), or train with the older one")
	CodeLoadTimeout = couldNotRun("MODEL_LOAD_TIMEOUT", "Loading the model in the serving environment did not end in its time. Nothing is "+
		"known of it.",
		"The last line of the log that begins with \"still loading\" says where it stands: put what it downloads into the source, and "+
			"release what it waits for")
	CodeElsewhere = failure("WRONG_PORT", "The application listens, but not where it should.",
		"Let image.command listen on 0.0.0.0 and on image.port")
	CodePage = failure("PAGE_NOT_DRAWN", "The application is healthy, but a browser that opens its page does not see it drawn.",
		"Look at image/page.png and at the application's last lines in the report; open the page with the run command of the report, "+
			"or set image.page to the page that users open. If it is only slow, raise image.start_budget")
	CodeBrowser = couldNotRun("NO_BROWSER", "No browser could be installed to load the page.",
		"Check that the engine can download the distribution's packages; image.page: \"\" in pipeline.yaml skips the page, with a warning")
	CodeImport = failure("IMPORT_FAILED", "A module that must import in the image does not.",
		"Add what is missing to the serving requirements; image.imports in pipeline.yaml lists the modules")
	CodeStartFailed = couldNotRun("START_FAILED", "The engine could not start the image.",
		"Read the cause; run the stage again")

	CodeSandboxRegistry = couldNotRun("SANDBOX_REGISTRY", "The sandbox's registry could not be used.",
		"Check that the engine can pull registry:2, then run the stage again")
	CodePushAuth        = registry.PushAuth
	CodePushThrottled   = registry.PushThrottled
	CodePushUnavailable = registry.PushUnavailable
	CodePushFailed      = registry.PushFailed
	CodeDigestMismatch  = registry.DigestMismatch
	CodeTagTaken        = registry.TagTaken
	CodeTagFailed       = registry.TagFailed

	WarnUnlocked = verdict.Code{Name: "REQUIREMENTS_UNLOCKED", Stage: verdict.Image,
		Meaning: "The serving requirements are not locked by hashes.",
		Remedy:  "Lock them: uv pip compile --universal --generate-hashes requirements/serve.in -o requirements/serve.lock"}
	WarnNotScored = verdict.Code{Name: "GOLDEN_NOT_SCORED", Stage: verdict.Image,
		Meaning: "The model was not scored inside the image.",
		Remedy:  "Let the training write the golden sample that train.golden names; train.score_command scores one that the pipeline cannot"}
	WarnOlder = verdict.Code{Name: "SERVING_OLDER", Stage: verdict.Image,
		Meaning: "A package that loads the model is older for serving than in the training. It can read a newer file without an error and " +
			"answer otherwise.",
		Remedy: "Require the training's version in the serving requirements"}
	WarnLogs = verdict.Code{Name: "NO_LOGS", Stage: verdict.Image,
		Meaning: "The application's output could not be read.",
		Remedy:  "Start the image with the command that the report has under \"Run it\", then: docker logs NAME"}
	WarnNotCut = verdict.Code{Name: "NETWORK_NOT_CUT", Stage: verdict.Image,
		Meaning: "The application was not run without a network to the outside: the kernel or the container refused the filter.",
		Remedy:  "Use an engine whose containers may use seccomp filters, as those of the stock engine may"}
	WarnRootWritable = verdict.Code{Name: "ROOT_WRITABLE", Stage: verdict.Image,
		Meaning: "The application was not run with a read-only root file system: the kernel or the container refused the rule.",
		Remedy: "Use an engine whose kernel has Landlock enabled (Linux 5.19 and later), and whose containers may use it, " +
			"as those of the stock engine may"}
	WarnHidden = verdict.Code{Name: "VOLUME_HIDES_FILES", Stage: verdict.Image,
		Meaning: "A volume is mounted over files of the image: Compose copies them into a new volume once, and ECS hides them.",
		Remedy:  "Keep files that the application reads outside of image.volumes and rollout.volumes"}
	WarnTools = verdict.Code{Name: "BUILD_TOOL_KEPT", Stage: verdict.Image,
		Meaning: "The source's own Dockerfile leaves installers, compilers or what they cached in the image.",
		Remedy:  "Copy what the builder stage made into a stage without them, or let the pipeline build the image"}
	WarnSetuid = verdict.Code{Name: "SETUID_KEPT", Stage: verdict.Image,
		Meaning: "The source's own Dockerfile leaves programs of the distribution that run with another user's rights, such as su.",
		Remedy:  "Before USER in the Dockerfile: RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +"}
	WarnNoPage = verdict.Code{Name: "PAGE_NOT_LOADED", Stage: verdict.Image,
		Meaning: "No browser loaded the page, because image.page is empty.",
		Remedy:  "Set image.page"}
	WarnProof = verdict.Code{Name: "PROOF_NOT_KEPT", Stage: verdict.Image,
		Meaning: "The image passed, but the engine could not store the result: the next run starts the image again.",
		Remedy:  "Check the engine's disk if this repeats"}
)

// Codes lists every code the stage can emit, in the order of the documentation.
func Codes() []verdict.Code {
	return slices.Concat(pyenv.CodesFor(verdict.Image), []verdict.Code{
		CodeConfigInvalid, CodeRequirementsMissing, CodeSourceUnreadable, CodeModelMissing, CodeModelMismatch,
		CodeBaseUnavailable, CodeBaseUnfit, CodeEnvFailed, CodePlatform, CodeWrongPlatform, CodeBuildFailed, CodeEngineFailed, CodeCancelled,
		CodeRoot, CodePort, CodeNoHealthcheck, CodeHealthcheckFails, CodeSecret, CodeSetuid, CodeWorldWritable, CodeHidden, CodeBuildTool,
		CodeTooLarge, CodeGolden, CodeUnreadable, CodeLoadTimeout, CodeElsewhere, CodePage, CodeBrowser, CodeImport, CodeStartFailed,
		CodeSandboxRegistry, CodePushAuth, CodePushThrottled, CodePushUnavailable, CodePushFailed,
		CodeDigestMismatch, CodeTagTaken, CodeTagFailed,
		WarnUnlocked, WarnNotScored, WarnOlder, WarnLogs, WarnNotCut, WarnRootWritable, WarnHidden, WarnTools, WarnSetuid, WarnNoPage, WarnProof,
	}, probe.Codes())
}

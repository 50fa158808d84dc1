package ensure

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

// The codes of the resources around a service.
var (
	LookFailed = verdict.Code{Name: "LOOK_FAILED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "AWS could not be asked what exists; nothing was changed.",
		Remedy:  "Check the permissions of the deployer (docs/iam/deployer.json), the region and the network"}
	NotOurs = failure("NOT_OURS",
		"A resource with a name that the plan uses exists without the plan's tags, so it belongs to somebody else; nothing was changed.",
		"Choose another rollout.service, or add the three openstack-rca/ tags that the cause lists to the resource to hand it over")
	CannotChange = failure("CANNOT_CHANGE",
		"An existing resource differs from the plan in a way that AWS cannot change; nothing was changed.",
		"Restore the value, or choose another rollout.service, which is created beside the old one; then destroy the old one")
	WriteFailed = failure("WRITE_FAILED",
		"AWS refused to create or change a resource that the service needs; the service itself was not changed.",
		"Fix what AWS's message in the cause names; the next run continues where this one stopped")
	ProtectionKept = verdict.Code{Name: "PROTECTION_KEPT", Stage: verdict.Deploy,
		Meaning: "An existing resource is better protected than the plan asks for, so the protection was kept.",
		Remedy:  "Add the protection to the configuration, with the key that the cause names; or remove it in AWS if it is not wanted"}
	WouldLose = failure("WOULD_LOSE",
		"ECS describes the task definition with settings that this version does not know, and would lose by registering it again; nothing was "+
			"changed.", "Use a newer version, or put the task definition into a file without these settings and set rollout.task_definition")
	DestroyRefused = failure("DESTROY_REFUSED", "The name that confirms the deletion is not the service's; nothing was deleted.",
		"Pass the name of the service as the plan shows it, to delete what was created for it")
	DestroyFailed = failure("DESTROY_FAILED", "Not everything could be deleted.",
		"Fix what AWS's message in the cause names and run it again; deleted resources are skipped")
	PruneFailed = failure("PRUNE_FAILED", "Not every old task definition could be deregistered; none in use was.",
		"Fix what AWS's message in the cause names and run it again")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{LookFailed, NotOurs, CannotChange, WriteFailed, WouldLose, ProtectionKept, DestroyRefused, DestroyFailed,
		PruneFailed}
}

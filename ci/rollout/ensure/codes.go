package ensure

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

// The codes of what stands around a service.
var (
	LookFailed = verdict.Code{Name: "LOOK_FAILED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "AWS could not be asked what exists; nothing was changed.",
		Remedy:  "Check the permissions of the deployer (docs/iam/deployer.json), the region and the network"}
	NotOurs = failure("NOT_OURS", "Something of the name that the plan uses exists and does not carry the plan's tags, so it belongs to somebody else; nothing was changed.",
		"Choose another rollout.service, or give the thing the three openstack-rca/ tags that the cause lists to hand it over")
	CannotChange = failure("CANNOT_CHANGE", "Something that exists differs from the plan in a way that AWS cannot change; nothing was changed.",
		"Put the value back, or choose another rollout.service, which is made anew beside the old one; then destroy the old one")
	WriteFailed = failure("WRITE_FAILED", "AWS refused to make or change something that the service needs; the service itself was not touched.",
		"Read AWS's words in the cause and mend it; the next run goes on where this one ended")
	ProtectionKept = verdict.Code{Name: "PROTECTION_KEPT", Stage: verdict.Deploy,
		Meaning: "Something that exists protects more than the plan does, so it was left as it is.",
		Remedy:  "Say it in the configuration, with the key that the cause names; or change it in AWS, where it is not wanted"}
	DestroyRefused = failure("DESTROY_REFUSED", "The name that confirms the deletion is not the service's; nothing was deleted.",
		"Say the name of the service as the plan shows it, to delete what was made for it")
	DestroyFailed = failure("DESTROY_FAILED", "Not everything could be deleted.",
		"Read AWS's words in the cause and run it again; what is gone already is passed over")
	PruneFailed = failure("PRUNE_FAILED", "Not every old task definition could be deregistered; none in use was.",
		"Read AWS's words in the cause and run it again")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{LookFailed, NotOurs, CannotChange, WriteFailed, ProtectionKept, DestroyRefused, DestroyFailed, PruneFailed}
}

package account

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// Codes of opening an account.
var (
	CredentialsInvalid = verdict.Code{Name: "CREDENTIALS_INVALID", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "There are no usable AWS credentials for the environment; nothing was changed.",
		Remedy: "Pass an access key with its secret key, a profile, or a web identity token with its role; " +
			"the cause says which part was refused"}
	Unreachable = verdict.Code{Name: "AWS_UNREACHABLE", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "AWS did not answer when it was asked whose the credentials are; nothing was changed.",
		Remedy:  "Check the network, rollout.region and --aws-endpoint-url; the cause names the address that did not answer"}
	WrongAccount = verdict.Code{Name: "WRONG_ACCOUNT", Stage: verdict.Deploy, Outcome: verdict.Fail,
		Meaning: "The credentials are of another AWS account than the environment's; nothing was changed.",
		Remedy:  "Use the credentials of the account in rollout.account, or correct rollout.account in the environment's overlay"}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CredentialsInvalid, Unreachable, WrongAccount} }

package attest

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func code(stage string, outcome verdict.Outcome, name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: stage, Meaning: meaning, Remedy: remedy, Outcome: outcome}
}

const again = "Attest the image again from a run that passed: attest --image <digest> --from <its report>"

// Codes of verification, which verify raises, and deploy before its first change.
var (
	Missing = code(verdict.Deploy, verdict.Fail, "ATTESTATION_MISSING",
		"Nothing, or not everything that is demanded, is stated about this digest.", again)
	Invalid = code(verdict.Deploy, verdict.Fail, "ATTESTATION_INVALID",
		"A statement is malformed, or its signature does not match its content.",
		"Find out who changed it: a signed statement does not change by itself. Then attest the image again")
	Untrusted = code(verdict.Deploy, verdict.Fail, "ATTESTATION_UNTRUSTED",
		"The statements are signed by a key, or made by a builder, that the call does not trust.",
		"Pass the public key of the pipeline that built it with --verify-key, or attest the image with a key that is trusted")
	OtherIdentity = code(verdict.Deploy, verdict.Fail, "ATTESTATION_OTHER_IDENTITY",
		"The statements are signed without a key, by somebody else than the call trusts.",
		"Compare the name in the cause with --verify-identity: of GitHub it is the address of the workflow's file with @ and its ref")
	OtherIssuer = code(verdict.Deploy, verdict.Fail, "ATTESTATION_OTHER_ISSUER",
		"The statements are signed without a key, and the signer's name is from another identity provider than the call trusts.",
		"Compare the cause with --verify-issuer: of GitHub it is https://token.actions.githubusercontent.com")
	NotLogged = code(verdict.Deploy, verdict.Fail, "ATTESTATION_NOT_LOGGED",
		"A statement is signed without a key, and no transparency log has it, so its time is not proven.",
		"Attest the image again with services that log: attest --image <digest> --from <report>, with its own token")
	Expired = code(verdict.Deploy, verdict.Fail, "ATTESTATION_EXPIRED",
		"A statement is signed without a key, when its certificate was not valid.",
		"Attest the image again, with a new token; if it repeats, compare the clocks of the log and of Fulcio")
	VerifierMissing = code(verdict.Deploy, verdict.CouldNotRun, "VERIFIER_MISSING",
		"Statements are signed without a key, and the program that checks them is missing, or does not work.",
		"Install the named version of cosign and put it on PATH, or run on a Dagger engine, which builds it")
	OtherSubject = code(verdict.Deploy, verdict.Fail, "ATTESTATION_OTHER_SUBJECT",
		"The statements beside this image are about another one: they were copied.", again)
	NotPass = code(verdict.Deploy, verdict.Fail, "ATTESTATION_NOT_PASS",
		"The newest verdict on this digest is not a pass.", "Fix what failed and build again; an older verdict no longer counts")
	OtherEnvironment = code(verdict.Deploy, verdict.Fail, "ATTESTATION_OTHER_ENVIRONMENT",
		"The verdict is for another environment or another branch.",
		"Deploy what was built for this environment, or allow the other one with --verify-from")
	TooOld = code(verdict.Deploy, verdict.Fail, "VERDICT_TOO_OLD",
		"The verdict, or the data of its search for vulnerabilities, is older than the call allows.",
		"Run the pipeline for the same commit again, and deploy its digest")
	Unreadable = code(verdict.Deploy, verdict.CouldNotRun, "ATTESTATION_UNREADABLE",
		"The statements could not be read, so nothing was verified and nothing was changed.",
		"Read the registry's answer in the cause; check its address and login, and run again")
	VulnerabilitiesRefused = code(verdict.Deploy, verdict.Fail, "VULNERABILITIES_REFUSED",
		"The image has vulnerabilities that its own pipeline.yaml lets pass, and the rules of the call do not.",
		"Fix them and build again; or allow them in the file of --verify-rules, with a reason and an end")
	LetPass = code(verdict.Deploy, "", "VULNERABILITIES_LET_PASS",
		"The image has critical or high vulnerabilities that the rules of the call let pass.",
		"Look at severity, unfixed, grace and allow in the file of --verify-rules; without one, the defaults of security apply")
	KeyMissing = code(verdict.Deploy, verdict.Fail, "VERIFY_KEY_MISSING",
		"Production deploys an image by its digest only with a verdict of a trusted signer, and the call names no signer.",
		"Sign the run that builds the image (run --sign-key), and pass the public key: deploy --verify-key; or give a reason: --override")
	Unsigned = code(verdict.Deploy, "", "UNSIGNED",
		"The image is deployed without a signed verdict: the call does not require one.",
		"Pass a key: run --sign-key signs the verdict on the image, deploy --verify-key requires it")
	Overridden = code(verdict.Deploy, "", "VERIFY_OVERRIDDEN",
		"The image was deployed although it could not be verified; the reason is in the journal.", "Attest the image, and deploy it again")
)

// Codes of attestation.
var (
	Refused = code(verdict.Attest, verdict.Fail, "ATTEST_REFUSED",
		"The run that is to be attested did not pass, or was about another image.",
		"Pass the report of the run that built this digest, and fix what failed in it first")
	SignFailed = code(verdict.Attest, verdict.CouldNotRun, "SIGN_FAILED", "The statements could not be signed.",
		"Read the cause; a key of AWS KMS needs kms:GetPublicKey and kms:Sign")
	KeyUnavailable = code(verdict.Attest, verdict.CouldNotRun, "KEY_UNAVAILABLE", "The signing key cannot be used.",
		"Give an ECDSA key on P-256: openssl ecparam -genkey -name prime256v1 | openssl pkcs8 -topk8 -nocrypt")
	ReferrersRefused = code(verdict.Attest, verdict.CouldNotRun, "REFERRERS_REFUSED",
		"The registry did not take the statements, or does not list them.",
		"Read the registry's answer in the cause; run again: what is there already is not added twice")
)

// Codes returns the codes that this package raises.
func Codes() []verdict.Code {
	return []verdict.Code{
		Missing, Invalid, Untrusted, OtherIdentity, OtherIssuer, NotLogged, Expired, VerifierMissing, OtherSubject, NotPass,
		OtherEnvironment, TooOld, Unreadable, VulnerabilitiesRefused, LetPass,
		KeyMissing, Unsigned, Overridden,
		Refused, SignFailed, KeyUnavailable, ReferrersRefused,
	}
}

package main

// The closed sets among the arguments. Dagger refuses any other value before anything runs. It takes a value by
// the name of its constant without that of the type, in any case, so the two are spelled alike. A platform such as
// linux/amd64 and a version such as 3.11 are no such names: they are texts, which package pipeline checks.

// InFlight is what to do about another version's deployment in progress.
type InFlight string

// The values of InFlight.
const (
	// Refuse to deploy.
	InFlightRefuse InFlight = "refuse"
	// Wait until it ends.
	InFlightWait InFlight = "wait"
	// Roll it back, then deploy.
	InFlightRollback InFlight = "rollback"
	// Let this deployment replace it.
	InFlightSupersede InFlight = "supersede"
)

// OnTimeout is what to do about a deployment that does not finish in time.
type OnTimeout string

// The values of OnTimeout.
const (
	// Roll it back.
	OnTimeoutRollback OnTimeout = "rollback"
	// Leave it as it is.
	OnTimeoutLeave OnTimeout = "leave"
)

// Statement is what can be stated about an image.
type Statement string

// The values of Statement.
const (
	// Which source and which run it comes from.
	StatementProvenance Statement = "provenance"
	// What is in it.
	StatementSbom Statement = "sbom"
	// Which vulnerabilities are known of it.
	StatementVulnerabilities Statement = "vulnerabilities"
	// What its tests came to.
	StatementTests Statement = "tests"
	// What the whole run came to.
	StatementVerdict Statement = "verdict"
)

// CiSystem is a CI system that init makes the file of.
type CiSystem string

// The values of CiSystem.
const (
	CiSystemAzure     CiSystem = "azure"
	CiSystemBuildkite CiSystem = "buildkite"
	CiSystemCircleci  CiSystem = "circleci"
	CiSystemGithub    CiSystem = "github"
	CiSystemGitlab    CiSystem = "gitlab"
	CiSystemJenkins   CiSystem = "jenkins"
)

// SbomFormat is a format of a bill of materials.
type SbomFormat string

// The values of SbomFormat.
const (
	SbomFormatCyclonedx SbomFormat = "cyclonedx"
	SbomFormatSpdx      SbomFormat = "spdx"
)

// texts are values as the code under ci/ takes them.
func texts[T ~string](values []T) []string {
	var all []string
	for _, value := range values {
		all = append(all, string(value))
	}
	return all
}

package supply

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failing(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Audit, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func unable(name, meaning, remedy string) verdict.Code {
	c := failing(name, meaning, remedy)
	c.Outcome = verdict.CouldNotRun
	return c
}

func warning(name, meaning, remedy string) verdict.Code {
	c := failing(name, meaning, remedy)
	c.Outcome = ""
	return c
}

// The codes of the audit.
var (
	SecretFound = failing("SECRET_FOUND", "A file holds something that looks like a secret.",
		"Revoke the secret where it is valid, then remove it; if it is none, add it to security.allow_secrets with a reason and an end")
	DependencyVulnerable = failing("DEPENDENCY_VULNERABLE", "A locked package has a known vulnerability that may not pass.",
		"Lock a version that fixes it, which the report names; or add it to security.allow with a reason and an end")
	DependencyUnpinned = failing("DEPENDENCY_UNPINNED", "A requirement names no exact version, so what gets installed is open.",
		"Lock the requirements: uv pip compile --universal --generate-hashes <file>.in -o <file>.lock")
	LicenseDenied = failing("LICENSE_DENIED", "A package has a licence that security.licenses does not allow.",
		"Replace the package, or add it to security.licenses.except with a reason and an end")
	WaiverExpired = failing("WAIVER_EXPIRED", "An exception has ended, and what it allowed is still there.",
		"Fix what it allowed, or decide again: a new end in pipeline.yaml with a reason that holds today")
	WaiverTooLong = failing("WAIVER_TOO_LONG", "An exception ends more than 180 days from now.",
		"Choose an end within 180 days in pipeline.yaml")

	LockUnreadable = unable("LOCK_UNREADABLE", "A file that declares packages cannot be read.",
		"Correct the named file, or make it anew with the tool that wrote it")
	ScannerMissing = unable("SCANNER_MISSING", "A program that the audit needs is not there in the pinned version.",
		"Install the named version and put it on PATH, or run on a Dagger engine, which builds it")
	ScannerFailed = unable("SCANNER_FAILED", "A program of the audit did not come to its end.",
		"Read the end of its output in the report; run again if memory or time ran out")
	ScannerBlind = unable("SCANNER_BLIND", "What was planted to be found was not found, so other findings may be missing too.",
		"Take a complete database and the pinned version of the program; do not believe its findings until then")
	ScanEmpty = unable("SCAN_EMPTY", "Fewer packages were looked at than there must be.",
		"Name the locks in test.requirements, train.requirements or image.requirements; or correct security.min_packages")
	AdvisoriesMissing = unable("ADVISORIES_MISSING", "There is no database of advisories.",
		"Give one with --advisories, or let this machine reach the server that has it; see docs/supply-chain.md")
	AdvisoriesStale = unable("ADVISORIES_STALE", "The database of advisories, or the data in it, are older than allowed.",
		"Take a newer one; a database that was built today can hold old data, so look at both dates")
	AdvisoriesIncomplete = unable("ADVISORIES_INCOMPLETE", "The database of advisories has none for a kind of package that is in use.",
		"Take a database with all providers")
	AdvisoriesCorrupt = unable("ADVISORIES_CORRUPT", "The database of advisories cannot be read, or contradicts itself.",
		"Fetch it again, and compare its checksum with the source's")
	ReportUnreadable = unable("REPORT_UNREADABLE", "The report of a scanner is not complete or not in the form that was asked for.",
		"Run again; if it repeats, report it with the program's version, which the report names")

	LicenseUnknown = warning("LICENSE_UNKNOWN", "A package states no licence that is known.",
		"Look at the package, and add it to security.licenses.except with what you found")
	WaiverEndsSoon = warning("WAIVER_ENDS_SOON", "An exception ends within 14 days.",
		"Fix what it allows before that day; from then on it fails")
	WaiverUnused   = warning("WAIVER_UNUSED", "An exception allows nothing that was found.", "Remove it from pipeline.yaml")
	VulnerableWarn = warning("VULNERABLE", "A vulnerability was found that its severity, its age or the lack of a fix leaves as a warning.",
		"Update the package; the report names the version that fixes it, if there is one")
	VulnerableAllowed = warning("VULNERABLE_ALLOWED", "A vulnerability was found that security.allow lets pass until a day.",
		"Fix it before that day")
)

// Codes returns the codes that this package raises.
func Codes() []verdict.Code {
	return []verdict.Code{
		SecretFound, DependencyVulnerable, DependencyUnpinned, LicenseDenied, WaiverExpired, WaiverTooLong, LockUnreadable, ScannerMissing,
		ScannerFailed, ScannerBlind, ScanEmpty, AdvisoriesMissing, AdvisoriesStale, AdvisoriesIncomplete, AdvisoriesCorrupt, ReportUnreadable,
		LicenseUnknown, WaiverEndsSoon, WaiverUnused, VulnerableWarn, VulnerableAllowed,
	}
}

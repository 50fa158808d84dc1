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

func failingAny(name, meaning, remedy string) verdict.Code {
	return failing(name, meaning, remedy).In("any")
}
func unableAny(name, meaning, remedy string) verdict.Code {
	return unable(name, meaning, remedy).In("any")
}
func warningAny(name, meaning, remedy string) verdict.Code {
	return warning(name, meaning, remedy).In("any")
}

// Codes of the image scan.
var (
	ImageVulnerable = failing("IMAGE_VULNERABLE", "A package in the image has a known vulnerability that may not pass.",
		"Rebuild the image on a newer base or with newer locks; or add it to security.allow, in: image, with reason and end").In(verdict.Scan)
	ImageSecret = failing("IMAGE_SECRET", "A layer of the image holds something that looks like a secret; a later layer cannot delete it.",
		"Revoke the secret where it is valid, and build the image without it").In(verdict.Scan)
	ImageLicense = failing("IMAGE_LICENSE_DENIED", "A package in the image has a licence that security.licenses does not allow.",
		"Replace the package, or add it to security.licenses.except with a reason and an end").In(verdict.Scan)
	OtherDigest = failing("SBOM_OTHER_DIGEST", "The bill of materials is of another image than the one to scan.",
		"Run again; if it repeats, report it with the version of syft").In(verdict.Scan)
	DistroUnknown = unable("DISTRO_UNKNOWN", "The image has packages of a distribution that was not recognised, so none of them was compared.",
		"Keep /etc/os-release in the image").In(verdict.Scan)
	DistroEnded = failing("DISTRO_ENDED", "The image's distribution gets no advisories any more, so what is found in it says little.",
		"Build the image on a version that is still maintained").In(verdict.Scan)
	RegistryScanMissing = unable("REGISTRY_SCAN_MISSING",
		"security.registry_scan asks for the registry's own findings, and it has no usable ones of this image.",
		"Switch scanning on push on in Amazon ECR, give the role ecr:DescribeImageScanFindings, and scan again when it is done").
		In(verdict.Scan)
	RegistryDisagrees = warning("REGISTRY_SCAN_DISAGREES",
		"The registry found critical or high vulnerabilities in the image that this scan did not find.",
		"Look at each: the registry may have newer advisories, or count what the distribution has fixed").In(verdict.Scan)
	ImageUnreadable = unable("IMAGE_UNREADABLE", "The image could not be read from its registry.",
		"Read the registry's answer in the cause; check its address and login, and run again").In(verdict.Scan)
)

// Codes of the audit, some of which the scan shares.
var (
	SecretFound = failing("SECRET_FOUND", "A file holds something that looks like a secret.",
		"Revoke the secret where it is valid, then remove it; if it is not a secret, add it to security.allow_secrets with a reason and an end")
	DependencyVulnerable = failing("DEPENDENCY_VULNERABLE", "A locked package has a known vulnerability that may not pass.",
		"Lock a version that fixes it, which the report names; or add it to security.allow with a reason and an end")
	DependencyUnpinned = failing("DEPENDENCY_UNPINNED", "A requirement names no exact version, so what gets installed is open.",
		"Lock the requirements: uv pip compile --universal --generate-hashes <file>.in -o <file>.lock")
	LicenseDenied = failing("LICENSE_DENIED", "A package has a licence that security.licenses does not allow.",
		"Replace the package, or add it to security.licenses.except with a reason and an end")
	WaiverExpired = failingAny("WAIVER_EXPIRED", "An exception has ended, and what it allowed is still there.",
		"Fix what it allowed, or decide again: a new end in pipeline.yaml with a reason that holds today")
	WaiverTooLong = failingAny("WAIVER_TOO_LONG", "An exception ends more than 180 days from now.",
		"Choose an end within 180 days in pipeline.yaml")

	LockUnreadable = unable("LOCK_UNREADABLE", "A file that declares packages cannot be read.",
		"Correct the named file, or regenerate it with its tool")
	HistoryIncomplete = unable("HISTORY_INCOMPLETE", "The history of the source could not be read to its beginning.",
		"Fetch the whole history: in GitHub Actions with fetch-depth: 0; a partial clone needs its files too")
	ScannerMissing = unableAny("SCANNER_MISSING", "A program that the audit needs is missing, or not of the pinned version.",
		"Install the named version and put it on PATH, or run on a Dagger engine, which builds it")
	ScannerFailed = unableAny("SCANNER_FAILED", "A program of the audit did not finish.",
		"Read the end of its output in the report; run again if memory or time ran out")
	ScannerBlind = unableAny("SCANNER_BLIND", "What the pipeline plants as a test was not found, so other findings may be missing too.",
		"Use a complete database and the pinned version of the program; until then its findings are not reliable")
	ScanEmpty = unableAny("SCAN_EMPTY", "Fewer packages were found than expected.",
		"Name the locks in test.requirements, train.requirements or image.requirements; or correct security.min_packages")
	AdvisoriesMissing = unableAny("ADVISORIES_MISSING", "There is no database of advisories.",
		"Give one with --advisories, or let this machine reach the server that has it; see docs/supply-chain.md")
	AdvisoriesStale = unableAny("ADVISORIES_STALE", "The database of advisories, or the data in it, are older than allowed.",
		"Take a newer one; a database that was built today can hold old data, so look at both dates")
	AdvisoriesIncomplete = unableAny("ADVISORIES_INCOMPLETE", "The database of advisories has none for a kind of package that is in use.",
		"Use a database with all providers")
	AdvisoriesCorrupt = unableAny("ADVISORIES_CORRUPT", "The database of advisories cannot be read, or contradicts itself.",
		"Fetch it again, and compare its checksum with the source's")
	VEXUnreadable = unableAny("VEX_UNREADABLE", "A VEX document of security.vex cannot be read.",
		"Correct the named document: OpenVEX in JSON, where not_affected has a justification, a time and package URLs")
	ReportUnreadable = unableAny("REPORT_UNREADABLE", "The report of a scanner is not complete or not in the form that was asked for.",
		"Run again; if it repeats, report it with the program's version, which the report names")

	NotCompared = warningAny("DEPENDENCY_NOT_COMPARED", "A requirement is pinned, but not by a version, so no advisory was compared with it.",
		"Pin a released version, or follow the advisories of that project yourself")
	LicenseUnknown = warningAny("LICENSE_UNKNOWN", "The licence of a package is not known.",
		"Look at the package, and add it to security.licenses.except with what you found")
	WaiverEndsSoon = warningAny("WAIVER_ENDS_SOON", "An exception ends within 14 days.",
		"Fix what it allows before that day; from then on it fails")
	WaiverUnused   = warningAny("WAIVER_UNUSED", "An exception allows nothing that was found.", "Remove it from pipeline.yaml")
	VulnerableWarn = warningAny("VULNERABLE", "A vulnerability was found that its severity, its age or the lack of a fix leaves as a warning.",
		"Update the package; the report names the version that fixes it, if there is one")
	VulnerableAllowed = warningAny("VULNERABLE_ALLOWED", "A vulnerability was found that security.allow allows until a set day.",
		"Fix it before that day")
)

// Codes returns the codes that this package raises.
func Codes() []verdict.Code {
	return []verdict.Code{
		ImageVulnerable, ImageSecret, ImageLicense, OtherDigest, DistroUnknown, DistroEnded, ImageUnreadable,
		RegistryScanMissing, RegistryDisagrees,
		SecretFound, DependencyVulnerable, DependencyUnpinned, LicenseDenied, WaiverExpired, WaiverTooLong, LockUnreadable,
		HistoryIncomplete, ScannerMissing,
		ScannerFailed, ScannerBlind, ScanEmpty, AdvisoriesMissing, AdvisoriesStale, AdvisoriesIncomplete, AdvisoriesCorrupt, ReportUnreadable,
		VEXUnreadable,
		NotCompared, LicenseUnknown, WaiverEndsSoon, WaiverUnused, VulnerableWarn, VulnerableAllowed,
	}
}

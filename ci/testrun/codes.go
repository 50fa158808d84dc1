package testrun

import (
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func failing(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Test, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
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

// The codes of the stage. What is found in the project's files before the run has
// codes in package pyenv.
var (
	SourceEmpty     = failing("SRC_EMPTY", "The source has no files.", "Point --source at the root of the application's repository")
	SourceNotPython = failing("SRC_NOT_PYTHON", "The source has no Python files.",
		"Point --source at the root of the application's repository")

	TestsFailed = failing("TESTS_FAILED", "At least one test failed or errored.",
		"Run the named test alone, in the same environment: openstack-rca test --verbose --path <test>")
	NoTests         = verdict.CodeNoTests
	CollectionError = failing("COLLECTION_ERROR", "A test file or conftest.py could not be loaded, so its tests did not run.",
		"Load the named file alone, in the same environment: openstack-rca test --verbose --path <file>")
	UsageError = failing("PYTEST_USAGE", "pytest refused its command line or configuration.",
		"Correct test.command in pipeline.yaml or the pytest configuration")
	RunnerKilled = failing("RUNNER_KILLED", "The test run did not finish: it was killed, crashed or was interrupted.",
		"Run the named test alone: openstack-rca test --verbose --path <test>; exit code 137 is usually memory, 139 a crash in native code")
	Timeout = failing("TIMEOUT", "The tests did not end within test.timeout.",
		"Run the named test alone, and bound what it waits for; or raise test.timeout")
	AllSkipped = failing("ALL_SKIPPED", "Tests were found, but none of them ran: all were skipped or are expected to fail.",
		"Give the tests what they need to run; the reasons are in the report")
	TooManySkipped = failing("TOO_MANY_SKIPPED", "More tests were skipped than test.max_skipped allows.",
		"Give the tests what they need to run, or raise test.max_skipped")
	TooManyWarnings = failing("TOO_MANY_WARNINGS", "The tests passed with more warnings than pytest's --max-warnings allows.",
		"Correct what the warnings name; the end of the output lists them. Or raise --max-warnings in pytest's settings")
	ReportMissing = failing("REPORT_MISSING", "The run left no JUnit report.",
		"See the end of the output in the report; test.command must run pytest")
	ReportMalformed = failing("REPORT_MALFORMED", "The JUnit report is not complete, well-formed or within the limits.",
		"Look at test/junit.xml in the report; a test may have written to it")
	ReportDisagrees = failing("REPORT_DISAGREES", "The exit code, the JUnit report and the events of the run contradict each other.",
		"Look for a plugin or a test that ends pytest early or changes its exit code")
	CoverageMissing = failing("COVERAGE_MISSING", "The run left no coverage report.",
		"Look for --no-cov in the pytest configuration, or for nothing imported from test.coverage.source")
	CoverageInvalid = failing("COVERAGE_INVALID", "The coverage report is broken, holds impossible values, or is older than the run.",
		"Look at test/coverage.xml in the report; a test may have written to it")
	CoverageBelow = failing("COVERAGE_BELOW", "Less of the code is covered by tests than a gate demands.",
		"Test the missing lines that the report names, or set test.coverage.total to the minimum that you want")
	CoverageEmptySet = failing("COVERAGE_EMPTY_SET", "A gate has no lines to hold: its globs match no measured file.",
		"Correct the globs in test.coverage of pipeline.yaml")
	CoverageNarrowed = failing("COVERAGE_NARROWED", "Code that was to be measured is not in the coverage report: by omit, include, "+
		"exclude_also or comments of the project, or since nothing imports it. A warning; a failure when a gate names such a file.",
		"Remove the setting of coverage.py that leaves the file out, add __init__.py to its folder, or name the file in "+
			"test.coverage.omit of pipeline.yaml")
	PytestExited = failing("PYTEST_EXITED", "A test file or a module that it imports ended the process while pytest loaded it, such "+
		"as by sys.exit().",
		"Put the call under if __name__ == \"__main__\": and load the file alone: openstack-rca test --verbose --path <file>")
	TooFewTests = failing("TOO_FEW_TESTS", "There are fewer tests than test.min_tests demands.",
		"Look for tests that are deselected, ignored or renamed, or lower test.min_tests")
	TestsHollow = failing("TESTS_HOLLOW", "Tests pass whatever the code does: assertions are off, tests return a result instead of "+
		"asserting it, fail in a thread, are never called, or most of them are skipped. A warning; a failure when no assertion is "+
		"executed or no test is called at all.",
		"Take -O, PYTHONOPTIMIZE and --assert=plain out of test.command and pytest's settings")
	EventsMissing = failing("EVENTS_MISSING", "The run left no record of its events, or not to its end. A warning when test.command is "+
		"not pytest itself.",
		"test.command must run pytest in the environment that the pipeline makes; look for a file named pytest.py, and for "+
			"output of 64 KiB or more after pytest has ended")
	EnvironmentFailed = unable("ENV_FAILED", "The test environment could not be installed.",
		"Correct what the installer's last lines, here and in the report, name")
	ServiceFailed = unable("SERVICE_FAILED", "A service that the tests need did not start.",
		"See its last lines in the report; run again if a download or a port failed")
	Cancelled = unable("CANCELLED", "The run was cancelled.", "Start it again")
	Internal  = unable("INTERNAL", "The stage could not do its work, for a reason that is not in the source.",
		"Run it again; report it if it repeats")

	ToolsAdded = warning("TOOLS_ADDED", "The project's requirements lack test tools, so pinned ones were added.",
		"Add the named packages to the project's test requirements and lock them")
	Selection = warning("SELECTION", "Only a selection of the tests ran, so coverage is reported and its gates are not applied.",
		"Run without --path, --keyword, --marker, --category and --changed-since before a push")
	TestsDeselected = warning("TESTS_DESELECTED", "The project leaves tests out: by -k, -m, --deselect or --ignore in its settings, by its "+
		"conftest.py, or as functions and files that are named like tests and that pytest does not collect.",
		"Remove the option from addopts or the conftest.py named, or mark the tests with skip and a reason, which is counted")
	GateUnset = warning("GATE_UNSET", "A coverage gate has no globs and is not applied.",
		"Name the files in test.coverage.critical.paths and test.coverage.model.paths of pipeline.yaml")
	CategoryEmpty   = warning("CATEGORY_EMPTY", "A category of tests holds no test.", "Correct the globs in test.categories of pipeline.yaml")
	ArgumentInvalid = failing("TEST_ARGUMENT", "An argument of the tests is invalid.",
		"Correct the argument; the cause has the allowed values")
	FlakyTests = warning("FLAKY_TESTS", "Tests failed and passed when they were run again: their outcome depends on more than the code.",
		"Fix or quarantine the named tests; they are failures without --rerun-failed and without the reruns of a pytest plugin")
	ChangesUnknown = warning("CHANGES_UNKNOWN", "It could not be determined which tests the changes affect, so all of them ran.",
		"Nothing to do for the result; to select, give --git the repository's .git directory and a revision that is in it")
	DurationsUnused = warning("DURATIONS_UNUSED", "The recorded durations could not be read, so shards have the same number of tests.",
		"Give test/junit.xml or test/durations.json of an earlier report")
	CoverageDropped = warning("COVERAGE_DROPPED", "Coverage fell below that of the baseline by more than the tolerance.",
		"Test the lines that the change added")
	LinesUncovered = warning("CHANGED_LINES_UNCOVERED", "No test executes some of the lines that the change altered.",
		"Test the named lines")
	LinesUnknown = warning("CHANGED_LINES_UNKNOWN", "It could not be determined which lines changed, so their coverage is not known.",
		"Give --git the repository's .git directory, with a history that holds the revision of --base")
	BaselineInvalid = warning("BASELINE_INVALID", "The baseline is not a usable coverage report.",
		"Give the coverage.xml of an earlier report")
)

// Codes are all codes of the stage, including those of package pyenv.
func Codes() []verdict.Code {
	return append([]verdict.Code{
		SourceEmpty, SourceNotPython, TestsFailed, NoTests, CollectionError, UsageError, RunnerKilled, Timeout, AllSkipped, TooManySkipped,
		TooManyWarnings,
		ReportMissing, ReportMalformed, ReportDisagrees, CoverageMissing, CoverageInvalid, CoverageBelow, CoverageEmptySet, CoverageNarrowed,
		PytestExited, TooFewTests, TestsHollow,
		EnvironmentFailed, ServiceFailed, Cancelled, Internal,
		ArgumentInvalid, FlakyTests, TestsDeselected, ChangesUnknown, DurationsUnused, ToolsAdded, Selection, GateUnset, CategoryEmpty,
		CoverageDropped, LinesUncovered, LinesUnknown, BaselineInvalid, EventsMissing,
		refused.Test,
	}, pyenv.Codes()...)
}

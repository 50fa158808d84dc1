package pyenv

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// TestSettings is what a project's files say about its tests. Each setting has the file that it comes from, which is empty if
// it is not set.
type TestSettings struct {
	// Paths are where pytest searches for tests.
	Paths     []string
	PathsFrom string
	// Doctests is the file whose pytest settings collect doctests too.
	Doctests string
	// Measured is what coverage measures: directories, or packages by name.
	Measured     []string
	MeasuredFrom string
	// Floor is coverage's fail_under in percent, or 0.
	Floor     float64
	FloorFrom string
	// Combined is set if coverage combines the data of several runs, such as one per Python version. Floor then applies to
	// all of them together.
	Combined bool
}

// covOption and floorOption are pytest-cov's options in addopts.
var (
	covOption   = regexp.MustCompile(`--cov[= ]([A-Za-z0-9_./-]+)`)
	floorOption = regexp.MustCompile(`--cov-fail-under[= ](\d{1,3}(?:\.\d{1,6})?)`)
)

// ReadTestSettings reads the settings of pytest and coverage.py. Unreadable files are treated as missing: the tools
// themselves report them.
func ReadTestSettings(ctx context.Context, source runner.Files) (TestSettings, error) {
	t, err := readTree(ctx, source)
	if err != nil {
		return TestSettings{}, err
	}
	var found TestSettings
	t.coverageSettings(&found)
	t.pytestSettings(&found)
	return found, t.err
}

// section is one place with settings: a TOML table or a section of an INI file.
type section struct {
	from   string
	values map[string]string
}

// tomlSection converts a table to the form of an INI file: lists become lines.
func tomlSection(from string, of table) section {
	values := map[string]string{}
	for key, value := range of {
		switch value := value.(type) {
		case string:
			values[key] = value
		case bool:
			values[key] = strconv.FormatBool(value)
		case int64:
			values[key] = strconv.FormatInt(value, 10)
		case float64:
			values[key] = strconv.FormatFloat(value, 'g', -1, 64)
		case []any:
			values[key] = strings.Join(of.strs(key), "\n")
		}
	}
	return section{from, values}
}

// pytestSettings reads the first file that pytest would use; pytest does not merge files.
func (t *tree) pytestSettings(found *TestSettings) {
	tables := t.toml.sub("tool", "pytest")
	tox, inTox := parseINI(t.text("tox.ini"))["pytest"]
	setup, inSetup := parseINI(t.text("setup.cfg"))["tool:pytest"]
	for _, place := range []struct {
		is bool
		section
	}{
		// Files of these names are used even if they are empty.
		{t.has("pytest.toml"), tomlSection("pytest.toml", t.table("pytest.toml").sub("pytest"))},
		{t.has(".pytest.toml"), tomlSection(".pytest.toml", t.table(".pytest.toml").sub("pytest"))},
		{t.has("pytest.ini"), section{"pytest.ini", parseINI(t.text("pytest.ini"))["pytest"]}},
		{t.has(".pytest.ini"), section{".pytest.ini", parseINI(t.text(".pytest.ini"))["pytest"]}},
		{tables.has("ini_options"), tomlSection("pyproject.toml", tables.sub("ini_options"))},
		{tables != nil, tomlSection("pyproject.toml", tables)},
		{inTox, section{"tox.ini", tox}},
		{inSetup, section{"setup.cfg", setup}},
	} {
		s := place.section
		if !place.is {
			continue
		}
		if found.Paths = strings.Fields(s.values["testpaths"]); len(found.Paths) > 0 {
			found.PathsFrom = s.from
		}
		if strings.Contains(s.values["addopts"], "--doctest-") {
			found.Doctests = s.from
		}
		var measured []string
		for _, m := range covOption.FindAllStringSubmatch(s.values["addopts"], -1) {
			measured = append(measured, m[1])
		}
		if len(measured) > 0 {
			found.Measured, found.MeasuredFrom = measured, s.from
		}
		// pytest-cov prefers its own option to fail_under.
		for _, m := range floorOption.FindAllStringSubmatch(s.values["addopts"], -1) {
			if floor, err := strconv.ParseFloat(m[1], 64); err == nil && floor > 0 && floor <= 100 {
				found.Floor, found.FloorFrom, found.Combined = floor, s.from, false
			}
		}
		return
	}
}

// coverageSettings reads the files of coverage.py in its order.
func (t *tree) coverageSettings(found *TestSettings) {
	sections := func(name string) (run, report, paths section) {
		own := strings.HasPrefix(name, ".coveragerc") // sections in its own files have no prefix
		part := func(part string) section {
			if strings.HasSuffix(name, ".toml") {
				of := t.table(name).sub("tool", "coverage", part)
				if of == nil && own {
					of = t.table(name).sub(part)
				}
				return tomlSection(name, of)
			}
			all := parseINI(t.text(name))
			of, is := all["coverage:"+part]
			if !is && own {
				of = all[part]
			}
			return section{name, of}
		}
		return part("run"), part("report"), part("paths")
	}
	for _, name := range []string{".coveragerc", ".coveragerc.toml", "setup.cfg", "tox.ini", "pyproject.toml"} {
		run, report, paths := sections(name)
		if len(run.values)+len(report.values)+len(paths.values) == 0 {
			continue
		}
		measured := slices.Concat(listed(run.values["source"]), listed(run.values["source_pkgs"]))
		if len(measured) > 0 {
			found.Measured, found.MeasuredFrom = measured, name
		}
		if floor, err := strconv.ParseFloat(strings.TrimSpace(report.values["fail_under"]), 64); err == nil && floor > 0 && floor <= 100 {
			found.Floor, found.FloorFrom = floor, name
		}
		parallel, _ := strconv.ParseBool(strings.TrimSpace(strings.ToLower(run.values["parallel"])))
		found.Combined = parallel || len(paths.values) > 0
		return
	}
}

// listed splits a setting that is a list separated by commas or lines.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' || r == '\t' || r == '\r' })
}

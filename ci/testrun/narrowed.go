package testrun

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// keptOut is what the coverage report leaves out, as recorded by the plugin.
type keptOut struct {
	// Settings are the files that coverage.py read its settings from, FailUnder is the project's own floor.
	Settings  []string `json:"settings"`
	FailUnder float64  `json:"fail_under"`
	// Excluded has, per measured file, the lines that the project excludes from coverage and the branches that it counts as
	// covered.
	Excluded map[string]struct{ Lines, Branches int } `json:"excluded"`
	// Unmeasured are the Python files that the report lacks.
	Unmeasured map[string]unmeasured `json:"unmeasured"`
	// Version is the version of coverage.py. Unknown is the error that prevented counting Excluded with it, if any.
	Version string `json:"version"`
	Unknown string `json:"unknown"`
}

type unmeasured struct {
	Lines int
	// Why is a setting of coverage.py such as "run:omit", a reason in words, or empty if no setting is responsible.
	Why string
}

func readKeptOut(r io.Reader) (*keptOut, error) {
	k := &keptOut{}
	if err := json.NewDecoder(io.LimitReader(r, maxDurationBytes)).Decode(k); err != nil {
		return nil, fmt.Errorf("read what coverage leaves out: %w", err)
	}
	return k, nil
}

// settingWords describes a setting of coverage.py.
var settingWords = map[string]string{
	"run:omit": "omit", "report:omit": "omit", "report:include": "include",
	"": "no test imports them, and coverage.py does not look into folders without __init__.py",
}

// byProject reports whether settings or comments of the project leave out lines that would count.
func (j *coverageJudge) byProject() bool {
	if j.kept == nil {
		return false
	}
	for name, u := range j.kept.Unmeasured {
		if _, setting := settingWords[u.Why]; setting && u.Why != "" && j.under(name) && !j.isTest(name) {
			return true
		}
	}
	for name, lines := range j.kept.Excluded {
		if lines.Lines > 0 && j.under(name) && !j.isTest(name) {
			return true
		}
	}
	return false
}

// judgeKeptOut warns about code that is missing from the coverage report although it is in a measured directory, and fails if
// a gate names such a file. What test.coverage.omit lists was left out on purpose.
func (j *coverageJudge) judgeKeptOut(odd []string) {
	c := j.floors
	byWhy := map[string][]string{}
	var gated, details []string
	for _, name := range slices.Sorted(maps.Keys(j.kept.Unmeasured)) {
		u := j.kept.Unmeasured[name]
		if _, seen := slices.BinarySearch(j.names, name); !seen || !j.under(name) || j.isTest(name) {
			continue
		}
		text := xmlscan.Clip(name, 200)
		if u.Lines > 0 {
			text += fmt.Sprintf(" (%d %s)", u.Lines, plural(u.Lines, "line", "lines"))
		}
		why, known := settingWords[u.Why]
		if !known {
			why = xmlscan.Clip(u.Why, 100)
		}
		byWhy[why] = append(byWhy[why], text)
		details = append(details, text+": "+why)
		if glob.MatchAny(slices.Concat(c.Critical.Paths, c.Model.Paths), name) {
			gated = append(gated, text)
		}
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(byWhy)) {
		files := byWhy[why]
		parts = append(parts, fmt.Sprintf("not in the report: %s (%s)", names(files, 3), why))
	}
	lines, branches, files := j.excluded(&details)
	if lines > 0 {
		parts = append(parts, fmt.Sprintf("%d %s of %d %s excluded by comments or settings", lines, plural(lines, "line", "lines"), files,
			plural(files, "file", "files")))
	}
	if branches > 0 {
		parts = append(parts, fmt.Sprintf("%d branching %s as taken", branches, plural(branches, "line counts", "lines count")))
	}
	if j.kept.Unknown != "" {
		parts = append(parts, fmt.Sprintf("what comments and settings exclude cannot be counted with coverage.py %s (%s)",
			xmlscan.Clip(j.kept.Version, 30), xmlscan.Clip(j.kept.Unknown, 200)))
	}
	if len(odd) > 0 {
		parts = append(parts, "tests by the project's python_files, so left out of the totals: "+names(odd, 3))
	}
	if len(parts) == 0 {
		return
	}
	_, unimported := byWhy[settingWords[""]]
	where := ""
	delete(byWhy, settingWords[""])
	if len(j.kept.Settings) > 0 && len(byWhy)+lines+branches > 0 {
		where = "; coverage.py's settings are in " + strings.Join(j.kept.Settings[:min(len(j.kept.Settings), 5)], ", ")
	}
	next := narrowedNext(len(byWhy) > 0, unimported, lines+branches > 0)
	j.Stage.WarnNext(CoverageNarrowed, next, "%s%s", strings.Join(parts, "; "), where)
	warned := &j.Stage.Warnings[len(j.Stage.Warnings)-1]
	warned.Details = details[:min(len(details), shown)]
	if len(gated) > 0 && !j.selective {
		p := j.problem(CoverageNarrowed, "a gate names %s, and the report does not hold %s", names(gated, 3), plural(len(gated), "it", "them"))
		p.Details = gated[:min(len(gated), shown)]
	}
}

// narrowedNext is the remedy for what is missing: files that a setting excludes, files that nothing imports, or excluded
// lines. Otherwise it is empty.
func narrowedNext(set, unimported, lines bool) string {
	var ways []string
	if set {
		ways = append(ways, "remove the setting of coverage.py that leaves the file out, or name the file in test.coverage.omit of pipeline.yaml")
	}
	if unimported {
		ways = append(ways, "add __init__.py to the file's folder, or name the file in test.coverage.omit of pipeline.yaml")
	}
	if lines {
		ways = append(ways, "where a line should count, remove the comment (pragma: no cover) or the setting that excludes it; "+
			"the report has the files")
	}
	text := strings.Join(ways, "; ")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// judgeAltered fails if a file that counts was modified or removed while the tests ran. coverage.py reads it afterwards, so
// its report would be about another file.
func (j *coverageJudge) judgeAltered(altered []string) {
	altered = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(altered))), func(name string) bool {
		return !j.under(name) || j.isTest(name)
	})
	if len(altered) > 0 {
		p := j.problem(CoverageInvalid, "%s %s changed or removed while the tests ran, so what was measured of %s is of another file",
			names(altered, 3),
			plural(len(altered), "was", "were"), plural(len(altered), "it", "them"))
		p.Next = "Let the tests work on a copy, such as below pytest's tmp_path"
		p.Details = altered[:min(len(altered), shown)]
	}
}

// excluded summarises the lines excluded from measured files that count, and adds each file to the details.
func (j *coverageJudge) excluded(details *[]string) (lines, branches, files int) {
	var found []string
	for name, e := range j.kept.Excluded {
		if e.Lines+e.Branches > 0 && !j.isTest(name) {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		return cmp.Or(j.kept.Excluded[b].Lines-j.kept.Excluded[a].Lines, strings.Compare(a, b))
	})
	for _, name := range found {
		e := j.kept.Excluded[name]
		lines, branches = lines+e.Lines, branches+e.Branches
		if e.Lines > 0 {
			files++
		}
		*details = append(*details, fmt.Sprintf("%s: %d lines excluded, %d branching lines count as taken", xmlscan.Clip(name, 200), e.Lines,
			e.Branches))
	}
	return lines, branches, files
}

// ownFloor warns if the project's own floor is stricter: fail_under of coverage.py, or the option of pytest-cov.
func ownFloor(stage *verdict.Stage, kept *keptOut, stated pyenv.TestSettings, floor float64) {
	own, setting, from := kept.FailUnder, "fail_under = ", strings.Join(kept.Settings, ", ")
	if stated.Floor > 0 { // pytest-cov prefers it to that of coverage.py
		own, setting, from = stated.Floor, "--cov-fail-under=", stated.FloorFrom
	}
	if own <= floor {
		return
	}
	stage.Warn(pyenv.FailUnderReplaced, "%s%s in %s, the gate is %s", setting, strings.TrimSuffix(percent(own), "%"), from, percent(floor))
}

package testrun

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// changes tells the plugin which files changed.
type changes struct {
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
}

// shard tells the plugin which shard to run.
type shard struct {
	Index     int                `json:"index"`
	Of        int                `json:"of"`
	Durations map[string]float64 `json:"durations"`
}

// chosen tells the plugin which category to run.
type chosen struct {
	Files  []string `json:"files"`
	Marker string   `json:"marker"`
}

// control returns the plugin's input; it is empty for a run of the whole suite.
func (p *plan) control(r runner.Runner, in Input) {
	told := struct {
		Category *chosen  `json:"category,omitempty"`
		Shard    *shard   `json:"shard,omitempty"`
		Changes  *changes `json:"changes,omitempty"`
	}{Category: p.category(in), Changes: p.seen(in)}
	p.changes = told.Changes
	if in.Shards > 1 {
		told.Shard = &shard{Index: in.shard, Of: in.Shards, Durations: in.durations}
		if told.Shard.Durations == nil {
			told.Shard.Durations = map[string]float64{}
		}
	}
	if in.rerun || told.Category == nil && told.Shard == nil && told.Changes == nil {
		return
	}
	content, err := json.Marshal(told)
	if err != nil {
		panic(err) // names and finite numbers can always be encoded
	}
	p.controls = []runner.Mount{{Path: controlDir, Files: r.NewFiles(map[string][]byte{"control.json": content})}}
}

// seen returns the changed files that are visible to the tests. A change of any other file cannot affect them.
func (p *plan) seen(in Input) *changes {
	if in.Changes == nil || in.Full || in.Changes.Unknown != "" {
		return nil
	}
	c := &changes{Changed: []string{}, Removed: []string{}}
	for _, name := range in.Changes.Changed {
		if _, found := slices.BinarySearch(p.names, name); found {
			c.Changed = append(c.Changed, name)
		}
	}
	t := in.Config.Test.Inputs
	out := slices.Concat(in.Config.Exclude, t.Exclude)
	for _, name := range in.Changes.Removed {
		included := len(t.Include) == 0 || glob.MatchAny(t.Include, name)
		if included && !glob.MatchAny(out, name) {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}

// asked returns the category that the input selects.
func (in Input) asked() (config.Category, bool) {
	at := slices.IndexFunc(in.Config.Test.Categories, func(c config.Category) bool { return c.Name == in.Category })
	if in.Category == "" || in.rerun || at < 0 {
		return config.Category{}, false
	}
	return in.Config.Test.Categories[at], true
}

// category selects the tests of one category: those in its files and those with its marker. Only files, or only a marker,
// become pytest's own arguments, so that no other file is loaded. pytest cannot select tests by either of the two, so then
// the plugin does it.
func (p *plan) category(in Input) *chosen {
	c, ok := in.asked()
	if !ok {
		return nil
	}
	files := []string{}
	for _, name := range p.names {
		if strings.HasSuffix(name, ".py") && glob.MatchAny(c.Paths, name) {
			files = append(files, name)
		}
	}
	switch {
	case len(files) == 0 && c.Marker == "":
		p.nothing = true
	case len(files) == 0:
		p.marker = c.Marker
	case c.Marker == "" && len(in.Paths) == 0:
		p.paths = files
	default:
		return &chosen{Files: files, Marker: c.Marker}
	}
	return nil
}

// Upper limits of Input.Shards, Reruns and Workers.
const (
	MaxShards  = 64
	MaxReruns  = 10
	MaxWorkers = 256
)

// check returns all problems with the arguments.
func (in Input) check() []string {
	var wrong []string
	if in.Shards < 0 || in.Shards > MaxShards {
		wrong = append(wrong, fmt.Sprintf("--shards %d is not between 1 and %d", in.Shards, MaxShards))
	}
	if in.Reruns < 0 || in.Reruns > MaxReruns {
		wrong = append(wrong, fmt.Sprintf("--rerun-failed %d is not between 0 and %d", in.Reruns, MaxReruns))
	}
	if w := in.Workers; w != "" && w != "auto" && w != "logical" && !isNumber(w) {
		wrong = append(wrong, fmt.Sprintf("--workers %q is neither a number from 1 to %d nor auto", w, MaxWorkers))
	}
	if in.Tolerance < 0 || in.Tolerance > 100 {
		wrong = append(wrong, fmt.Sprintf("--tolerance %v is not between 0 and 100 percentage points", in.Tolerance))
	}
	for _, given := range in.Paths {
		file, _, _ := strings.Cut(given, "::")
		switch {
		case strings.HasPrefix(given, "-"):
			wrong = append(wrong, fmt.Sprintf("--path %q begins with a dash: pytest takes it for an option", given))
		case !filepath.IsLocal(file):
			wrong = append(wrong, fmt.Sprintf("--path %q is not inside of the source", given))
		}
	}
	categories := in.Config.Test.Categories
	if in.Category != "" && !slices.ContainsFunc(categories, func(c config.Category) bool { return c.Name == in.Category }) {
		var known []string
		for _, c := range categories {
			known = append(known, c.Name)
		}
		wrong = append(wrong, fmt.Sprintf("--category %q is not one of %s", in.Category, strings.Join(known, ", ")))
	}
	return wrong
}

func isNumber(text string) bool {
	var n int
	_, err := fmt.Sscanf(text, "%d", &n)
	return err == nil && fmt.Sprint(n) == text && n >= 1 && n <= MaxWorkers
}

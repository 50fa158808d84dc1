package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/codes"
)

// Case is one file of cases/: a source, how the command is called on it, and the one right answer.
type Case struct {
	// Name is the file's name without .yaml.
	Name string `yaml:"-"`
	// Title says in one sentence what is tried.
	Title string `yaml:"title"`
	// Kind is K1 to K8 (see kinds), or control for an honest input that has to pass.
	Kind string `yaml:"kind"`
	// Base is the directory of tests/fixtures that the source starts from; "none" for an empty one.
	Base string `yaml:"base"`
	// Servers names the behaviour of the MLflow server and the S3 API; see behaviours. Empty for no servers.
	Servers string `yaml:"servers"`
	// NoSecrets runs the command without canaries in its secret variables.
	NoSecrets bool `yaml:"no_secrets"`
	// OwnCache gives the case a cache that no other case uses.
	OwnCache bool `yaml:"own_cache"`
	// Engine lets the case run on a Dagger engine too.
	Engine bool `yaml:"engine"`
	// Limit is the time limit of each step, a minute when 0.
	Limit time.Duration `yaml:"limit"`
	// MegabytesDisk and MegabytesMemory bound what the command may use at any time; 0 for no bound.
	MegabytesDisk   int64 `yaml:"megabytes_disk"`
	MegabytesMemory int64 `yaml:"megabytes_memory"`
	// Vary has values for a name; one of them, chosen by the seed, replaces @NAME@ in files, arguments,
	// variables and expected texts.
	Vary map[string][]string `yaml:"vary"`
	Step `yaml:",inline"`
	// Then are further calls, after the first one.
	Then []Step `yaml:"then"`
}

// Step is one call of the command.
type Step struct {
	// Files are laid over the source of the step before; null removes one.
	Files map[string]*string `yaml:"files"`
	// Special are entries of the source that are no files: "fifo", "dir", "link TARGET", "socket" or "sparse BYTES".
	Special map[string]string `yaml:"special"`
	// Run are the command and its flags; --source and --report are added. {{source}}, {{work}},
	// {{mlflow}}, {{s3}} and {{canary}} (a secret) are replaced in it, in Env and in Files.
	Run []string `yaml:"run"`
	// Env are variables of the command.
	Env map[string]string `yaml:"env"`
	// Heal makes the servers behave from this step on.
	Heal bool `yaml:"heal"`
	// Expect is the right answer.
	Expect Expect `yaml:"expect"`
}

// Expect is what has to hold after a step. A field that is empty demands nothing, except that a
// verdict other than pass needs Codes and a pass needs a text that shows what was measured.
type Expect struct {
	// Verdict is pass, fail, could-not-run, or refused for a command line that was not taken (exit 2, no run).
	Verdict string `yaml:"verdict"`
	// Codes are the codes that may decide the run; at most three.
	Codes []string `yaml:"codes"`
	// Findings are codes that all have to be among the problems and warnings; NoFindings must not be.
	Findings   []string `yaml:"findings"`
	NoFindings []string `yaml:"no_findings"`
	// Stages are verdicts by stage.
	Stages map[string]string `yaml:"stages"`
	// Says has to be in the output or in report.json; Never must be in neither, nor in any other text of the report.
	Says  []string `yaml:"says"`
	Never []string `yaml:"never"`
	// Committed is how many versions are committed in the store afterwards, Champion which version the alias points at.
	Committed *int `yaml:"committed"`
	Champion  *int `yaml:"champion"`
	// Untouched demands that the servers saw no request at all.
	Untouched bool `yaml:"untouched"`
	// Leaves are paths below {{work}} that must exist afterwards, Gone those that must not.
	Leaves []string `yaml:"leaves"`
	Gone   []string `yaml:"gone"`
}

// kinds are the kinds of ways in which a verdict can be wrong.
var kinds = map[string]string{
	"K1":      "the judged source decides how it is judged",
	"K2":      "state shared between runs",
	"K3":      "success taken on somebody's word",
	"K4":      "no boundary where one is promised",
	"K5":      "no bound",
	"K6":      "text from outside shown raw",
	"K7":      "silence instead of an error or warning",
	"K8":      "wrong diagnosis",
	"control": "honest, and has to pass",
}

// maxLimit is the longest time limit of a step, so that the whole campaign stays in bounds.
const maxLimit = 3 * time.Minute

// LoadCases reads every case of a directory, sorted by name. The error lists all that is wrong.
func LoadCases(dir string) ([]Case, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	known, err := codes.All()
	if err != nil {
		return nil, err
	}
	isCode := map[string]bool{}
	for _, code := range known {
		isCode[code.Name] = true
	}
	var cases []Case
	var problems []error
	for _, name := range names {
		content, err := os.ReadFile(name) //nolint:gosec // a case of this repository
		if err != nil {
			return nil, err
		}
		c, err := parse(content, isCode)
		c.Name = strings.TrimSuffix(filepath.Base(name), ".yaml")
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		cases = append(cases, c)
	}
	return cases, errors.Join(problems...)
}

// parse reads a case. The error lists everything that is wrong with it, above all an expectation
// that nearly any answer would meet.
func parse(content []byte, isCode map[string]bool) (Case, error) {
	var c Case
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return c, err
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return c, errors.New("more than one document")
	}
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if c.Title == "" {
		add("no title")
	}
	if kinds[c.Kind] == "" {
		add("kind %q: want K1 to K8, or control", c.Kind)
	}
	if c.Base == "" {
		add("no base")
	}
	if c.Servers != "" && behaviours[c.Servers] == nil {
		add("servers %q are not among the behaviours", c.Servers)
	}
	if c.Limit == 0 {
		c.Limit = time.Minute
	}
	if c.Limit < time.Second || c.Limit > maxLimit {
		add("limit %s: want 1s to %s", c.Limit, maxLimit)
	}
	for name, values := range c.Vary {
		if len(values) < 2 {
			add("vary %s: want two values or more", name)
		}
	}
	for _, step := range c.steps() {
		if len(step.Run) == 0 {
			add("a step without a command")
		}
		for name, kind := range step.Special {
			if !special.MatchString(kind) {
				add("special %s: %q is not known", name, kind)
			}
		}
		wrong = append(wrong, step.Expect.lax(isCode, c.Servers != "")...)
	}
	if c.Kind == "control" && c.steps()[len(c.Then)].Expect.Verdict != "pass" {
		add("a control has to pass in the end")
	}
	return c, errors.Join(wrong...)
}

var special = regexp.MustCompile(`^(?:fifo|dir|socket|link .+|sparse [0-9]+)$`)

// lax says what is missing for the expectation to mean something.
func (e Expect) lax(isCode map[string]bool, servers bool) (wrong []error) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	switch e.Verdict {
	case "pass":
		if len(e.Codes) > 0 {
			add("a pass has no codes")
		}
		if len(e.Says) == 0 {
			add("expect.says: a pass needs a text that shows what was measured")
		}
	case "fail", "could-not-run":
		if len(e.Codes) == 0 || len(e.Codes) > 3 {
			add("expect.codes: %d codes; want one to three", len(e.Codes))
		}
	case "refused":
		if len(e.Says) == 0 {
			add("expect.says: a refused command line needs a text")
		}
	default:
		add("expect.verdict %q: want one of pass, fail, could-not-run, refused", e.Verdict)
	}
	for _, code := range slices.Concat(e.Codes, e.Findings, e.NoFindings) {
		if !isCode[code] {
			add("code %q does not exist; see docs/codes.md", code)
		}
	}
	for _, text := range slices.Concat(e.Says, e.Never) {
		if len(strings.TrimSpace(text)) < 2 && text != "\x1b" && text != "\r" {
			add("text %q is found everywhere", text)
		}
	}
	if !servers && (e.Untouched || e.Committed != nil || e.Champion != nil) {
		add("expects something of servers that it does not have")
	}
	return wrong
}

// steps are all calls of the case, in their order.
func (c Case) steps() []Step { return append([]Step{c.Step}, c.Then...) }

// with chooses the variants of a case by the campaign's seed, and says which.
func (c Case) with(seed uint64) (Case, []string) {
	if len(c.Vary) == 0 {
		return c, nil
	}
	// Each case draws for itself, so that --only draws as the whole campaign does.
	var salt uint64
	for _, b := range []byte(c.Name) {
		salt = salt*1099511628211 + uint64(b)
	}
	random := rand.New(rand.NewPCG(seed, salt)) //nolint:gosec // repeatable, not secret
	names := make([]string, 0, len(c.Vary))
	for name := range c.Vary {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs, chosen []string
	for _, name := range names {
		value := c.Vary[name][random.IntN(len(c.Vary[name]))]
		pairs = append(pairs, "@"+name+"@", value)
		chosen = append(chosen, fmt.Sprintf("%s=%q", name, value))
	}
	replace := strings.NewReplacer(pairs...).Replace
	c.Step = c.Step.mapped(replace)
	then := c.Then
	c.Then = nil
	for _, step := range then {
		c.Then = append(c.Then, step.mapped(replace))
	}
	return c, chosen
}

// mapped returns the step with f applied to every text that may vary.
func (s Step) mapped(f func(string) string) Step {
	files := map[string]*string{}
	for name, content := range s.Files {
		if content != nil {
			changed := f(*content)
			content = &changed
		}
		files[f(name)] = content
	}
	env := map[string]string{}
	for name, value := range s.Env {
		env[f(name)] = f(value)
	}
	entries := map[string]string{}
	for name, kind := range s.Special {
		entries[f(name)] = f(kind)
	}
	list := func(in []string) (out []string) {
		for _, text := range in {
			out = append(out, f(text))
		}
		return out
	}
	s.Files, s.Env, s.Special, s.Run = files, env, entries, list(s.Run)
	s.Expect.Says, s.Expect.Never = list(s.Expect.Says), list(s.Expect.Never)
	s.Expect.Codes, s.Expect.Findings = list(s.Expect.Codes), list(s.Expect.Findings)
	return s
}

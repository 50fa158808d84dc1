package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// checkTimeout limits each check, and slowTimeout those that install an environment, so that one hanging check does not
	// block the others.
	checkTimeout = 20 * time.Second
	slowTimeout  = 10 * time.Minute
	// nearTimeout limits all checks together in the sandbox, farTimeout in an environment with servers.
	nearTimeout = 20 * time.Second
	farTimeout  = time.Minute
	// checksAtOnce is how many checks run side by side.
	checksAtOnce = 16
)

// check tests one condition that a run depends on. It changes nothing.
type check struct {
	name string
	// run returns what it found, or an error, which is shown with remedy.
	run    func(ctx context.Context) (string, error)
	remedy string
}

// Finding is the result of a check.
type Finding struct {
	// Check is its name. Command is the equivalent command in the pipeline document, empty if there is none.
	Check   string `json:"check"`
	Command string `json:"command,omitempty"`
	// Result is ok, warn or FAIL.
	Result string `json:"result"`
	// Found has one line per cause. From says where the checked values were read.
	Found []string `json:"found"`
	From  string   `json:"from,omitempty"`
	// Remedy is set unless Result is ok. Prevents is the code that a run would fail with.
	Remedy   string `json:"remedy,omitempty"`
	Prevents string `json:"prevents,omitempty"`
}

// Checkup is the result of Doctor.
type Checkup struct {
	// Text has one line per check, the remedies, and a summary.
	Text string
	// JSON has the same content for machines.
	JSON []byte
	// Failure is empty when every check passed; otherwise it has the number and names of those that failed.
	Failure string
}

// Doctor checks everything that a run depends on. It starts no service, and writes nothing but the runner's cache of
// environments.
func Doctor(ctx context.Context, backend Backend, opts Options) Checkup {
	s := doctor{&call{backend: backend, opts: opts.withDefaults()}, &choice{}}
	redact, _ := s.opts.redactor(ctx)
	s.run = &verdict.Run{Redact: redact}
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	// The first check reads the configuration, which the others need.
	first := s.checkSource()
	others := s.checkPython()
	for _, st := range stages() {
		if st.checks != nil && st.name != verdict.Test {
			others = append(others, st.checks(s)...)
		}
	}
	others = append(others, s.checkSurroundings()...)
	only := s.opts.Checks
	wanted := func(c check) bool { return len(only) == 0 && !aboutAsked[c.name] || slices.Contains(only, c.name) }
	if unknown := unknownChecks(only, first, others); len(unknown) > 0 {
		var names []string
		for _, c := range slices.Concat(first, others) {
			names = append(names, c.name)
		}
		failure := fmt.Sprintf("--only: there is no check %q here; there are %s", strings.Join(unknown, ", "), strings.Join(names, ", "))
		return Checkup{Text: failure + "\n", Failure: failure, JSON: []byte("{}\n")}
	}
	var findings []Finding
	for _, c := range first {
		// Without a valid configuration the other checks would test the wrong values.
		found := s.look(ctx, c)
		unread := c.name == "pipeline.yaml" && found.Result != healthy
		if wanted(c) || unread {
			findings = append(findings, found)
		}
		if unread && found.Result == unsure {
			return checkupOf(findings) // the configuration is still being read, and the other checks need it
		}
	}
	others = slices.DeleteFunc(others, func(c check) bool { return !wanted(c) })
	results := make([]Finding, len(others))
	room := make(chan struct{}, checksAtOnce)
	var group sync.WaitGroup
	s.choosePython(ctx) // shared by the checks that run concurrently
	for i, c := range others {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			results[i] = s.look(ctx, c)
		})
	}
	group.Wait()
	return checkupOf(append(findings, results...))
}

// unknownChecks returns the requested names that are not checks.
func unknownChecks(names []string, all ...[]check) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(slices.Concat(all...), func(c check) bool { return c.name == name })
	})
}

// Results of a check.
const (
	healthy = "ok"
	unsure  = "warn"
	faulty  = "FAIL"
)

// doctor runs the checks of one call.
type doctor struct {
	*call
	// python is set if no Python version could be chosen.
	python *choice
}

// choice is why something could not be chosen; no error if it was.
type choice struct{ err error }

// patience is the time limit for all checks of the call together.
func (s doctor) patience() time.Duration {
	for _, name := range s.opts.Checks {
		if aboutAsked[name] {
			return slowTimeout
		}
	}
	if s.opts.sandbox() {
		return nearTimeout
	}
	return farTimeout
}

// look runs one check. A check that exceeds its time limit is abandoned, even if it ignores its context.
func (s doctor) look(ctx context.Context, c check) Finding {
	limit := checkTimeout
	if aboutAsked[c.name] {
		limit = slowTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	known := about[c.name]
	f := Finding{Check: c.name, Command: known.command, From: known.from, Result: healthy}
	type answer struct {
		found string
		err   error
	}
	ended := make(chan answer, 1)
	go func() {
		found, err := c.run(ctx)
		ended <- answer{found, err}
	}()
	var found string
	var err error
	select {
	case got := <-ended:
		found, err = got.found, got.err
	case <-ctx.Done():
	}
	if ctx.Err() != nil && (err != nil || found == "") {
		err = &unchecked{"it did not end in its time", "call doctor --only " + c.name + "; if it stays so, what it looks at does not answer"}
	}
	if err == nil {
		f.Found = []string{s.line(found)}
		return f
	}
	f.Result, f.Prevents = faulty, known.prevents
	remedy, doubt, blind := c.remedy, (*doubtful)(nil), (*unchecked)(nil)
	switch {
	case errors.As(err, &blind):
		f.Result, remedy = unsure, blind.next
	case errors.As(err, &doubt):
		f.Result = unsure
	}
	var causes []string
	causes, f.Remedy = explain(err, remedy)
	for _, cause := range causes {
		f.Found = append(f.Found, s.line(cause))
	}
	return f
}

func checkupOf(findings []Finding) Checkup {
	var b strings.Builder
	var broken []string
	for _, f := range findings {
		word := f.Result
		for _, found := range f.Found {
			fmt.Fprintf(&b, "%-4s %-14s %s\n", word, f.Check, found)
			word = ""
		}
		if f.Result == healthy {
			continue
		}
		if f.Result == faulty {
			broken = append(broken, f.Check)
		}
		if f.From != "" {
			fmt.Fprintf(&b, "     %-14s from: %s\n", "", f.From)
		}
		fmt.Fprintf(&b, "     %-14s remedy: %s\n", "", f.Remedy)
	}
	c := Checkup{}
	if len(broken) == 0 {
		fmt.Fprintf(&b, "none of %d checks failed\n", len(findings))
	} else {
		c.Failure = fmt.Sprintf("%d of %d checks failed: %s", len(broken), len(findings), strings.Join(broken, ", "))
		b.WriteString(c.Failure + "\n")
	}
	c.Text = b.String()
	content, err := json.MarshalIndent(struct {
		Schema int       `json:"schema"`
		Checks []Finding `json:"checks"`
		Failed []string  `json:"failed"`
	}{1, findings, slices.Concat([]string{}, broken)}, "", "  ")
	if err != nil {
		content = []byte("{}") // every value in it can be encoded
	}
	content = append(content, '\n')
	c.JSON = content
	return c
}

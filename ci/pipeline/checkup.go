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
	// checkTimeout bounds each check, and slowTimeout one that installs an environment: one that hangs
	// must not stop the others.
	checkTimeout = 20 * time.Second
	slowTimeout  = 10 * time.Minute
	// nearTimeout bounds all checks of the sandbox together, farTimeout those of an environment with servers.
	nearTimeout = 20 * time.Second
	farTimeout  = time.Minute
	// checksAtOnce is how many checks run side by side.
	checksAtOnce = 16
)

// check is one condition that a run depends on. It changes nothing.
type check struct {
	name string
	// run returns what was found, or an error; remedy is shown with the error.
	run    func(ctx context.Context) (string, error)
	remedy string
}

// Finding is the result of a check.
type Finding struct {
	// Check is its name, Command that of the pipeline document which it stands for; empty for none.
	Check   string `json:"check"`
	Command string `json:"command,omitempty"`
	// Result is ok, warn or FAIL.
	Result string `json:"result"`
	// Found is what was found, one line for each cause. From is where the checked values come from.
	Found []string `json:"found"`
	From  string   `json:"from,omitempty"`
	// Remedy is what to do, unless Result is ok. Prevents is the code that a run would end with.
	Remedy   string `json:"remedy,omitempty"`
	Prevents string `json:"prevents,omitempty"`
}

// Checkup is what Doctor found.
type Checkup struct {
	// Text has a line for each check, a remedy for each that failed or is in doubt, and the count.
	Text string
	// JSON is the same for machines.
	JSON []byte
	// Failure is empty when no check failed, else the count and the names of those that did.
	Failure string
}

// Doctor checks everything a run depends on. It starts no service and changes nothing but the
// runner's cache of environments.
func Doctor(ctx context.Context, backend Backend, opts Options) Checkup {
	s := doctor{&call{backend: backend, opts: opts.withDefaults()}, &choice{}}
	redact, _ := s.opts.redactor(ctx)
	s.run = &verdict.Run{Redact: redact}
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	// The configuration is read by the first of them: the others need it.
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
		// Without the configuration the others would check the wrong values.
		found := s.look(ctx, c)
		unread := c.name == "pipeline.yaml" && found.Result != healthy
		if wanted(c) || unread {
			findings = append(findings, found)
		}
		if unread && found.Result == unsure {
			return checkupOf(findings) // it is still being read, and the others would do so too
		}
	}
	others = slices.DeleteFunc(others, func(c check) bool { return !wanted(c) })
	results := make([]Finding, len(others))
	room := make(chan struct{}, checksAtOnce)
	var group sync.WaitGroup
	s.choosePython(ctx) // once, before they look at it side by side
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

// unknownChecks are the names that no check has.
func unknownChecks(names []string, all ...[]check) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(slices.Concat(all...), func(c check) bool { return c.name == name })
	})
}

// The results of a check.
const (
	healthy = "ok"
	unsure  = "warn"
	faulty  = "FAIL"
)

// doctor makes the checks of a call.
type doctor struct {
	*call
	// python is why no version of Python could be chosen, once one was to be.
	python *choice
}

// choice is why something could not be chosen; no error if it was.
type choice struct{ err error }

// patience is how long all checks of the call may take together.
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

// look carries a check out. One that does not end in its time is left alone, also if it does not heed it.
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
		content = []byte("{}") // nothing in it can fail to be encoded
	}
	content = append(content, '\n')
	c.JSON = content
	return c
}

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Class is what a miss is counted as.
type Class string

// The classes. WrongCode is everything that is neither a false pass nor a secret: another verdict or code than
// the right one, a missing warning, text that must not be there, a process that was left, a bound that did not hold.
const (
	FalsePass  Class = "false pass"
	WrongCode  Class = "wrong code"
	SecretSeen Class = "secret seen"
)

// Miss is one thing that was not as it has to be.
type Miss struct {
	Class Class
	What  string
}

// failLine is the form of every failure that users see.
var failLine = regexp.MustCompile(`FAIL [a-z]+ ([A-Z0-9_]+): `)

// panicked is what the Go runtime prints when the command itself fell over.
var panicked = regexp.MustCompile(`(?m)^(?:panic: |fatal error: |goroutine \d+ \[)`)

// judge holds what a call left against what is right.
func (s *scene) judge(want Expect, left *Left) (misses []Miss) {
	add := func(class Class, format string, args ...any) {
		misses = append(misses, Miss{class, fmt.Sprintf(format, args...)})
	}
	for _, seen := range left.secrets {
		add(SecretSeen, "%s", seen)
	}
	if left.timedOut {
		add(WrongCode, "not done within its time limit")
	}
	if panicked.MatchString(left.output) {
		add(WrongCode, "the command panicked")
	}
	got, codes := left.verdict()
	switch {
	case got == want.Verdict:
	case got == "pass", left.exit == 0:
		add(FalsePass, "%s; right is %s %s", got, want.Verdict, strings.Join(want.Codes, " or "))
	default:
		add(WrongCode, "verdict %s %s; right is %s %s: %s", got, strings.Join(codes, " "), want.Verdict, strings.Join(want.Codes, " or "), left.cause())
	}
	if len(want.Codes) > 0 && got == want.Verdict && (len(codes) == 0 || !slices.Contains(want.Codes, codes[0])) {
		add(WrongCode, "code %s; right is %s: %s", strings.Join(codes, " "), strings.Join(want.Codes, " or "), left.cause())
	}
	found := left.findings()
	for _, code := range want.Findings {
		if !slices.Contains(found, code) {
			add(WrongCode, "%s was not told; told was %s", code, strings.Join(found, " "))
		}
	}
	for _, code := range want.NoFindings {
		if slices.Contains(found, code) {
			add(WrongCode, "%s was told and is not true", code)
		}
	}
	for name, outcome := range want.Stages {
		actual := "absent"
		if left.run != nil {
			if stage := left.run.Stage(name); stage != nil {
				actual = string(stage.Verdict)
			}
		}
		if actual != outcome {
			class := WrongCode
			if actual == string(verdict.Pass) {
				class = FalsePass
			}
			add(class, "%s is %s; right is %s", name, actual, outcome)
		}
	}
	misses = append(misses, s.texts(want, left)...)
	misses = append(misses, s.world(want, left)...)
	return misses
}

// texts looks for what has to be said and what must not be.
func (s *scene) texts(want Expect, left *Left) (misses []Miss) {
	texts := map[string]string{"the output": left.output}
	_ = filepath.WalkDir(left.report, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && slices.Contains([]string{".json", ".md", ".html", ".txt"}, filepath.Ext(path)) &&
			filepath.Dir(path) == left.report {
			if content, err := os.ReadFile(path); err == nil {
				texts[filepath.Base(path)] = string(content)
			}
		}
		return nil //nolint:nilerr // there is no report when the command line was refused
	})
	for _, text := range want.Says {
		// verdict.txt is what the command prints at its end; on an engine nothing prints it.
		if !strings.Contains(left.output, text) && !strings.Contains(texts["report.json"], text) && !strings.Contains(texts["verdict.txt"], text) {
			misses = append(misses, Miss{WrongCode, fmt.Sprintf("%q is not said: %s", text, left.cause())})
		}
	}
	for _, text := range want.Never {
		for place, content := range texts {
			if strings.Contains(content, text) {
				misses = append(misses, Miss{WrongCode, fmt.Sprintf("%q is in %s", text, place)})
			}
		}
	}
	return misses
}

// world looks at the servers, the processes and the disk.
func (s *scene) world(want Expect, left *Left) (misses []Miss) {
	add := func(format string, args ...any) {
		misses = append(misses, Miss{WrongCode, fmt.Sprintf(format, args...)})
	}
	if want.Committed != nil && s.servers.committed() != *want.Committed {
		add("%d versions are committed; right is %d", s.servers.committed(), *want.Committed)
	}
	if champion := s.alias(); want.Champion != nil && champion != *want.Champion {
		add("champion is version %d; right is %d", champion, *want.Champion)
	}
	if want.Untouched && s.servers.touched.Load() > 0 {
		add("a server was asked: %s", short(strings.Join(append(s.servers.mlf.Requests(), s.servers.store.Requests()...), ", "), 300))
	}
	for _, process := range left.processes {
		add("a process was left: %s", process)
	}
	for _, leftover := range left.leftovers {
		add("left behind: %s", leftover)
	}
	if s.c.MegabytesDisk > 0 && left.disk>>20 > s.c.MegabytesDisk {
		add("%d MB on the disk; the bound is %d", left.disk>>20, s.c.MegabytesDisk)
	}
	if s.c.MegabytesMemory > 0 && left.memory > s.c.MegabytesMemory {
		add("%d MB of memory; the bound is %d", left.memory, s.c.MegabytesMemory)
	}
	for _, path := range want.Leaves {
		if _, err := os.Lstat(filepath.Join(s.work, path)); err != nil {
			add("%s is not there", path)
		}
	}
	for _, path := range want.Gone {
		if _, err := os.Lstat(filepath.Join(s.work, path)); err == nil {
			add("%s is there", path)
		}
	}
	return misses
}

func (s *scene) alias() int {
	if s.servers == nil {
		return 0
	}
	return s.servers.mlf.Alias(registered, "champion")
}

// verdict is the run's outcome and its codes, the one that decided it first. The report says so; a command
// that leaves none is judged by its exit code and its lines. A pass in the report and an exit code that says
// otherwise, or the other way round, is neither.
func (l *Left) verdict() (string, []string) {
	var codes []string
	for _, m := range failLine.FindAllStringSubmatch(l.output, -1) {
		codes = append(codes, m[1])
	}
	if l.run != nil {
		outcome := string(l.run.Verdict)
		if l.run.Code != "" {
			codes = append([]string{l.run.Code}, codes...)
		}
		if (outcome == "pass") != (l.exit == 0) {
			return fmt.Sprintf("%s with exit code %d", outcome, l.exit), codes
		}
		return outcome, codes
	}
	switch l.exit {
	case 0:
		return "pass", codes
	case 1:
		return "fail", codes
	case 2:
		return "refused", codes
	}
	return fmt.Sprintf("exit code %d", l.exit), codes
}

// findings are the codes of all problems and warnings.
func (l *Left) findings() (codes []string) {
	if l.run == nil {
		for _, m := range regexp.MustCompile(`\b(?:FAIL [a-z]+|WARN [a-z]+|WARNING) ([A-Z0-9_]+)\b`).FindAllStringSubmatch(l.output, -1) {
			codes = append(codes, m[1])
		}
		return codes
	}
	add := func(found []verdict.Finding) {
		for _, f := range found {
			codes = append(codes, f.Code)
		}
	}
	add(l.run.Warnings)
	stages := l.run.Stages
	if l.run.Preflight != nil {
		stages = append([]verdict.Stage{*l.run.Preflight}, stages...)
	}
	for _, stage := range stages {
		add(stage.Problems)
		add(stage.Warnings)
		// A stage that was not run says why by its code.
		if stage.Code != "" {
			codes = append(codes, stage.Code)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// cause is what the command said was wrong, in one line.
func (l *Left) cause() string {
	if l.run != nil && l.run.Cause != "" {
		return short(l.run.Cause, 200)
	}
	lines := strings.Split(strings.TrimSpace(l.output), "\n")
	return short(strings.Join(lines[max(0, len(lines)-3):], " | "), 300)
}

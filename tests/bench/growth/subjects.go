package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// subject is something that a project can have more of.
type subject struct {
	name, title, unit string
	sizes             []int
	// prepare makes an input of a size in dir, unless it is there, and returns the work on it.
	prepare func(dir string, size int) (work func() error, err error)
}

func (s subject) words(size int) string {
	digits := fmt.Sprint(size)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + s.unit
}

var subjects = []subject{
	{"tests", "judging tests and coverage", "tests", []int{200, 2_000, 20_000}, tests},
	{"models", "inspecting, hashing and storing a model", "MB", []int{1, 64, 512, 4_000}, models},
	{"runs", "figures of a ledger of runs", "runs", []int{10, 1_000, 10_000, 100_000}, ledgerOfRuns},
	{"changes", "selecting tests by changed files", "files", []int{1, 50, 500}, changes},
	{"services", "planning services", "services", []int{1, 20, 200}, services},
}

// written creates a file unless it is there: the inputs of a size are made once.
func written(path string, write func(w *bufio.Writer)) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path + ".partial")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	write(w)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(path+".partial", path)
}

// tests are what a suite leaves: twenty tests a file, and a file of code of fifty lines for each of theirs.
func tests(dir string, size int) (func() error, error) {
	name := func(i int) (file, test string) {
		return fmt.Sprintf("tests/test_%d.py", i/20), fmt.Sprintf("test_%d", i)
	}
	for file, write := range map[string]func(w *bufio.Writer){
		"junit.xml": func(w *bufio.Writer) {
			fmt.Fprint(w, `<testsuites><testsuite name="pytest">`)
			for i := range size {
				file, test := name(i)
				fmt.Fprintf(w, `<testcase classname="tests.test_%d" name="%s" file="%s" time="0.01"/>`, i/20, test, file)
			}
			fmt.Fprint(w, `</testsuite></testsuites>`)
		},
		"coverage.xml": func(w *bufio.Writer) {
			fmt.Fprint(w, `<coverage><packages><package name="p"><classes>`)
			for i := range size / 20 {
				fmt.Fprintf(w, `<class filename="app/m%d.py"><methods/><lines>`, i)
				for line := range 50 {
					fmt.Fprintf(w, `<line number="%d" hits="1"/>`, line+1)
				}
				fmt.Fprint(w, `</lines></class>`)
			}
			fmt.Fprint(w, `</classes></package></packages></coverage>`)
		},
		"htmlcov/index.html": func(w *bufio.Writer) { fmt.Fprint(w, "<html/>") },
		"events.jsonl": func(w *bufio.Writer) {
			fmt.Fprintf(w, `{"event":"session","pytest":"9","added":[]}`+"\n"+`{"event":"collected","tests":%d}`+"\n", size)
			for i := range size {
				file, test := name(i)
				fmt.Fprintf(w, `{"event":"start","id":"%[1]s::%[2]s"}`+"\n"+
					`{"event":"result","id":"%[1]s::%[2]s","when":"call","outcome":"passed","seconds":0.01}`+"\n"+
					`{"event":"finish","id":"%[1]s::%[2]s"}`+"\n", file, test)
			}
			fmt.Fprint(w, `{"event":"end","status":0}`+"\n")
		},
	} {
		if err := written(filepath.Join(dir, ".report", file), write); err != nil {
			return nil, err
		}
	}
	var seal strings.Builder
	for _, name := range []string{"coverage.xml", "events.jsonl", "junit.xml"} {
		sum, err := digest(filepath.Join(dir, ".report", name))
		if err != nil {
			return nil, err
		}
		seal.WriteString(" " + name + "=" + sum[:32])
	}
	return func() error {
		scratch, err := os.MkdirTemp(filepath.Dir(dir), "scratch-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		sources := map[string]string{"requirements/test.lock": "six==1.17.0 --hash=sha256:00\n"}
		for i := range size / 20 {
			sources[fmt.Sprintf("tests/test_%d.py", i)], sources[fmt.Sprintf("app/m%d.py", i)] = "", ""
		}
		in := testrun.Input{Config: config.Default(), Source: fake.Files(sources), Scratch: scratch}
		result := testrun.Run(context.Background(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
			ran := fake.Result(0, nil)
			ran.Outputs, ran.Stdout = fake.Dir(dir), "passed\n\nopenstack-rca: sealed"+seal.String()+"\n"
			return ran, nil
		}), in)
		if result.Stage.Verdict != verdict.Pass {
			return fmt.Errorf("the tests did not pass: %s", result.Stage.Failure())
		}
		return verdict.WriteReport(filepath.Join(scratch, "report"), &verdict.Run{Application: "growth", Stages: []verdict.Stage{result.Stage}})
	}, nil
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// models is a file of weights that are all zero: a hole in the file, so that it takes no room.
func models(dir string, size int) (func() error, error) {
	path, bytes := filepath.Join(dir, "model.safetensors"), int64(size)*1_000_000/4*4
	header := fmt.Sprintf(`{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, bytes/4, bytes)
	if err := written(path, func(w *bufio.Writer) {
		_ = binary.Write(w, binary.LittleEndian, uint64(len(header))) // a bufio.Writer keeps its error
		_, _ = w.WriteString(header)
	}); err != nil {
		return nil, err
	}
	whole := int64(8+len(header)) + bytes
	if err := os.Truncate(path, whole); err != nil {
		return nil, err
	}
	return func() error {
		ctx := context.Background()
		report, err := formats.Inspect(ctx, path, modelfile.Options{
			Format: "safetensors", Loader: "net", Beside: map[string]int64{"net.py": 100},
		})
		if err != nil {
			return err
		}
		if !report.OK() {
			return fmt.Errorf("the model was refused: %+v", report.Problems)
		}
		sum, err := digest(path)
		if err != nil {
			return err
		}
		url, stop := serveHoles()
		defer stop()
		store, err := ledger.Open(ctx, ledger.Options{
			Root: "s3://bucket/models", Endpoint: url, Region: "eu-central-1", AccessKey: "growth", SecretKey: "growth",
			Series: ledger.Series{App: "app", Environment: "growth", Model: "model"},
		})
		if err != nil {
			return err
		}
		_, err = store.Put(ctx, store.URI(1, "model.safetensors"), ledger.Local{Path: path, SHA256: sum, Bytes: whole})
		return err
	}, nil
}

// ledgerOfRuns has the runs of two years, as many in each month.
func ledgerOfRuns(dir string, size int) (func() error, error) {
	ctx, first := context.Background(), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	open := func() *runledger.Ledger { return runledger.Open(runledger.InDir(dir, "app"), "staging") }
	if _, err := os.Stat(dir); err != nil {
		for i := range size {
			r := runledger.Record{
				Schema: runledger.Schema, ID: fmt.Sprintf("%016x", i), Call: "run", Application: "app", Environment: "staging", Ref: "main",
				Commit: fmt.Sprintf("%040x", i), Started: first.AddDate(0, i%24, 0).Add(time.Duration(i/24) * 30 * time.Second), Seconds: 600,
				Verdict: verdict.Pass, Deployment: &verdict.Deployment{},
			}
			r.CommitTime = r.Started.Add(-time.Hour)
			r.Deployment = nil
			for _, stage := range []string{verdict.Test, verdict.Train, verdict.Publish, verdict.Image, verdict.Deploy} {
				r.Stages = append(r.Stages, runledger.Stage{Name: stage, Verdict: verdict.Pass, Seconds: 60})
			}
			if err := open().Write(ctx, r); err != nil {
				return nil, err
			}
		}
	}
	return func() error {
		history, err := open().Read(ctx, first, first.AddDate(2, 0, 0))
		if err != nil {
			return err
		}
		if len(history.Records) != size || len(history.Unreadable) > 0 {
			return fmt.Errorf("%d of %d runs were read: %v", len(history.Records), size, history.Unreadable)
		}
		dora.Of(history.Records, dora.Window{Environment: "staging", Since: first, Until: first.AddDate(2, 0, 0)})
		return nil
	}, nil
}

// selector runs the selection of tests without pytest, of which it needs nothing but a decorator.
const selector = `
import json, pathlib, sys, types
sys.modules["pytest"] = types.SimpleNamespace(hookimpl=lambda **_: lambda f: f, Config=None, Item=None)
sys.path.insert(0, sys.argv[1])
import openstack_rca_select as select
root = pathlib.Path(sys.argv[2])
tests = sorted(p.relative_to(root).as_posix() for p in root.glob("tests/test_*.py"))
found, why = select.affected(root, [f"app/m{i}.py" for i in range(int(sys.argv[3]))], [], tests)
assert not why, why
assert len(found) == int(sys.argv[3]), len(found)
`

// changes is a project of 500 modules with a test file each, of which some were changed.
func changes(dir string, size int) (func() error, error) {
	const modules, lines = 500, 40
	for i := range modules {
		for name, text := range map[string]string{
			fmt.Sprintf("app/m%d.py", i):       "import json\n" + strings.Repeat("x = 1\n", lines),
			fmt.Sprintf("tests/test_%d.py", i): fmt.Sprintf("from app.m%d import x\n\n\ndef test_x():\n    assert x\n", i),
		} {
			if err := written(filepath.Join(dir, name), func(w *bufio.Writer) { _, _ = w.WriteString(text) }); err != nil {
				return nil, err
			}
		}
	}
	var patch, report strings.Builder
	report.WriteString(`<coverage><packages><package name="p"><classes>`)
	for i := range size {
		fmt.Fprintf(&patch, "diff --git a/app/m%[1]d.py b/app/m%[1]d.py\n--- a/app/m%[1]d.py\n+++ b/app/m%[1]d.py\n@@ -0,0 +1,%[2]d @@\n%[3]s",
			i, lines, strings.Repeat("+x = 1\n", lines))
		fmt.Fprintf(&report, `<class filename="app/m%d.py"><methods/><lines>`, i)
		for line := range lines {
			fmt.Fprintf(&report, `<line number="%d" hits="1"/>`, line+1)
		}
		report.WriteString(`</lines></class>`)
	}
	report.WriteString(`</classes></package></packages></coverage>`)
	return func() error {
		command := exec.CommandContext(context.Background(), "python3", "-c", selector, "ci/testrun/python", dir, fmt.Sprint(size))
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("select tests: %w", err)
		}
		changed, err := coverage.ParsePatch(patch.String())
		if err != nil {
			return err
		}
		read, err := coverage.Parse(strings.NewReader(report.String()), xmlscan.Limits{})
		if err != nil {
			return err
		}
		if got := changed.Of(read).Totals().Lines; got != size*lines {
			return fmt.Errorf("%d changed lines, want %d", got, size*lines)
		}
		return nil
	}, nil
}

// services are applications of their own that one repository plans.
func services(_ string, size int) (func() error, error) {
	return func() error {
		for i := range size {
			c := config.Default()
			c.Name = fmt.Sprintf("service-%d", i)
			in := rollout.Input{Spec: c.RolloutSpec(), Environment: rollout.Sandbox, Commit: strings.Repeat("0", 40)}
			plan, problems := rollout.NewPlan(in)
			if len(problems) > 0 {
				return fmt.Errorf("plan %s: %s", c.Name, problems[0].Error())
			}
			if plan.Markdown() == "" {
				return fmt.Errorf("plan %s: it is empty", c.Name)
			}
		}
		return nil
	}, nil
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestMain makes this program the command under test where a case says PRETEND: what it leaves is then known.
func TestMain(m *testing.M) {
	if what := os.Getenv("PRETEND"); what != "" {
		os.Exit(pretend(what, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// pretend leaves what a run could leave, as "pass" or "fail CODE", and after a "+" what it does beside that.
func pretend(what string, args []string) int {
	outcome, act, _ := strings.Cut(what, "+")
	outcome, code, _ := strings.Cut(outcome, " ")
	report := args[slices.Index(args, "--report")+1]
	run := verdict.Run{Verdict: verdict.Outcome(outcome), Code: code, Stages: []verdict.Stage{{Name: "test", Verdict: verdict.Outcome(outcome), Code: code}}}
	content, err := json.Marshal(run)
	if err != nil {
		return 70
	}
	secret := os.Getenv("AWS_SESSION_TOKEN")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(report, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	if err := os.MkdirAll(report, 0o700); err != nil {
		return 70
	}
	write("report.json", string(content))
	fmt.Println("3 passed")
	switch act {
	case "raw":
		fmt.Println("token=" + secret)
	case "base64":
		write("kept.txt", base64.StdEncoding.EncodeToString([]byte("user:"+secret)))
	case "hex":
		write("kept.bin", hex.EncodeToString([]byte(secret)))
	case "scratch":
		write("../tmp/left", secret)
	case "panic":
		panic("planted")
	case "exit":
		return 1
	case "child", "orphan":
		child := exec.Command("sleep", "60") //nolint:noctx // it is to outlive this process
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if act == "orphan" {
			child.Env = []string{"TMPDIR=" + os.Getenv("TMPDIR")}
		}
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	if outcome == "pass" {
		return 0
	}
	return 1
}

// play runs cases against this program and returns what the campaign printed, and its exit code.
func play(t *testing.T, cases ...Case) (string, int) {
	t.Helper()
	command, err := os.Executable()
	require.NoError(t, err)
	p := &Campaign{Command: command, Fixtures: t.TempDir(), Dir: t.TempDir(), Seed: 1}
	var out bytes.Buffer
	exit := p.Run(t.Context(), cases, 2, false, &out)
	return out.String(), exit
}

// planted is a case that demands a pass and is answered as what says.
func planted(name, what string, want Expect) Case {
	return Case{Name: name, Title: "planted", Kind: "K1", Base: "none", Limit: time.Minute,
		Step: Step{Run: []string{"test"}, Env: map[string]string{"PRETEND": what}, Expect: want}}
}

var (
	passes = Expect{Verdict: "pass", Says: []string{"3 passed"}}
	fails  = Expect{Verdict: "fail", Codes: []string{"TESTS_FAILED"}}
)

func TestWhatIsRightIsNoMiss(t *testing.T) {
	out, exit := play(t, planted("good", "pass", passes), planted("bad", "fail TESTS_FAILED", fails))
	assert.Equal(t, 0, exit, out)
	assert.Contains(t, out, "false passes 0, wrong codes 0, secrets seen 0")
	assert.Contains(t, out, "2 of 2 cases")
}

func TestWhatIsPlantedIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		what, summary, says string
		want                Expect
		processes           bool
	}{
		"a false pass":             {what: "pass", want: fails, summary: "false passes 1, wrong codes 0, secrets seen 0", says: "pass; right is fail TESTS_FAILED"},
		"a stage's false pass":     {what: "pass", want: Expect{Verdict: "pass", Says: passes.Says, Stages: map[string]string{"test": "not-run"}}, summary: "false passes 1,", says: "test is pass; right is not-run"},
		"a good one that fails":    {what: "fail TESTS_FAILED", want: passes, summary: "false passes 0, wrong codes 1, secrets seen 0", says: "verdict fail TESTS_FAILED"},
		"another code":             {what: "fail INTERNAL", want: fails, summary: "false passes 0, wrong codes 1, secrets seen 0", says: "code INTERNAL; right is TESTS_FAILED"},
		"another verdict":          {what: "could-not-run TESTS_FAILED", want: fails, summary: "wrong codes 1", says: "verdict could-not-run"},
		"an exit code of its own":  {what: "pass+exit", want: passes, summary: "wrong codes 1", says: "pass with exit code 1"},
		"a panic":                  {what: "pass+panic", want: passes, summary: "wrong codes 1", says: "the command panicked"},
		"a missing warning":        {what: "pass", want: Expect{Verdict: "pass", Says: passes.Says, Findings: []string{"GATE_UNSET"}}, summary: "wrong codes 1", says: "GATE_UNSET was not told"},
		"a text that is missing":   {what: "pass", want: Expect{Verdict: "pass", Says: []string{"4 passed"}}, summary: "wrong codes 1", says: `"4 passed" is not said`},
		"a text that must not be":  {what: "pass", want: Expect{Verdict: "pass", Says: passes.Says, Never: []string{"passed"}}, summary: "wrong codes 1", says: `"passed" is in the output`},
		"a secret in the output":   {what: "pass+raw", want: passes, summary: "false passes 0, wrong codes 0, secrets seen 1", says: "AWS_SESSION_TOKEN in the output"},
		"a secret in base64":       {what: "pass+base64", want: passes, summary: "secrets seen 1", says: "report0/kept.txt"},
		"a secret in hexadecimal":  {what: "pass+hex", want: passes, summary: "secrets seen 1", says: "report0/kept.bin"},
		"a secret in the scratch":  {what: "pass+scratch", want: passes, summary: "secrets seen 1", says: "tmp/left"},
		"a process that was left":  {what: "pass+orphan", want: passes, summary: "wrong codes 1, secrets seen 0", says: "a process was left", processes: true},
		"a file that is not there": {what: "pass", want: Expect{Verdict: "pass", Says: passes.Says, Leaves: []string{"source/x"}}, summary: "wrong codes 1", says: "source/x is not there"},
		"a file that must not be":  {what: "pass", want: Expect{Verdict: "pass", Says: passes.Says, Gone: []string{"report0"}}, summary: "wrong codes 1", says: "report0 is there"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.processes && len(processes()) == 0 {
				t.Skip("this system does not show its processes in /proc")
			}
			out, exit := play(t, planted("planted", c.what, c.want))
			assert.Equal(t, 1, exit)
			assert.Contains(t, out, c.summary)
			assert.Contains(t, out, c.says)
			assert.Contains(t, out, "tests/bench/honesty/cases/planted.yaml")
		})
	}
}

// A child's variables are looked at while it runs, so the watch is asked directly.
func TestASecretInTheVariablesOfAChildIsSeen(t *testing.T) {
	if len(processes()) == 0 {
		t.Skip("this system does not show its processes in /proc")
	}
	work := t.TempDir()
	secrets := Canaries{"TOKEN": "canary-of-a-child-0123456789"}
	child := exec.CommandContext(t.Context(), "sleep", "60")
	child.Dir, child.Env = work, []string{"TOKEN=" + secrets["TOKEN"]}
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	w := &watch{native: true, work: work, search: secrets.search()}
	// Until it executes sleep, it has this program's variables.
	require.Eventually(t, func() bool { w.look(); return len(w.seen) > 0 }, 20*time.Second, time.Millisecond)
	assert.Contains(t, w.seen[0], "TOKEN in the variables of sleep")
	assert.Equal(t, []int{child.Process.Pid}, alive(work))
	assert.Empty(t, alive(work, child.Process.Pid))
}

func TestASecretIsFoundInEveryForm(t *testing.T) {
	for name, secret := range newCanaries(rng(7)) {
		s := Canaries{name: secret}.search()
		quoted, err := json.Marshal(secret)
		require.NoError(t, err)
		for _, text := range []string{secret, string(quoted), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("a:" + secret)), base64.URLEncoding.EncodeToString([]byte("ab:" + secret + "!"))} {
			assert.Equal(t, []string{name}, s.in([]byte("before "+text+" after")), text)
		}
		assert.Empty(t, s.in([]byte("before "+secret[:5]+" after")))
	}
}

func TestVariantsAreThoseOfTheSeed(t *testing.T) {
	content := "1"
	c := Case{Name: "x", Vary: map[string][]string{"N": {"one", "two", "three", "four"}}, Step: Step{Run: []string{"@N@"}, Files: map[string]*string{"@N@.py": &content}}}
	seen := map[string]bool{}
	for seed := range uint64(64) {
		a, chosen := c.with(seed)
		b, _ := c.with(seed)
		assert.Equal(t, a.Run, b.Run)
		assert.Equal(t, fmt.Sprintf("N=%q", a.Run[0]), chosen[0])
		assert.Contains(t, a.Files, a.Run[0]+".py")
		seen[a.Run[0]] = true
	}
	assert.Len(t, seen, 4)
}

func TestArgumentsOnAnEngine(t *testing.T) {
	s := &scene{Campaign: &Campaign{Module: "/module"}, c: Case{NoSecrets: true}, work: "/w"}
	got := s.engine(Step{Run: []string{"pipeline", "--ref", "main", "--event=push", "--twice"}}, "/r")
	assert.Equal(t, "--progress=plain -m /module call --source /w/source --ref main --event=push run --twice report export --path /r", strings.Join(got, " "))
}

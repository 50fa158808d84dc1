// Command strangers runs public projects through the test stage and by hand, and compares test by test and line by line:
//
//	go run ./tests/bench/strangers                 # all of them
//	go run ./tests/bench/strangers attrs pluggy    # some
//	go run ./tests/bench/strangers -list
//	go run ./tests/bench/strangers -init          # with the pipeline.yaml that init --measure writes
//	go run ./tests/bench/strangers -init -alone   # the same, without the comparison with pytest by hand
//
// Source distributions come from the package index, at the versions of projects.go. By hand means: a virtual
// environment of the same Python, the project installed editable with what its own instructions name, and pytest with
// coverage.py, with the reports that the stage leaves. Both sides install on their own, and both have uv. The stage may take 10 seconds longer than the hand. It
// exits with 1 when anything differs, and says SKIP with the reason where a project cannot be had. With -init it also
// says which projects pass without an edit of the file that init wrote, and which of these have a floor of coverage
// that was lowered to what their tests reach; at most one of ten may need an edit.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// allowed is how much longer than by hand the stage may take.
const allowed = 10 * time.Second

// shown is how many differences of one kind are printed.
const shown = 10

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("strangers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.Bool("list", false, "list the projects and run none")
	command := flags.String("command", "", "native command to run; built from this repository when empty")
	keep := flags.String("keep", "", "directory to work in, which is kept; a temporary one when empty")
	scaffolded := flags.Bool("init", false, "write pipeline.yaml with init first, and say whether the run then passes")
	cached := flags.Bool("cached", false, "keep the stage's environments of earlier runs: the times then say nothing")
	alone := flags.Bool("alone", false, "with -init: run the stage only, and compare it with nothing")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "strangers:", err)
		return 2
	}
	if *list {
		for _, p := range chosen {
			fmt.Fprintf(stdout, "%-18s %-10s Python %-5s %s\n", p.Name, p.Version, p.Python, p.Backend)
		}
		return 0
	}
	b, err := newBench(ctx, *command, *keep, *cached)
	if err != nil {
		fmt.Fprintln(stderr, "strangers:", err)
		return 2
	}
	if *keep == "" {
		defer func() { _ = os.RemoveAll(b.dir) }()
	}
	b.init, b.alone = *scaffolded, *alone && *scaffolded
	code := 0
	for _, p := range chosen {
		if ctx.Err() != nil {
			return 2
		}
		if !b.play(ctx, p, stdout) {
			code = 1
		}
	}
	if b.init {
		fmt.Fprintf(stdout, "%d of %d projects pass with the file that init wrote, %d of them with a floor of coverage below the default\n",
			b.passed, b.played, b.lowered)
		if b.played-b.passed > max(1, b.played/10) {
			code = 1
		}
	}
	return code
}

// choose are the projects of some names; all without any. An unknown name is an error.
func choose(names []string) ([]project, error) {
	if len(names) == 0 {
		return projects, nil
	}
	var chosen []project
	for _, name := range names {
		at := slices.IndexFunc(projects, func(p project) bool { return p.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("no project is named %s", name)
		}
		chosen = append(chosen, projects[at])
	}
	return chosen, nil
}

// bench is where the projects are run.
type bench struct {
	dir, command, uv string
	// caches holds the stage's cache, new for a run that is timed.
	caches string
	// init makes the stage run with the file that init writes; played and passed count these runs, lowered
	// those that passed with a floor below the default. alone leaves the hand out.
	init, alone             bool
	played, passed, lowered int
}

// newBench builds the command and installs uv, which makes the environments of both sides.
func newBench(ctx context.Context, command, dir string, cached bool) (*bench, error) {
	_, file, _, _ := runtime.Caller(0)
	repository := filepath.Join(filepath.Dir(file), "..", "..", "..")
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "strangers-")
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, command: command}
	if !cached {
		b.caches = filepath.Join(dir, "cache")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if command == "" {
		b.command = filepath.Join(dir, "openstack-rca")
		if err := b.call(ctx, repository, "go", "build", "-o", b.command, "./ci/cmd/openstack-rca"); err != nil {
			return nil, err
		}
	} else if b.command, err = filepath.Abs(command); err != nil {
		return nil, err
	}
	b.uv = filepath.Join(dir, "tools", "bin", "uv")
	if _, err := os.Stat(b.uv); err != nil {
		if err := b.call(ctx, dir, "python3", "-m", "venv", filepath.Join(dir, "tools")); err != nil {
			return nil, err
		}
		if err := b.call(ctx, dir, filepath.Join(dir, "tools", "bin", "pip"), "install", "--quiet", "uv=="+uvVersion); err != nil {
			return nil, err
		}
	}
	return b, b.warm(ctx)
}

// warm lets the stage install its uv before the clock starts: the hand has one as well.
func (b *bench) warm(ctx context.Context) error {
	if b.caches == "" {
		return nil
	}
	source := filepath.Join(b.dir, "sources", "warm")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(source, "test_it.py"), []byte("def test_it(): pass\n"), 0o600); err != nil {
		return err
	}
	_, err := b.byStage(ctx, project{Name: "warm"}, source)
	return err
}

// call runs a program; the error has the end of its output.
func (b *bench) call(ctx context.Context, dir, program string, args ...string) error {
	process := exec.CommandContext(ctx, program, args...)
	process.Dir = dir
	if out, err := process.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, last(string(out)))
	}
	return nil
}

// last are the last lines of a text.
func last(text string) string {
	const n = 15
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// play runs one project both ways and prints what differs; false when something does.
func (b *bench) play(ctx context.Context, p project, stdout io.Writer) bool {
	source, err := b.fetch(ctx, p)
	if err != nil {
		fmt.Fprintf(stdout, "SKIP %-16s %v\n", p.Name, err)
		return true
	}
	if missing := p.lacks(); missing != "" {
		fmt.Fprintf(stdout, "SKIP %-16s %s is not on this machine\n", p.Name, missing)
		return true
	}
	floor := 0.0
	if b.init {
		if source, p.Measured, floor, err = b.scaffold(ctx, p, source); err != nil {
			fmt.Fprintf(stdout, "DIFF %-16s init: %v\n", p.Name, err)
			return false
		}
	}
	hand, err := &found{}, error(nil)
	if !b.alone {
		hand, err = b.byHand(ctx, p, source)
	}
	if err != nil {
		fmt.Fprintf(stdout, "SKIP %-16s by hand: %v\n", p.Name, err)
		return true
	}
	stage, err := b.byStage(ctx, p, source)
	if err != nil {
		fmt.Fprintf(stdout, "DIFF %-16s the stage left no reports: %v\n", p.Name, err)
		return false
	}
	for _, name := range p.Random {
		delete(hand.files, name)
		delete(stage.files, name)
	}
	var differences []string
	if b.alone {
		hand = stage
	} else {
		differences = compare(hand, stage)
	}
	if slower := stage.took - hand.took; slower > allowed && b.caches != "" {
		differences = append(differences, fmt.Sprintf("the stage took %s longer", slower.Round(time.Second/10)))
	}
	word := "same"
	if len(differences) > 0 {
		word = "DIFF"
	}
	took := fmt.Sprintf("stage %5.1f s", stage.took.Seconds())
	if b.alone {
		word = "    "
	} else {
		took = fmt.Sprintf("by hand %5.1f s, %s", hand.took.Seconds(), took)
	}
	fmt.Fprintf(stdout, "%s %-16s %-34s %5d tests, %5d lines in %3d files; %s\n", word, p.Name, p.Backend,
		len(hand.tests), hand.lines(), len(hand.files), took)
	if b.init {
		b.played++
		switch below := floor < config.Default().Test.Coverage.Total; {
		case stage.verdict != "pass":
			fmt.Fprintln(stdout, "     "+stage.verdict)
		case below:
			b.lowered++
			fallthrough
		default:
			b.passed++
			fmt.Fprintf(stdout, "     pass, the floor is %v %%\n", floor)
		}
	}
	for _, text := range differences[:min(len(differences), shown)] {
		fmt.Fprintln(stdout, "     "+text)
	}
	if more := len(differences) - shown; more > 0 {
		fmt.Fprintf(stdout, "     and %d more differences\n", more)
	}
	return len(differences) == 0
}

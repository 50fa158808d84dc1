// Command honesty runs hostile and faulty sources, settings, servers and models against the pipeline, and counts
// what it took for good that was not, what it called by a wrong name, and which secrets could be seen:
//
//	go run ./tests/bench/honesty                       # all cases, against the native command
//	go run ./tests/bench/honesty --only 'coverage-*'   # some of them
//	go run ./tests/bench/honesty --engine              # those that are marked for it, on a Dagger engine
//	go run ./tests/bench/honesty --list
//
// A case is one file of cases/; type Case says what is in it. The answer that is right is part of the case, and a
// case that nearly every answer would meet is refused. Everything runs on this machine's own addresses, below a
// temporary directory, with time limits. It exits with 1 when anything was not as it has to be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

// here is the directory of this package.
func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("honesty", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seed := flags.Uint64("seed", 0, "order of the cases and choice of their variants; a new one when 0, printed")
	only := flags.String("only", "*", "run the cases whose name this pattern matches; several with commas")
	onEngine := flags.Bool("engine", false, "run the marked cases on a Dagger engine instead")
	list := flags.Bool("list", false, "list the cases and run none")
	jobs := flags.Int("jobs", 2, "cases at the same time")
	command := flags.String("command", "", "native command to run; built from this repository when empty")
	keep := flags.Bool("keep", false, "keep the directories of the cases, and say where they are")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	cases, err := LoadCases(filepath.Join(here(), "cases"))
	if err == nil {
		cases, err = choose(cases, *only, *onEngine)
	}
	if err != nil {
		fmt.Fprintln(stderr, "honesty:", err)
		return 2
	}
	if *list {
		for _, c := range cases {
			fmt.Fprintf(stdout, "%-8s %-44s %s\n", c.Kind, c.Name, c.Title)
		}
		return 0
	}
	if *seed == 0 {
		*seed = rand.Uint64()>>1 | 1 //nolint:gosec // repeatable, not secret
	}
	campaign, err := prepare(ctx, *command, *onEngine, *seed)
	if err != nil {
		fmt.Fprintln(stderr, "honesty:", err)
		return 2
	}
	defer func() {
		if *keep {
			fmt.Fprintln(stdout, "kept in", campaign.Dir)
			return
		}
		if err := removeAll(campaign.Dir); err != nil {
			fmt.Fprintln(stderr, "honesty:", err)
		}
	}()
	if !*onEngine {
		if err := campaign.WarmUp(ctx); err != nil {
			fmt.Fprintln(stderr, "honesty:", err)
			return 2
		}
	}
	return campaign.Run(ctx, cases, *jobs, *keep, stdout)
}

// choose returns the cases that a pattern and the place to run them leave. None is an error.
func choose(cases []Case, only string, onEngine bool) ([]Case, error) {
	var chosen []Case
	for _, c := range cases {
		for _, pattern := range strings.Split(only, ",") {
			matched, err := path.Match(pattern, c.Name)
			if err != nil {
				return nil, fmt.Errorf("--only %s: %w", pattern, err)
			}
			if matched && (c.Engine || !onEngine) {
				chosen = append(chosen, c)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no case is named %s", only)
	}
	return chosen, nil
}

// prepare builds the command, or looks for an engine, and makes the campaign's directory.
func prepare(ctx context.Context, command string, onEngine bool, seed uint64) (*Campaign, error) {
	repository := filepath.Dir(filepath.Dir(filepath.Dir(here())))
	dir, err := os.MkdirTemp("", "honesty-")
	if err != nil {
		return nil, err
	}
	c := &Campaign{Command: command, Fixtures: filepath.Join(repository, "tests", "fixtures"), Dir: dir, Seed: seed}
	call := func(program string, args ...string) error {
		process := exec.CommandContext(ctx, program, args...)
		process.Dir = repository
		if out, err := process.CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w: %s", program, err, out), os.RemoveAll(dir))
		}
		return nil
	}
	switch {
	case onEngine:
		c.Module = repository
		if err := call(filepath.Join(repository, "scripts", "engine-reachable")); err != nil {
			return nil, err
		}
		// The engine compiles the module once; no case's time limit pays for it.
		return c, call("dagger", "-m", repository, "functions")
	case command == "":
		c.Command = filepath.Join(dir, "openstack-rca")
		return c, call("go", "build", "-o", c.Command, "./ci/cmd/openstack-rca")
	}
	c.Command, err = filepath.Abs(command)
	return c, err
}

// Run plays cases, some at the same time, in an order that the seed decides, and prints every miss. It returns the exit code.
func (p *Campaign) Run(ctx context.Context, cases []Case, jobs int, keep bool, stdout io.Writer) int {
	where := "the native command"
	if p.Module != "" {
		where = "a Dagger engine"
	}
	fmt.Fprintf(stdout, "%d cases against %s, seed %d\n", len(cases), where, p.Seed)
	rng(p.Seed).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	queue := make(chan Case)
	go func() {
		defer close(queue)
		for _, c := range cases {
			select {
			case queue <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	counts, played, controls := map[Class]int{}, 0, 0
	started := time.Now()
	var group sync.WaitGroup
	for range max(jobs, 1) {
		group.Go(func() {
			for c := range queue {
				began := time.Now()
				misses, chosen := p.Play(ctx, c)
				took := time.Since(began)
				if !keep {
					if err := removeAll(filepath.Join(p.Dir, "cases", c.Name)); err != nil {
						misses = append(misses, Miss{WrongCode, "its directory could not be removed: " + err.Error()})
					}
				}
				mu.Lock()
				played++
				if c.Kind == "control" {
					controls++
				}
				tell(stdout, c, misses, chosen, took)
				for class := range classes(misses) {
					counts[class]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	fmt.Fprintf(stdout, "%d of %d cases in %s, %d of them honest\n", played, len(cases), time.Since(started).Round(time.Second), controls)
	fmt.Fprintf(stdout, "false passes %d, wrong codes %d, secrets seen %d\n", counts[FalsePass], counts[WrongCode], counts[SecretSeen])
	if len(counts) > 0 || played < len(cases) {
		return 1
	}
	return 0
}

// rng is a source of random numbers that a seed repeats.
func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) } //nolint:gosec // repeatable, not secret

// classes are what a case is counted as: once for each class, however many misses it has.
func classes(misses []Miss) map[Class]bool {
	found := map[Class]bool{}
	for _, miss := range misses {
		found[miss.Class] = true
	}
	return found
}

// maxTold is how many misses of a class are printed for a case.
const maxTold = 4

func tell(stdout io.Writer, c Case, misses []Miss, chosen []string, took time.Duration) {
	word := "ok  "
	if len(misses) > 0 {
		word = "MISS"
	}
	fmt.Fprintf(stdout, "%s %-8s %-44s %5.1f s\n", word, c.Kind, c.Name, took.Seconds())
	if len(misses) == 0 {
		return
	}
	fmt.Fprintf(stdout, "     tests/bench/honesty/cases/%s.yaml: %s\n", c.Name, c.Title)
	for _, variant := range chosen {
		fmt.Fprintf(stdout, "     with %s\n", variant)
	}
	told := map[Class]int{}
	for _, miss := range misses {
		if told[miss.Class]++; told[miss.Class] <= maxTold {
			fmt.Fprintf(stdout, "     %s: %s\n", miss.Class, miss.What)
		}
	}
}

// removeAll removes a tree in which a case may have taken away rights.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a directory of the campaign; an error shows in the removal
		}
		return nil
	})
	return os.RemoveAll(dir)
}

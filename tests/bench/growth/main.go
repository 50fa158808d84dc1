// Command growth measures what larger projects cost: processor time and peak memory of this program's own work at each size of an
// input, without the tests and the training themselves.
//
//	go run ./tests/bench/growth                       # prints a table, fails where something grows faster than its input
//	go run ./tests/bench/growth runs models           # some of them
//	go run ./tests/bench/growth -docs docs            # also writes docs/performance.md's table and docs/growth.svg
//
// Each size is a process of its own, so memory is its own. Run it on a machine that does nothing else.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// allowed is the exponent up to which growth counts as that of the input: time = size^allowed. Sorting and the noise
	// of a machine are below.
	allowed = 1.15
	// measurable is what time and memory must at least be at the larger size: less says nothing.
	measurableSeconds, measurableMB = 0.3, 48.0
	// runs of each size, of which the quickest and the smallest count.
	runs = 3
)

// point is one measurement.
type point struct {
	Size    float64
	Seconds float64
	MB      float64
}

// measurement is what the process of one size prints.
type measurement struct {
	Seconds float64 `json:"seconds"`
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "-size" {
		if err := child(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "growth:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	docs := flags.String("docs", "", "directory of the documentation to update")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen := subjects
	if names := flags.Args(); len(names) > 0 {
		chosen = slices.DeleteFunc(slices.Clone(subjects), func(s subject) bool { return !slices.Contains(names, s.name) })
		if len(chosen) < len(names) {
			fmt.Fprintf(stderr, "growth: no such subject among %q\n", names)
			return 2
		}
	}
	base, err := measure(ctx, "nothing", 1)
	if err != nil {
		fmt.Fprintln(stderr, "growth:", err)
		return 1
	}
	var table bytes.Buffer
	fmt.Fprintf(&table, "| What | Size | Processor time | Peak memory |\n|---|---|---|---|\n")
	failed := false
	var chart verdict.LineChart
	for _, s := range chosen {
		var points []point
		for _, size := range s.sizes {
			p, err := measure(ctx, s.name, size)
			if err != nil {
				fmt.Fprintln(stderr, "growth:", err)
				return 1
			}
			// What every process of this program has is not the input's.
			p.MB = max(p.MB-base.MB, 0)
			points = append(points, p)
			fmt.Fprintf(&table, "| %s | %s | %s | %.0f MB |\n", s.title, s.words(size), seconds(p.Seconds), p.MB)
		}
		for _, fault := range judge(points) {
			failed = true
			fmt.Fprintf(stdout, "GROWS  %s: %s\n", s.title, fault)
		}
		chart.Series = append(chart.Series, series(s.title, points))
	}
	fmt.Fprint(stdout, table.String())
	if *docs != "" {
		if err := document(*docs, table.String(), chart); err != nil {
			fmt.Fprintln(stderr, "growth:", err)
			return 1
		}
	}
	if failed {
		return 1
	}
	fmt.Fprintln(stdout, "nothing grows faster than its input")
	return 0
}

// measure runs a size in processes of its own and takes the best of them: whatever else runs only adds.
func measure(ctx context.Context, name string, size int) (point, error) {
	best := point{Size: float64(size), Seconds: math.Inf(1), MB: math.Inf(1)}
	self, err := os.Executable()
	if err != nil {
		return best, err
	}
	work, err := os.MkdirTemp("", "growth-")
	if err != nil {
		return best, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for range runs {
		command := exec.CommandContext(ctx, self, "-size", name, fmt.Sprint(size))
		command.Env = append(os.Environ(), "GROWTH_WORK="+work)
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			return best, fmt.Errorf("%s of %d: %w", name, size, err)
		}
		var m measurement
		if err := json.Unmarshal(out, &m); err != nil {
			return best, fmt.Errorf("%s of %d: %w", name, size, err)
		}
		usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return best, fmt.Errorf("%s of %d: no resource usage", name, size)
		}
		best.Seconds, best.MB = min(best.Seconds, m.Seconds), min(best.MB, float64(usage.Maxrss)/1024)
	}
	return best, nil
}

// judge says what grows faster than the input between two sizes, by its exponent.
func judge(points []point) []string {
	var faults []string
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		for _, what := range []struct {
			name                  string
			from, to, floor, unit float64
		}{{"time", a.Seconds, b.Seconds, measurableSeconds, 0.01}, {"memory", a.MB, b.MB, measurableMB, 4}} {
			if what.to < what.floor {
				continue
			}
			exponent := math.Log(what.to/max(what.from, what.unit)) / math.Log(b.Size/a.Size)
			if exponent > allowed {
				faults = append(faults, fmt.Sprintf("%s from size %.0f to %.0f: %.3g to %.3g, the power of %.2f",
					what.name, a.Size, b.Size, what.from, what.to, exponent))
			}
		}
	}
	return faults
}

// series is a subject's time over its size, both in powers of ten and from its smallest size.
func series(name string, points []point) verdict.Series {
	s := verdict.Series{Name: name}
	for _, p := range points {
		s.X = append(s.X, math.Log10(p.Size/points[0].Size))
		s.Y = append(s.Y, math.Log10(max(p.Seconds, 0.001)))
	}
	return s
}

func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.1f s", s)
}

// The table's place in docs/performance.md.
const begin, end = "<!-- growth: generated by go run ./tests/bench/growth -docs docs -->\n", "<!-- /growth -->\n"

// document writes the table and the plot into the documentation.
func document(dir, table string, chart verdict.LineChart) error {
	longest := slices.MaxFunc(chart.Series, func(a, b verdict.Series) int { return cmp.Compare(last(a.X), last(b.X)) })
	chart.Series = append(chart.Series, verdict.Series{
		Name: "as its input", X: []float64{0, last(longest.X)}, Y: []float64{-3, last(longest.X) - 3},
	})
	chart.X, chart.Y = "size, in powers of ten of the smallest", "seconds of the processor, in powers of ten"
	picture, err := chart.SVG("Time over the size of the input")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "growth.svg"), picture, 0o644); err != nil {
		return err
	}
	page := filepath.Join(dir, "performance.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, too := strings.Cut(rest, end)
	if !ok || !too {
		return fmt.Errorf("update %s: it has no place for the table", page)
	}
	return os.WriteFile(page, []byte(before+begin+table+end+after), 0o644)
}

func last(values []float64) float64 { return values[len(values)-1] }

// child makes an input of a size, then measures the work on it.
func child(name, text string) error {
	var size int
	if _, err := fmt.Sscan(text, &size); err != nil {
		return err
	}
	work := func() error { return nil }
	if name != "nothing" {
		i := slices.IndexFunc(subjects, func(s subject) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("no such subject: %s", name)
		}
		dir := filepath.Join(os.Getenv("GROWTH_WORK"), "input")
		prepared, err := subjects[i].prepare(dir, size)
		if err != nil {
			return err
		}
		work = prepared
	}
	before := processor()
	if err := work(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(measurement{(processor() - before).Seconds()})
}

// processor is the processor's time that this process and those that it waited for have used: it does not depend on what
// else the machine does.
func processor() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			panic(err)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}

// Package coverage reads, sums up, merges and writes coverage reports in Cobertura XML as
// coverage.py writes it, and holds them against gates.
//
// All arithmetic is on integers and rationals: 79.95 % fails a gate of 80 %, and no
// number is ever rounded up. A set of files that is empty is an error, not 100 %.
package coverage

import (
	"errors"
	"fmt"
	"math/big"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// Line is one executable line.
type Line struct {
	// Number is the line's number, from 1.
	Number int32
	// Branches are the branches that start here, Taken those that were taken.
	Branches, Taken uint16
	// Hit reports whether the line was executed.
	Hit bool
}

// File is one measured file.
type File struct {
	// Path is the file's path as the report names it, slash-separated.
	Path string
	// Lines are its executable lines, ascending.
	Lines []Line
}

// Totals are sums over lines and branches.
type Totals struct {
	Files, Lines, Covered, Branches, Taken int
}

// Totals sums up the file.
func (f *File) Totals() Totals {
	t := Totals{Files: 1, Lines: len(f.Lines)}
	for _, l := range f.Lines {
		if l.Hit {
			t.Covered++
		}
		t.Branches += int(l.Branches)
		t.Taken += int(l.Taken)
	}
	return t
}

// Missing lists the lines that were not executed as ranges: "3, 7-9". A range spans
// lines between which no executed line lies.
func (f *File) Missing() string {
	var parts []string
	for i := 0; i < len(f.Lines); i++ {
		if f.Lines[i].Hit {
			continue
		}
		first := i
		for i+1 < len(f.Lines) && !f.Lines[i+1].Hit {
			i++
		}
		part := strconv.Itoa(int(f.Lines[first].Number))
		if i > first {
			part += "-" + strconv.Itoa(int(f.Lines[i].Number))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// Plus is the sum of two totals.
func (t Totals) Plus(o Totals) Totals {
	return Totals{t.Files + o.Files, t.Lines + o.Lines, t.Covered + o.Covered, t.Branches + o.Branches, t.Taken + o.Taken}
}

// LineRate is the share of lines that were executed.
func (t Totals) LineRate() Rate { return Rate{t.Covered, t.Lines} }

// BranchRate is the share of branches that were taken.
func (t Totals) BranchRate() Rate { return Rate{t.Taken, t.Branches} }

// Rate is a share as two integers.
type Rate struct{ Part, Whole int }

// String is the share in percent, cut (never rounded up) to two decimals: "79.95%".
func (r Rate) String() string {
	if r.Whole == 0 {
		return "n/a"
	}
	hundredths := new(big.Int).Mul(big.NewInt(int64(r.Part)), big.NewInt(10000))
	n := hundredths.Div(hundredths, big.NewInt(int64(r.Whole))).Int64()
	return fmt.Sprintf("%d.%02d%%", n/100, n%100)
}

// Percent is the share in percent for charts, and 0 of nothing.
func (r Rate) Percent() float64 {
	if r.Whole == 0 {
		return 0
	}
	return 100 * float64(r.Part) / float64(r.Whole)
}

// AtLeast reports whether the share reaches a floor in percent, exactly: the floor counts as
// the decimal number it was written as. The share of nothing reaches no floor.
func (r Rate) AtLeast(percent float64) bool {
	floor, ok := new(big.Rat).SetString(strconv.FormatFloat(percent, 'f', -1, 64))
	return ok && r.Whole > 0 && r.percent().Cmp(floor) >= 0
}

func (r Rate) percent() *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(int64(r.Part)), big.NewInt(100)), big.NewInt(int64(r.Whole)))
}

// Dropped says by how many percentage points this share is below an earlier one, and
// whether that is beyond a tolerance in points.
func (r Rate) Dropped(before Rate, tolerance float64) (points string, beyond bool) {
	limit, ok := new(big.Rat).SetString(strconv.FormatFloat(tolerance, 'f', -1, 64))
	if r.Whole == 0 || before.Whole == 0 || !ok {
		return "", false
	}
	drop := new(big.Rat).Sub(before.percent(), r.percent())
	return drop.FloatString(2), drop.Cmp(limit) > 0
}

// Report is what one or more documents say.
type Report struct {
	// Files are sorted by path, each path once.
	Files []*File
	// Timestamp is when the report was written, zero where it does not say.
	Timestamp time.Time
}

// Totals sums up all files.
func (r *Report) Totals() Totals {
	var t Totals
	for _, f := range r.Files {
		t = t.Plus(f.Totals())
	}
	return t
}

// Split divides the report's files in two: those that out does not name by path, and those that it does.
func (r *Report) Split(out func(path string) bool) (kept, left *Report) {
	in, not := *r, *r
	in.Files, not.Files = nil, nil
	for _, f := range r.Files {
		if out(f.Path) {
			not.Files = append(not.Files, f)
		} else {
			in.Files = append(in.Files, f)
		}
	}
	return &in, &not
}

// ErrEmptySet means that a group of files to hold to a floor is empty.
var ErrEmptySet = errors.New("no measured file matches")

// Group are the files that match one of the globs. A glob that matches no measured
// file, and globs whose files hold no executable line, are ErrEmptySet, all in one error.
func (r *Report) Group(globs []string) (*Report, error) {
	group := *r
	group.Files = nil
	matched := make([]bool, len(globs))
	for _, f := range r.Files {
		in := false
		for i, pattern := range globs {
			if glob.Match(pattern, f.Path) {
				in, matched[i] = true, true
			}
		}
		if in {
			group.Files = append(group.Files, f)
		}
	}
	var problems []error
	for i, pattern := range globs {
		if !matched[i] {
			problems = append(problems, fmt.Errorf("%w: %s", ErrEmptySet, pattern))
		}
	}
	if len(problems) == 0 && group.Totals().Lines == 0 {
		problems = append(problems, fmt.Errorf("%w that holds an executable line: %s", ErrEmptySet, strings.Join(globs, ", ")))
	}
	return &group, errors.Join(problems...)
}

// Package is a directory with the totals of the files directly in it.
type Package struct {
	// Name is the directory's path, "." for the root.
	Name string
	Totals
}

// Packages sums up by directory, sorted by name.
func (r *Report) Packages() []Package {
	sums := map[string]Totals{}
	for _, f := range r.Files {
		sums[path.Dir(f.Path)] = sums[path.Dir(f.Path)].Plus(f.Totals())
	}
	packages := make([]Package, 0, len(sums))
	for name, t := range sums {
		packages = append(packages, Package{name, t})
	}
	sort.Slice(packages, func(i, j int) bool { return packages[i].Name < packages[j].Name })
	return packages
}

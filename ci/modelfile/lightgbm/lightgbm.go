// Package lightgbm looks into the text files of LightGBM: the objective, the features, and
// whether every index in every tree stays within its bounds.
//
// Such a file holds no code. But the library follows indices and lengths as they are, so a
// crafted file could make it read beyond an array; a tree that is none is refused here.
package lightgbm

import (
	"bufio"
	"context"
	_ "embed" // load.py
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

//go:embed load.py
var loader []byte

// Format is LightGBM.
var Format = modelfile.Format{
	Name: "lightgbm", Library: "LightGBM", Extensions: []string{".lgb"}, Ambiguous: []string{".txt"}, Inspect: inspect, Loader: loader,
	Packages: []string{"lightgbm", "numpy", "scipy"}, Flavor: flavor,
}

// flavor is the model as mlflow.lightgbm loads it. That looks for the file from the model's
// directory, which it gets only where the flavour names no data.
func flavor(path string, saved modelfile.Saved) modelfile.Flavor {
	values := map[string]any{"data": path, "model_class": "lightgbm.basic.Booster"}
	if v := saved.Versions["lightgbm"]; v != "" {
		values["lgb_version"] = v
	}
	return modelfile.Flavor{Name: "lightgbm", Values: values, Loader: "mlflow.lightgbm"}
}

const (
	// maxKey is how long a key may be, maxText a text and maxNumber a number.
	maxKey, maxText, maxNumber = 64, 64 << 10, 64
	// maxLeaves is the size of the largest tree, maxTrees how many there may be.
	maxLeaves, maxTrees = 4 << 20, 1 << 20
)

var errFormat = errors.New("not a file of LightGBM")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFormat, fmt.Sprintf(format, args...))
}

func inspect(ctx context.Context, in *modelfile.Input, report *modelfile.Report) error {
	s := &scanner{r: bufio.NewReaderSize(modelfile.Reader(ctx, in.File, in.Size), 1<<16)}
	m := &model{report: report, tree: map[string][]int64{}, texts: map[string]string{}}
	err := m.read(s)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		report.Invalid("%s ends too early", in.Name)
	case errors.Is(err, errFormat):
		report.Invalid("%s is %v", in.Name, err)
	case err != nil:
		return err
	default:
		m.judge()
	}
	return nil
}

// scanner reads lines of the form key=value, and counts bytes.
type scanner struct {
	r  *bufio.Reader
	at int64
}

func (s *scanner) byte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.at++
	}
	return b, err
}

// key reads up to the = of a line, or its end: ended says that there is no value.
func (s *scanner) key() (key string, ended bool, err error) {
	var b []byte
	for {
		c, err := s.byte()
		switch {
		case err != nil:
			return "", false, err
		case c == '\n' || c == '=':
			return strings.TrimSuffix(string(b), "\r"), c == '\n', nil
		case len(b) >= maxKey:
			return "", false, wrong("a line begins with more than %d characters without =", maxKey)
		}
		b = append(b, c)
	}
}

// rest reads the rest of a line and keeps its first limit bytes; cut says that there was more.
func (s *scanner) rest(limit int) (text string, cut bool, err error) {
	var b []byte
	for {
		c, err := s.byte()
		switch {
		case err != nil:
			return "", false, err
		case c == '\n':
			return strings.TrimSuffix(string(b), "\r"), cut, nil
		case len(b) < limit:
			b = append(b, c)
		default:
			cut = true
		}
	}
}

// numbers calls each for every number of a line.
func (s *scanner) numbers(each func(float64) error) error {
	var word []byte
	for {
		c, err := s.byte()
		if err != nil {
			return err
		}
		if c != ' ' && c != '\n' && c != '\r' {
			if word = append(word, c); len(word) > maxNumber {
				return wrong("a number has more than %d characters", maxNumber)
			}
			continue
		}
		if len(word) > 0 {
			v, err := strconv.ParseFloat(string(word), 64)
			if err != nil && !math.IsInf(v, 0) {
				return wrong("%q is no number", word)
			}
			if err := each(v); err != nil {
				return err
			}
			word = word[:0]
		}
		if c == '\n' {
			return nil
		}
	}
}

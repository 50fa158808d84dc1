package train

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// minSupport is the number of held-out examples from which at least one of a class must be found. With fewer, none may be
	// found by chance.
	minSupport = 5
	maxClasses = 10_000
	bins       = 10
)

// Scores are measured by this program from the held-out predictions that the training exported, so that they do not rely on
// what the training reports.
type Scores struct {
	// Labels are the names of the classes.
	Labels []string `json:"labels"`
	// Examples is how many predictions there are.
	Examples int `json:"examples"`
	// TopK is how many guesses count: 1, or k if the task is to rank the next event.
	TopK int `json:"top_k"`
	// Accuracy is the share of examples whose true class is among the first TopK guesses.
	Accuracy float64 `json:"accuracy"`
	// Top1 is the share of examples whose first guess is right, which equals Accuracy if TopK is 1.
	Top1 float64 `json:"top1"`
	// Baseline is the accuracy of always guessing the TopK most frequent classes.
	Baseline float64 `json:"baseline"`
	// Classes has a row for each class that occurs or was guessed.
	Classes []ClassScore `json:"classes"`
	// Confusion counts examples by true class (row) and first guess (column), by label.
	Confusion [][]int `json:"confusion"`
	// Calibration compares the model's confidence with its accuracy; empty without confidences.
	Calibration []Bin `json:"calibration,omitempty"`
	// CalibrationError is the expected calibration error; 0 without confidences.
	CalibrationError float64 `json:"calibration_error"`
}

// called names the accuracy: "accuracy" or "top-3 accuracy".
func (s *Scores) called() string {
	if s.TopK > 1 {
		return fmt.Sprintf("top-%d accuracy", s.TopK)
	}
	return "accuracy"
}

// ClassScore are the measurements of one class, as fractions.
type ClassScore struct {
	Label string `json:"label"`
	// Support counts the examples of the class, Guessed how often it was the first guess.
	Support int `json:"support"`
	Guessed int `json:"guessed"`
	// Found counts the examples whose class is among the first TopK guesses.
	Found     int     `json:"found"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// Bin is a range of confidence.
type Bin struct {
	Count      int     `json:"count"`
	Confidence float64 `json:"confidence"`
	Accuracy   float64 `json:"accuracy"`
}

// predictions is the file of held-out predictions.
type predictions struct {
	labels      []string
	truth, pred []int
	rank        []int
	score       [][]float64
	topK        int
}

func parsePredictions(content []byte) (*predictions, error) {
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 5, Values: 50_000_000})
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is not a JSON object")
	}
	p := &predictions{topK: 1}
	if p.labels, err = labels(object["labels"]); err != nil {
		return nil, err
	}
	if p.truth, err = integers("y_true", object["y_true"], 0, len(p.labels)-1); err != nil {
		return nil, err
	}
	if p.pred, err = integers("y_pred", object["y_pred"], 0, len(p.labels)-1); err != nil {
		return nil, err
	}
	if len(p.truth) == 0 {
		return nil, fmt.Errorf("y_true is empty")
	}
	if len(p.truth) != len(p.pred) {
		return nil, fmt.Errorf("y_true has %d values, y_pred has %d", len(p.truth), len(p.pred))
	}
	if object["y_rank"] != nil {
		if p.rank, err = integers("y_rank", object["y_rank"], 1, math.MaxInt32); err != nil {
			return nil, err
		}
		if len(p.rank) != len(p.truth) {
			return nil, fmt.Errorf("y_true has %d values, y_rank has %d", len(p.truth), len(p.rank))
		}
		k, ok := object["top_k"].(float64)
		if !ok || k != math.Trunc(k) || k < 1 || k > float64(len(p.labels)) {
			return nil, fmt.Errorf("top_k is %v, not a whole number within 1..%d", object["top_k"], len(p.labels))
		}
		p.topK = int(k)
		for i := range p.rank {
			if (p.rank[i] == 1) != (p.truth[i] == p.pred[i]) {
				return nil, fmt.Errorf("y_rank[%d] is %d, which y_true and y_pred contradict", i, p.rank[i])
			}
		}
	}
	if object["y_score"] != nil {
		if p.score, err = scores(object["y_score"], len(p.truth), len(p.labels)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func labels(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok || len(list) == 0 || len(list) > maxClasses {
		return nil, fmt.Errorf("labels is not a list of 1 to %d names", maxClasses)
	}
	var names []string
	seen := map[string]bool{}
	for i, v := range list {
		name, ok := v.(string)
		if !ok || seen[name] {
			return nil, fmt.Errorf("labels[%d] is %v, not a new name", i, v)
		}
		seen[name] = true
		names = append(names, name)
	}
	return names, nil
}

func integers(name string, value any, low, high int) ([]int, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s is not a list", name)
	}
	numbers := make([]int, len(list))
	for i, v := range list {
		n, ok := v.(float64)
		if !ok || n != math.Trunc(n) || n < float64(low) || n > float64(high) {
			return nil, fmt.Errorf("%s[%d] is %v, not a whole number within %d..%d", name, i, v, low, high)
		}
		numbers[i] = int(n)
	}
	return numbers, nil
}

func scores(value any, rows, columns int) ([][]float64, error) {
	list, ok := value.([]any)
	if !ok || len(list) != rows {
		return nil, fmt.Errorf("y_score is not a list of %d rows", rows)
	}
	table := make([][]float64, rows)
	for i, entry := range list {
		row, ok := entry.([]any)
		if !ok || len(row) != columns {
			return nil, fmt.Errorf("y_score[%d] is not a list of %d values", i, columns)
		}
		for j, v := range row {
			p, ok := v.(float64)
			if !ok || p < 0 || p > 1.0001 { // rounding errors of a softmax
				return nil, fmt.Errorf("y_score[%d][%d] is %v, not a probability", i, j, v)
			}
			table[i] = append(table[i], p)
		}
	}
	return table, nil
}

// measure computes the scores.
func (p *predictions) measure() *Scores {
	s := &Scores{Labels: p.labels, Examples: len(p.truth), TopK: p.topK, Confusion: make([][]int, len(p.labels))}
	for i := range s.Confusion {
		s.Confusion[i] = make([]int, len(p.labels))
	}
	classes := make([]ClassScore, len(p.labels))
	first, found := 0, 0
	for i, truth := range p.truth {
		guess := p.pred[i]
		s.Confusion[truth][guess]++
		classes[truth].Support++
		classes[guess].Guessed++
		right := truth == guess
		if right {
			first++
		}
		if right || p.rank != nil && p.rank[i] <= p.topK {
			found++
			classes[truth].Found++
		}
	}
	n := float64(s.Examples)
	s.Accuracy, s.Top1 = float64(found)/n, float64(first)/n
	var support []int
	for i, c := range classes {
		support = append(support, c.Support)
		if c.Support == 0 && c.Guessed == 0 {
			continue
		}
		c.Label = p.labels[i]
		if c.Guessed > 0 {
			c.Precision = float64(s.Confusion[i][i]) / float64(c.Guessed)
		}
		if c.Support > 0 {
			c.Recall = float64(c.Found) / float64(c.Support)
		}
		if c.Precision+c.Recall > 0 {
			c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
		}
		s.Classes = append(s.Classes, c)
	}
	sort.Sort(sort.Reverse(sort.IntSlice(support)))
	majority := 0
	for _, count := range support[:min(s.TopK, len(support))] {
		majority += count
	}
	s.Baseline = float64(majority) / n
	if p.score != nil {
		s.calibrate(p)
	}
	return s
}

// calibrate groups the examples by the model's confidence in its first guess (Guo et al., On Calibration of Modern Neural
// Networks, ICML 2017).
func (s *Scores) calibrate(p *predictions) {
	all := make([]Bin, bins)
	for i, row := range p.score {
		confidence := min(slices.Max(row), 1)
		b := &all[min(int(confidence*bins), bins-1)]
		b.Count++
		b.Confidence += confidence
		if p.truth[i] == p.pred[i] {
			b.Accuracy++
		}
	}
	for _, b := range all {
		if b.Count == 0 {
			continue
		}
		b.Confidence /= float64(b.Count)
		b.Accuracy /= float64(b.Count)
		s.CalibrationError += math.Abs(b.Confidence-b.Accuracy) * float64(b.Count) / float64(s.Examples)
		s.Calibration = append(s.Calibration, b)
	}
}

// missed returns the classes with enough examples of which none was found.
func (s *Scores) missed() []string {
	var names []string
	for _, c := range s.Classes {
		if c.Support >= minSupport && c.Found == 0 {
			names = append(names, fmt.Sprintf("%s (0 of %d)", clip(c.Label, 80), c.Support))
		}
	}
	return names
}

// present counts the classes in the held-out set.
func (s *Scores) present() int {
	n := 0
	for _, c := range s.Classes {
		if c.Support > 0 {
			n++
		}
	}
	return n
}

// judgePredictions measures the held-out predictions and compares them with what was logged.
func (j judging) judgePredictions(ctx context.Context) []*verdict.Problem {
	if j.cfg.Predictions == "" {
		return j.judgeLoggedBaseline("train.predictions is not set")
	}
	content, err := j.result.Outputs.Read(ctx, path.Clean(j.cfg.Predictions), maxPredictions)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j.judgeLoggedBaseline("the training left no " + j.cfg.Predictions)
	case err != nil:
		return []*verdict.Problem{verdict.Problemf(MetricsMalformed, "%s cannot be read: %v", j.cfg.Predictions, err)}
	}
	held, err := parsePredictions(content)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(MetricsMalformed, "%s: %v", j.cfg.Predictions, err)}
	}
	scores := held.measure()
	j.candidate.Scores = scores
	if held.topK > max(j.cfg.TopK, 1) {
		return []*verdict.Problem{verdict.Problemf(TopKRefused,
			"%s counts the first %d of %d guesses, train.top_k is %d: its %s is %s, with the first guess alone it is %s",
			j.cfg.Predictions, held.topK, len(held.labels), j.cfg.TopK, scores.called(), percent(scores.Accuracy), percent(scores.Top1))}
	}
	if scores.Examples < j.cfg.MinExamples {
		j.stage.Warn(FewExamples, "the held-out set has %d examples, train.min_examples is %d", scores.Examples, j.cfg.MinExamples)
	}
	if scores.present() < 2 {
		return []*verdict.Problem{verdict.Problemf(DataInvalid, "the held-out set holds one class only: nothing can be measured on it")}
	}
	var problems []*verdict.Problem
	problems = append(problems, j.agree("accuracy", scores.Accuracy)...)
	problems = append(problems, j.agree("baseline_accuracy", scores.Baseline)...)
	if problem := j.judgeBaseline(scores.Accuracy, scores.Baseline, fmt.Sprintf("%d held-out predictions", scores.Examples)); problem != nil {
		problems = append(problems, problem)
	}
	if missed := scores.missed(); len(missed) > 0 {
		problems = append(problems, verdict.Problemf(NoBetterThanBaseline, "the model never finds %s", clip(strings.Join(missed, ", "), 300)))
	}
	return problems
}

// agree compares a logged metric with the measured one, to four decimals.
func (j judging) agree(name string, measured float64) []*verdict.Problem {
	if j.candidate.Run == nil {
		return nil
	}
	logged, ok := j.candidate.Run.Metrics[name]
	if difference := logged - measured; !ok || difference < 1e-4 && difference > -1e-4 {
		return nil
	}
	return []*verdict.Problem{verdict.Problemf(MetricDisagrees, "%s is %s in %s, but the predictions give %s", name, near(logged, &measured),
		j.candidate.Run.Source, near(measured, &logged))}
}

// judgeLoggedBaseline uses the baseline that the training logged.
func (j judging) judgeLoggedBaseline(why string) []*verdict.Problem {
	j.stage.Warn(NoPredictions, "%s: baseline and recall cannot be measured", why)
	if j.candidate.Run == nil {
		return nil
	}
	accuracy, ok := j.candidate.Run.Metrics["accuracy"]
	baseline, known := j.candidate.Run.Metrics["baseline_accuracy"]
	if !ok || !known {
		return nil
	}
	if problem := j.judgeBaseline(accuracy, baseline, "as logged, not measured"); problem != nil {
		return []*verdict.Problem{problem}
	}
	return nil
}

func (j judging) judgeBaseline(accuracy, baseline float64, source string) *verdict.Problem {
	margin := j.cfg.BaselineMargin
	ok := accuracy-baseline >= margin-1e-9
	j.stage.Gate(j.called("accuracy")+" above the majority class",
		fmt.Sprintf("%.1f points (%s over %s)", 100*(accuracy-baseline), percent(accuracy), percent(baseline)),
		fmt.Sprintf(">= %.1f points", 100*margin), ok)
	if ok {
		return nil
	}
	return verdict.Problemf(NoBetterThanBaseline, "%s is %s, always guessing the most frequent class gives %s: %.1f points, at least %.1f "+
		"are needed (%s)",
		j.called("accuracy"), rounded(accuracy), rounded(baseline), 100*(accuracy-baseline), 100*margin, source)
}

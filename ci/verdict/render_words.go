package verdict

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Wording shared by the renderers of the report.

func title(r *Run) string {
	name := r.Application
	if name == "" {
		name = "pipeline"
	}
	return name + ": " + string(r.Verdict)
}

// facts returns name and value of what identifies the run.
func facts(r *Run) [][2]string {
	var all [][2]string
	for _, f := range [][2]string{
		{"environment", r.Environment}, {"ref", r.Ref}, {"commit", short(r.Commit)}, {"tree", short(r.Tree)},
		{"model", r.ModelVersion}, {"model sha256", short(r.ModelSHA256)}, {"image", short(r.ImageDigest)},
		{"runner", r.Runner}, {"module", r.Module},
	} {
		if f[1] != "" {
			all = append(all, f)
		}
	}
	return all
}

// short shortens a digest but keeps its algorithm.
func short(digest string) string {
	prefix := ""
	if i := strings.LastIndex(digest, ":"); i >= 0 {
		prefix, digest = digest[:i+1], digest[i+1:]
	}
	if len(digest) > 12 && strings.Trim(digest, "0123456789abcdef") == "" {
		digest = digest[:12]
	}
	return prefix + digest
}

// result summarises a stage in one line: its gates if it passed, otherwise the cause.
func result(s *Stage) string {
	return digests.ReplaceAllString(resultInFull(s), "$1")
}

// digests matches SHA-256 sums. Their first characters are enough to tell them apart; the evidence has all of them.
var digests = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

func resultInFull(s *Stage) string {
	switch s.Verdict {
	case Pass:
		var gates, plain []string
		for _, e := range s.Evidence {
			if e.Want != "" {
				gates = append(gates, e.Name+" "+e.Value)
			} else {
				plain = append(plain, e.Name+" "+short(e.Value))
			}
		}
		if len(gates) == 0 {
			gates = plain
		}
		return strings.Join(gates[:min(len(gates), 4)], ", ")
	case NotRun:
		return s.Cause
	default:
		line := s.Code + ": " + s.Cause
		if more := len(s.Problems) - 1; more > 0 {
			line += " (and " + strconv.Itoa(more) + " more)"
		}
		return line
	}
}

func stageTime(s *Stage) string {
	if s.Verdict == NotRun || s.Seconds == 0 {
		return "–"
	}
	return seconds(s.Seconds)
}

// measure renders a value with its unit, and durations as in the rest of the report.
func measure(v float64, unit string) string {
	if unit == "s" {
		return seconds(v)
	}
	return strings.TrimSpace(number(math.Round(v*1000)/1000) + " " + unit)
}

// number renders a value with at most four decimals and no trailing zeros.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case v == math.Trunc(v) && abs < 1e15:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case abs >= 0.001 && abs < 1e6:
		return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0"), ".")
	default:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
}

package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
)

// series is a metric: its value in a minute, and whether there is one. A point is there so
// many minutes late.
type series struct {
	value func(minute int) (float64, bool)
	late  int
}

// at is the point of a minute as it is known at another one.
func (s series) at(minute, now int) (float64, bool) {
	if s.value == nil || minute+s.late > now || minute < 0 {
		return 0, false
	}
	return s.value(minute)
}

// point is a minute's point of what an alarm watches. A sum has one where any of its parts
// has, and takes the missing ones for 0; FILL has one in every minute ("Using metric math").
func point(t *testing.T, alarm *cloudwatch.PutMetricAlarmInput, metrics map[string]series, minute, now int) (float64, bool) {
	t.Helper()
	if alarm.MetricName != nil {
		return metrics["metric"].at(minute, now)
	}
	expression := aws.ToString(alarm.Metrics[0].Expression)
	total, sign, some := 0.0, 1.0, false
	for _, word := range strings.Fields(strings.ReplaceAll(expression, ", 0)", ",0)")) {
		switch word {
		case "+":
			sign = 1
		case "-":
			sign = -1
		default:
			id, fill := strings.CutPrefix(strings.TrimSuffix(word, ",0)"), "FILL(")
			series, known := metrics[id]
			require.True(t, known, "%q of %q", id, expression)
			value, there := series.at(minute, now)
			total, some = total+sign*value, some || there || fill
		}
	}
	return total, some
}

// rings reports whether an alarm is in ALARM at a minute, by "Configuring how CloudWatch alarms treat
// missing data": the newest real points count if there are as many as periods within a range
// that is longer than these; else all real points do, and the rest is what missing is taken for.
func rings(t *testing.T, alarm *cloudwatch.PutMetricAlarmInput, metrics map[string]series, now int) bool {
	t.Helper()
	const further = 2 // for 3 periods the guide shows a range of 5
	periods := int(*alarm.EvaluationPeriods)
	breaching, seen := 0, 0
	for minute := now; minute > now-periods-further && seen < periods; minute-- {
		if value, there := point(t, alarm, metrics, minute, now); there {
			seen++
			if value >= *alarm.Threshold {
				breaching++
			}
		}
	}
	if aws.ToString(alarm.TreatMissingData) == "breaching" {
		breaching += periods - seen
	}
	return breaching >= int(*alarm.DatapointsToAlarm)
}

func alarmOf(t *testing.T, suffix string) *cloudwatch.PutMetricAlarmInput {
	t.Helper()
	for _, alarm := range mustPlan(t, input("staging")).Alarms {
		if strings.HasSuffix(*alarm.AlarmName, suffix) {
			return alarm
		}
	}
	require.Fail(t, "no alarm "+suffix)
	return nil
}

func always(v float64) func(int) (float64, bool) {
	return func(int) (float64, bool) { return v, true }
}

// from is a value from a minute on, and another one before.
func from(minute int, before, after float64) func(int) (float64, bool) {
	return func(m int) (float64, bool) {
		if m < minute {
			return before, true
		}
		return after, true
	}
}

// every has a value in every n-th minute alone.
func every(n int, v float64) func(int) (float64, bool) {
	return func(m int) (float64, bool) { return v, m%n == 0 }
}

func never(int) (float64, bool) { return 0, false }

// Each alarm rings for what it is to ring for, and for nothing else, however late, sparse or
// missing its points are.
func TestTheAlarmsRingByTheRulesOfCloudWatch(t *testing.T) {
	const high = 1e6
	type metrics = map[string]series
	one := func(value func(int) (float64, bool)) func(late ...int) metrics {
		return func(late ...int) metrics { return metrics{"metric": {value, late[0]}} }
	}
	two := func(a string, va func(int) (float64, bool), b string, vb func(int) (float64, bool)) func(late ...int) metrics {
		return func(late ...int) metrics { return metrics{a: {va, late[0]}, b: {vb, late[1]}} }
	}
	const begins, end = 10, 40
	for suffix, cases := range map[string]map[string]struct {
		metrics func(late ...int) metrics
		rings   bool
	}{
		"-5xx": {
			"errors each minute":                 {one(from(begins, 0, high)), true},
			"errors in every other minute":       {one(every(2, high)), true},
			"no request at all":                  {one(never), false},
			"a minute of errors":                 {one(func(m int) (float64, bool) { return high * float64(b2i(m == begins)), true }), false},
			"requests in every other minute, ok": {one(every(2, 0)), false},
		},
		"-latency": {
			"slow":                        {one(from(begins, 0, high)), true},
			"slow, in every other minute": {one(every(2, high)), true},
			"fast":                        {one(always(0.01)), false},
			"no request at all":           {one(never), false},
		},
		"-unhealthy-targets": {
			"one of green":                          {two("blue", always(0), "green", from(begins, 0, 1)), true},
			"one of blue, and green was never used": {two("blue", from(begins, 0, 1), "green", never), true},
			"one of green, and blue is emptied":     {two("blue", never, "green", always(1)), true},
			"all healthy":                           {two("blue", always(0), "green", always(0)), false},
			"none at all":                           {two("blue", never, "green", never), false},
			"one, for two minutes": {two("blue", always(0), "green",
				func(m int) (float64, bool) { return float64(b2i(m == begins || m == begins+1)), true }), false},
		},
		"-tasks-missing": {
			"one of two":      {two("desired", always(2), "running", from(begins, 2, 1)), true},
			"none runs":       {two("desired", always(2), "running", from(begins, 2, 0)), true},
			"no metric":       {two("desired", never, "running", never), true},
			"all run":         {two("desired", always(2), "running", always(2)), false},
			"while it scales": {two("desired", from(begins, 2, 4), "running", from(begins+2, 2, 4)), false},
		},
	} {
		alarm := alarmOf(t, suffix)
		for name, c := range cases {
			for _, late := range [][]int{{0, 0}, {1, 1}, {2, 2}, {0, 1}, {1, 0}, {0, 2}, {2, 0}} {
				t.Run(fmt.Sprintf("%s/%s/%v", suffix, name, late), func(t *testing.T) {
					// ECS goes by an alarm that is in ALARM at any of its looks.
					ever := false
					for now := 8; now < end; now++ {
						ever = ever || rings(t, alarm, c.metrics(late...), now)
					}
					assert.Equal(t, c.rings, ever, "in %d minutes", end)
				})
			}
		}
	}
}

// The evaluator knows what the guide says of FILL: an alarm that never rings.
func TestAnAlarmWithFillCanBeStuck(t *testing.T) {
	alarm := *alarmOf(t, "-unhealthy-targets")
	alarm.EvaluationPeriods, alarm.DatapointsToAlarm = aws.Int32(3), aws.Int32(3)
	alarm.Metrics = append(alarm.Metrics[:0:0], alarm.Metrics...)
	alarm.Metrics[0].Expression = aws.String("FILL(blue, 0) + FILL(green, 0)")
	late := map[string]series{"blue": {always(0), 1}, "green": {always(1), 1}}
	assert.False(t, rings(t, &alarm, late, 30), "the newest point is always what it was filled with")
	late["green"] = series{always(1), 0}
	assert.True(t, rings(t, &alarm, late, 30))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

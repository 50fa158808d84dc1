package release

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// What a call costs at AWS is what AWS is asked. Polls are left out: they are as many as the minutes
// that a deployment takes. A change that asks more often shows here, without a clock.
func TestAWSIsAskedAsOftenAsRecorded(t *testing.T) {
	polls := map[string]bool{"ecs:DescribeTasks": true, "ecs:DescribeServiceDeployments": true, "ecs:ListServiceDeployments": true,
		"ecs:DescribeServices": true, "ecs:ListTasks": true, "elb:DescribeTargetHealth": true, "cloudwatch:DescribeAlarms": true}
	var text strings.Builder
	w := newWorld(t, "rolling")
	for _, scenario := range []struct {
		name string
		run  func() *Result
	}{
		{"the first deployment", func() *Result { return w.deploy("a") }},
		{"the same image again", func() *Result { return w.deploy("a") }},
		{"another image", func() *Result { return w.deploy("b") }},
		{"what would change", func() *Result { return Plan(w.ctx, w.clients(), w.clock, w.in) }},
		{"status", func() *Result { return Status(w.ctx, w.clients(), w.clock, w.in) }},
		{"back to the last good one", func() *Result { return Rollback(w.ctx, w.clients(), w.clock, w.in) }},
	} {
		from := len(w.aws.Calls())
		result := scenario.run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s", scenario.name, result.Stage.Cause)
		counts, polled := map[string]int{}, map[string]bool{}
		for _, call := range w.aws.Calls()[from:] {
			if polls[call] {
				polled[call] = true
				continue
			}
			counts[call]++
		}
		fmt.Fprintf(&text, "%s:\n", scenario.name)
		for _, call := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&text, "  %s %d\n", call, counts[call])
		}
		fmt.Fprintf(&text, "  polls: %s\n", strings.Join(slices.Sorted(maps.Keys(polled)), ", "))
	}
	daggertest.Golden(t, "testdata/counts.txt", text.String())
}

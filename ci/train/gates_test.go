package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// The readers of metrics refuse what is no number; the gates must not depend on it.
func TestAGateTakesNoNumberThatIsNone(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, problem := metric(&RunRecord{Metrics: map[string]float64{"loss": value}}, config.Gate{Metric: "loss"})
		require.NotNil(t, problem, value)
		require.Equal(t, MetricInvalid.Name, problem.Code.Name)
	}
}

// train.gates replaces the whole list, so a remedy that left a limit out would end in another failure.
func TestTheRemedyOfAMissingMetricKeepsTheLimits(t *testing.T) {
	low, high := 0.8, 0.9
	_, problem := metric(&RunRecord{Metrics: map[string]float64{"val_acc": 0.9}}, config.Gate{Metric: "accuracy", Min: &low, AlertBelow: &high})
	require.NotNil(t, problem)
	require.Contains(t, problem.Next, "{metric: val_acc, min: 0.8, alert_below: 0.9}")
}

package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The readers of metrics refuse what is no number; the gates must not depend on it.
func TestAGateTakesNoNumberThatIsNone(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, problem := metric(&RunRecord{Metrics: map[string]float64{"loss": value}}, "loss")
		require.NotNil(t, problem, value)
		require.Equal(t, MetricInvalid.Name, problem.Code.Name)
	}
}

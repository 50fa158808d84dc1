package publish

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// meter counts requests and the bytes that they carry up.
type meter struct {
	mu    sync.Mutex
	count map[string]int
	bytes map[string]int64
}

// differs is what of a path is another one in each run.
var differs = regexp.MustCompile(`(^|/|_)(?:[0-9a-f]{32,}|[0-9]+)\b`)

func (m *meter) of(server string, path func(r *http.Request) string) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		name := server + " " + r.Method + " " + differs.ReplaceAllString(path(r), "${1}N")
		m.count[name]++
		m.bytes[server] += max(r.ContentLength, 0)
		return false
	}
}

// What publishing costs is what the servers are asked, and what is sent to them. A change that asks
// more often, or sends the model twice, shows here, without a clock.
func TestTheServersAreAskedAsOftenAsRecorded(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	// What does not compress: the bytes that are sent are those of the weights.
	random, weights := rand.New(rand.NewPCG(1, 2)), make([]byte, 256<<10)
	for i := range weights {
		weights[i] = byte(random.Uint32())
	}
	for _, scenario := range []struct{ name, weights string }{
		{"a new model", string(weights)}, {"the same model again", string(weights)}, {"another model", string(weights[1:])},
	} {
		m := &meter{count: map[string]int{}, bytes: map[string]int64{}}
		w.store.SetBefore(m.of("S3", func(r *http.Request) string { return kindOf(r.URL.Path) }))
		w.mlf.SetBefore(m.of("MLflow", func(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow") }))
		model := artifact(t, scenario.weights)
		result := Run(t.Context(), w.input(model))
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s", scenario.name, result.Stage.Cause)
		fmt.Fprintf(&text, "%s:\n", scenario.name)
		for _, name := range slices.Sorted(maps.Keys(m.count)) {
			fmt.Fprintf(&text, "  %s %d\n", name, m.count[name])
		}
		for _, server := range slices.Sorted(maps.Keys(m.bytes)) {
			fmt.Fprintf(&text, "  %s: %.1f KB sent\n", server, float64(m.bytes[server])/1000)
		}
	}
	daggertest.Golden(t, "testdata/counts.txt", text.String())
}

// kindOf is the last part of a key: what is stored, wherever it is.
func kindOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

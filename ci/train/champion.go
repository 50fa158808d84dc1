package train

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Incumbent is the result of looking for the model in production.
type Incumbent struct {
	// Champion is that model; nil if there is none yet.
	Champion *Champion
	// Asked says where the answer comes from; empty if nobody was asked.
	Asked string
	// NotAsked is the reason why nobody was asked although there is a registry, such as a ref that is not trusted with its
	// credentials. The stage warns about it.
	NotAsked string
}

// FindChampion looks for the model in production. It is called once, before the training. A problem ends the stage, so that
// nobody waits for a training that cannot be judged.
type FindChampion func(ctx context.Context) (Incumbent, *verdict.Problem)

// comparableWith refuses a model in production that no gate could be compared with. If it only lacks some gated metrics,
// these may be new, which is a warning when they are compared.
func comparableWith(champion *Champion, gates []config.Gate) *verdict.Problem {
	if champion == nil || len(gates) == 0 {
		return nil
	}
	if len(champion.Metrics) == 0 {
		return verdict.Problemf(ChampionUnmeasured, "version %s has no metrics", champion.Version)
	}
	for _, gate := range gates {
		if value, ok := champion.Metrics[gate.Metric]; ok && (math.IsNaN(value) || math.IsInf(value, 0)) {
			return verdict.Problemf(ChampionUnmeasured, "%s is %v for version %s", gate.Metric, value, champion.Version)
		}
	}
	return nil
}

// MaxChampion limits the size of a file of the champion's metrics, in bytes.
const MaxChampion = 16 << 20

// ParseChampion reads the champion's metrics from a file: train/metrics.json of an earlier report (as `train metrics` exports
// it), or a plain object of numbers. Metrics that are not finite are refused, because every comparison with them would pass.
func ParseChampion(name string, content []byte) (*Champion, *verdict.Problem) {
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 10, Values: 5_000_000})
	if err != nil {
		return nil, verdict.Problemf(ChampionInvalid, "%s: %v", name, err)
	}
	document, ok := value.(map[string]any)
	if !ok {
		return nil, verdict.Problemf(ChampionInvalid, "%s is not a JSON object", name)
	}
	champion := &Champion{Version: name, Metrics: map[string]float64{}}
	found := document
	if nested, ok := document["metrics"].(map[string]any); ok {
		found = nested
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if _, ok := found[key].(float64); !ok {
				return nil, verdict.Problemf(ChampionInvalid, "%s: metric %s is not a number", name, clip(key, 100))
			}
		}
	}
	for key, v := range found {
		if number, ok := v.(float64); ok && !math.IsInf(number, 0) && !math.IsNaN(number) {
			champion.Metrics[key] = number
		}
	}
	if len(champion.Metrics) == 0 {
		return nil, verdict.Problemf(ChampionInvalid, "%s holds no metric", name)
	}
	if sum, ok := document["model_sha256"].(string); ok && len(sum) >= 12 {
		champion.Version = clip(sum, 64)[:12] + " (" + name + ")"
	}
	return champion, nil
}

package train_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func value(v float64) *float64 { return &v }

func TestAGateDemandsOrToleratesAChange(t *testing.T) {
	cases := map[string]struct {
		gate     config.Gate
		champion float64
		code     string
	}{
		"an absolute change that is reached":             {config.Gate{Metric: "accuracy", MinAbsoluteChange: value(0.05)}, 0.90, ""},
		"an absolute change that is not":                 {config.Gate{Metric: "accuracy", MinAbsoluteChange: value(0.06)}, 0.90, train.NoImprovement.Name},
		"a relative change that is reached":              {config.Gate{Metric: "accuracy", MinRelativeChange: value(0.05)}, 0.90, ""},
		"a relative change that is not":                  {config.Gate{Metric: "accuracy", MinRelativeChange: value(0.06)}, 0.90, train.NoImprovement.Name},
		"the larger of both demands counts":              {config.Gate{Metric: "accuracy", MinAbsoluteChange: value(0.01), MinRelativeChange: value(0.06)}, 0.90, train.NoImprovement.Name},
		"a demand that ends up worse is a regression":    {config.Gate{Metric: "accuracy", MinAbsoluteChange: value(0.01)}, 0.96, train.Regression.Name},
		"a tolerance of the gate's own":                  {config.Gate{Metric: "accuracy", Tolerance: value(0.03)}, 0.98, ""},
		"a tolerance of zero":                            {config.Gate{Metric: "accuracy", Tolerance: value(0)}, 0.951, train.Regression.Name},
		"a relative tolerance":                           {config.Gate{Metric: "accuracy", RelativeTolerance: value(0.05)}, 1, ""},
		"a relative tolerance that is exceeded":          {config.Gate{Metric: "accuracy", RelativeTolerance: value(0.02)}, 1, train.Regression.Name},
		"a loss is worse when it is higher":              {config.Gate{Metric: "loss", Better: "lower", Tolerance: value(0.1)}, 0.3, train.Regression.Name},
		"a loss is better when it is lower":              {config.Gate{Metric: "loss", Better: "lower", MinRelativeChange: value(0.1)}, 0.6, ""},
		"a direction that contradicts the bounds counts": {config.Gate{Metric: "loss", Max: value(1), Better: "higher"}, 0.3, ""},
		"a champion of zero is no special case":          {config.Gate{Metric: "accuracy", MinRelativeChange: value(0.5)}, 0, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			s.input.Config.Train.Gates = []config.Gate{c.gate}
			s.input.Champion = &train.Champion{Version: "7", Metrics: map[string]float64{c.gate.Metric: c.champion}}
			result := s.run()
			assert.Equal(t, c.code, result.Stage.Code, result.Stage.Cause)
			found := false
			for _, e := range result.Stage.Evidence {
				if e.Name == c.gate.Metric {
					assert.True(t, e.OK, "its own bounds hold whatever the champion has")
				}
				if e.Name == c.gate.Metric+" against the champion" {
					found = true
					assert.Equal(t, c.code == "", e.OK, e.Value)
				}
			}
			assert.True(t, found, "the comparison is evidence")
		})
	}
}

func TestTheChampionIsAskedForOnceBeforeTheTraining(t *testing.T) {
	production := func(s *scene) verdict.Evidence {
		for _, e := range s.run().Stage.Evidence {
			if e.Name == "model in production" {
				return e
			}
		}
		return verdict.Evidence{}
	}
	t.Run("and compared with", func(t *testing.T) {
		s := sound(t)
		s.input.FindChampion = func(context.Context) (train.Incumbent, *verdict.Problem) {
			assert.Nil(t, s.runner.Steps(), "nothing has been trained yet")
			return train.Incumbent{Champion: &train.Champion{Version: "7", Metrics: map[string]float64{"accuracy": 0.99}}, Asked: "the registry"}, nil
		}
		s.fails(train.Regression, "worse than the 0.99 of version 7")
		assert.Equal(t, "version 7 (from the registry)", production(s).Value)
	})
	t.Run("and there may be none", func(t *testing.T) {
		s := sound(t)
		s.input.FindChampion = func(context.Context) (train.Incumbent, *verdict.Problem) {
			return train.Incumbent{Asked: "the registry"}, nil
		}
		assert.Equal(t, "none in the registry: this would be the first", production(s).Value)
	})
	t.Run("and nothing is trained when the answer is missing", func(t *testing.T) {
		s := sound(t)
		s.input.FindChampion = func(context.Context) (train.Incumbent, *verdict.Problem) {
			return train.Incumbent{Asked: "the registry"}, verdict.Problemf(train.ChampionUnknown, "the registry is down")
		}
		s.fails(train.ChampionUnknown, "the registry is down")
		assert.Empty(t, s.runner.Steps())
	})
	t.Run("and its absence is said when nobody was asked", func(t *testing.T) {
		assert.Contains(t, production(sound(t)).Value, "none known, and no registry to ask")
	})
}

func TestParseChampion(t *testing.T) {
	t.Run("reads a plain object of numbers", func(t *testing.T) {
		champion, problem := train.ParseChampion("champion.json", []byte(`{"accuracy":0.9,"task":"root_cause","history":[]}`))
		require.Nil(t, problem)
		assert.Equal(t, &train.Champion{Version: "champion.json", Metrics: map[string]float64{"accuracy": 0.9}}, champion)
	})
	t.Run("reads what the stage itself reports", func(t *testing.T) {
		s := sound(t)
		result := s.run()
		var content []byte
		for _, f := range result.Stage.Files {
			if f.Path == "train/metrics.json" {
				content = f.Content
			}
		}
		champion, problem := train.ParseChampion("metrics.json", content)
		require.Nil(t, problem)
		assert.InDelta(t, 0.95, champion.Metrics["accuracy"], 1e-12)
		assert.Equal(t, result.Model.SHA256[:12]+" (metrics.json)", champion.Version)
	})
	for name, content := range map[string]string{
		"nothing": "", "a list": "[]", "no number": `{"a":"b"}`, "no metric": `{"metrics":{}}`, "NaN": `{"accuracy":NaN}`,
		"a key twice": `{"a":1,"a":2}`, "a metric in quotes": `{"metrics":{"accuracy":"0.9"}}`, "a metric that is null": `{"metrics":{"accuracy":null}}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			champion, problem := train.ParseChampion("c.json", []byte(content))
			require.NotNil(t, problem)
			assert.Equal(t, train.ChampionInvalid.Name, problem.Code.Name)
			assert.Contains(t, problem.Cause, "c.json")
			assert.Nil(t, champion)
		})
	}
}

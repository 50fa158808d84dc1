package train

import (
	"math"
	"testing"
)

// What a training left is never trusted to be well-formed: nothing of it may panic, and a
// number that is none must not come through.

func FuzzPredictions(f *testing.F) {
	for _, seed := range []string{
		`{"labels":["a","b"],"y_true":[0,1],"y_pred":[0,0]}`,
		`{"labels":["a","b","c"],"y_true":[0,1,2],"y_pred":[0,0,2],"y_rank":[1,2,1],"top_k":2,"y_score":[[1,0,0],[0.5,0.5,0],[0,0,1]]}`,
		`{"labels":["a"],"y_true":[1e999],"y_pred":[-1]}`, `{"labels":["a","b"],"y_true":[0],"y_pred":[0],"y_rank":[1],"top_k":1e300}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := parsePredictions(content)
		if err != nil {
			return
		}
		s := p.measure()
		for _, v := range []float64{s.Accuracy, s.Top1, s.Baseline} {
			if math.IsNaN(v) || v < 0 || v > 1 {
				t.Fatalf("measured %v", v)
			}
		}
		if s.Accuracy < s.Top1 || math.IsNaN(s.CalibrationError) {
			t.Fatalf("accuracy %v, first guess %v, calibration error %v", s.Accuracy, s.Top1, s.CalibrationError)
		}
		s.missed()
	})
}

func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`{"format":1,"runs":[{"run_id":"r","name":"n","experiment":"e","status":"FINISHED","start_time":1,"end_time":2,"params":{"a":1},"tags":{"t":true},"metrics":{"accuracy":[[1,2,0.9],[2,3,"NaN"]]}}]}`,
		`{"accuracy":0.9,"history":[{"epoch":1,"loss":0.5},{"loss":null}],"params":{"a":"b"}}`, `{"accuracy":"0.9"}`, `{"accuracy":NaN}`, `{"metrics":{"accuracy":1e999}}`, `{"runs":[[]]}`, ``,
	} {
		f.Add([]byte(seed))
	}
	finite := func(t *testing.T, metrics map[string]float64) {
		for name, v := range metrics {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%s is %v", name, v)
			}
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if records, err := parseExport(content); err == nil {
			for _, r := range records {
				finite(t, r.Metrics)
			}
			if chosen, problem := chooseRun(records, "x"); problem == nil && chosen.Status != "FINISHED" {
				t.Fatalf("chose a run that is %s", chosen.Status)
			}
		}
		if record, problem := parseMetricsFile("m.json", content); problem == nil {
			finite(t, record.Metrics)
		}
		if champion, problem := ParseChampion("c.json", content); problem == nil {
			finite(t, champion.Metrics)
			if len(champion.Metrics) == 0 {
				t.Fatal("a champion without metrics")
			}
		}
	})
}

package verdict_test

import (
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/require"
)

var sampleDir = flag.String("sample", "", "write the sample report to this directory, to look at it")

// Codes of a made-up stage.
var (
	codeBelow   = verdict.Code{Name: "COVERAGE_BELOW", Stage: verdict.Test, Outcome: verdict.Fail, Meaning: "Coverage is below its gate.", Remedy: "Add tests for the files listed"}
	codeBlocked = verdict.Code{Name: "BLOCKED", Stage: "any", Outcome: verdict.CouldNotRun, Meaning: "An earlier stage did not pass.", Remedy: "Fix the stage named"}
	codeSlow    = verdict.Code{Name: "SLOW_TESTS", Stage: verdict.Test, Meaning: "Tests are slow.", Remedy: "See the slowest ten"}
)

// passedRun is a run as a user sees it on a good day.
func passedRun() *verdict.Run {
	test := verdict.Stage{Name: verdict.Test, Seconds: 41.2}
	test.Gate("line coverage", "93.4 % (1,204 of 1,289 lines)", ">= 80 %", true)
	test.Gate("critical paths", "97.1 %", ">= 95 %", true)
	test.Gate("model components", "94.0 %", ">= 90 %", true)
	test.Gate("tests", "148 passed, 2 skipped, 0 failed", ">= 1 executed, 0 failed", true)
	test.Add("python", "3.11.9")
	test.Warn(codeSlow, "tests/test_inference.py took %.1f s", 18.4)
	test.Blocks = []verdict.Block{
		{Title: "Coverage by package", Summary: true, Bars: &verdict.BarChart{Unit: "%", Max: 100, Threshold: 80,
			Labels: []string{"lstm", "mlflow_integration", "services/root_cause_analysis/classification", "utils", "streamlit_app"}, Values: []float64{97.2, 95.1, 93.3, 91.6, 74.5}}},
		{Title: "Categories", Summary: true, Table: &verdict.Table{Columns: []string{"Category", "Passed", "Failed", "Skipped"},
			Rows: [][]string{{"inference", "61", "0", "0"}, {"mlflow", "34", "0", "2"}, {"configuration", "27", "0", "0"}, {"other", "26", "0", "0"}}}},
	}
	test.Files = []verdict.ReportFile{{Path: "test/junit.xml", Content: []byte("<testsuites/>\n")}, {Path: "test/coverage.xml", Content: []byte("<coverage/>\n")}}
	test.Judge()

	train := verdict.Stage{Name: verdict.Train, Seconds: 121.7}
	train.Gate("accuracy", "0.9731", ">= 0.85", true)
	train.Gate("margin over majority class", "0.5631", ">= 0.05", true)
	train.Add("model sha256", "9f2c1b7e4d3a5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd")
	var epoch, loss, validation, accuracy []float64
	for i := range 30 {
		x := float64(i + 1)
		epoch = append(epoch, x)
		loss = append(loss, 1.6*math.Exp(-x/6)+0.06)
		validation = append(validation, 1.55*math.Exp(-x/6.5)+0.10+0.03*math.Sin(x))
		accuracy = append(accuracy, 0.98-0.6*math.Exp(-x/5))
	}
	classes := []string{"normal", "no_valid_host", "image_download_failure", "network_allocation_timeout", "libvirt_error", "disk_full"}
	counts := [][]int{{212, 1, 0, 0, 2, 0}, {0, 38, 0, 1, 0, 0}, {0, 0, 41, 0, 0, 1}, {1, 2, 0, 34, 0, 0}, {0, 0, 0, 0, 29, 3}, {0, 0, 1, 0, 2, 31}}
	train.Blocks = []verdict.Block{
		{Title: "Training curves", Summary: true, Lines: &verdict.LineChart{X: "epoch", Y: "metric", Series: []verdict.Series{
			{Name: "loss", X: epoch, Y: loss}, {Name: "val_loss", X: epoch, Y: validation}, {Name: "accuracy", X: epoch, Y: accuracy}}}},
		{Title: "Confusion matrix", Summary: true, Heat: &verdict.HeatMap{RowTitle: "actual", ColumnTitle: "predicted", Labels: classes, Counts: counts}},
		{Title: "About the data", Text: "Train and test sequences share no instance.\n\nThe fingerprint names the exact set of lines."},
	}
	train.Judge()

	publish := verdict.Stage{Name: verdict.Publish, Seconds: 4.9, Published: []string{"s3://models/group6/openstack-rca-system-sandbox_0001/models/lstm_model_v1.keras", "models:/openstack_rca_system_sandbox_lstm_model/1"}}
	publish.Gate("read back", "sha256 equal", "equal to the gated model", true)
	publish.Judge()
	image := verdict.Stage{Name: verdict.Image, Verdict: verdict.NotRun, Code: "NO_ENGINE", Cause: "Images are built by a Dagger engine, and none is reachable; start Docker"}
	deploy := verdict.Stage{Name: verdict.Deploy, Seconds: 0.3}
	deploy.Add("plan", "11 resources to create")
	deploy.Blocks = []verdict.Block{{Title: "Plan", Log: "+ create cluster openstack-rca-cluster\n+ create service openstack-rca-service\n    strategy blue_green, bake 10 min\n"}}
	deploy.Judge()
	return &verdict.Run{
		Application: "openstack-rca-system", Environment: "sandbox", Ref: "main", Commit: "3f9c2d41b7a85e60c1d2e3f4a5b6c7d8e9f00112",
		Tree: "sha256:52f1c0de9a8b7c6d5e4f30219a8b7c6d5e4f30219a8b7c6d5e4f30219a8b7c6d", Runner: "native", Module: "v0.1.0",
		Started: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), Seconds: 168.1,
		ModelSHA256: "9f2c1b7e4d3a5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd", ModelVersion: "1",
		Stages: []verdict.Stage{test, train, publish, image, deploy},
	}
}

// failedRun is a bad day.
func failedRun() *verdict.Run {
	run := passedRun()
	test := &run.Stages[0]
	test.Evidence[0] = verdict.Evidence{Name: "line coverage", Value: "79.95 %", Want: ">= 80 %"}
	p := verdict.Problemf(codeBelow, "line coverage is 79.95 %%, the gate is 80 %%")
	p.Details = []string{"lstm/data.py: 41 of 60 lines", "    def load(self):", ">       assert False"}
	test.Judge(p, verdict.Problemf(codeBelow, "critical paths: 91.0 %%, the gate is 95 %%"))
	for i, name := range []string{verdict.Publish, verdict.Image, verdict.Deploy} {
		s := verdict.Stage{Name: name}
		run.Stages[2+i] = *s.Judge(verdict.Problemf(codeBlocked.In(name), "test did not pass (COVERAGE_BELOW)"))
	}
	run.ModelVersion, run.Seconds = "", 1201
	return run
}

func TestWriteSample(t *testing.T) {
	if *sampleDir == "" {
		t.Skip("no -sample directory was given")
	}
	for name, run := range map[string]*verdict.Run{"pass": passedRun(), "fail": failedRun(), "empty": {}} {
		require.NoError(t, verdict.WriteReport(*sampleDir+"/"+name, run))
		fmt.Println(verdict.Summary(run))
	}
}

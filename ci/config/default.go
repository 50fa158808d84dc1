package config

import (
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// tests are the usual names of tests, which are no part of the application.
var tests = []string{"tests/**", "**/test_*.py", "**/conftest.py"}

// documents are files that no training and no service reads. Tests see them: some read the README's examples, or check the
// documents themselves.
var documents = []string{"*.md", "docs/**", "Makefile", ".github", ".gitignore", ".gitattributes", ".editorconfig", "LICENSE*"}

// Default returns the configuration of a source without a pipeline.yaml: the
// commands, thresholds and names of the pipeline document.
func Default() Config {
	minimum, alert := 0.85, 0.80
	return Config{
		Name:   "openstack-rca-system",
		Python: "3.10",
		Exclude: []string{
			".git", ".venv", "venv", "**/__pycache__", "**/.pytest_cache", "**/.ruff_cache", "**/.mypy_cache",
			"**/*.pyc", "**/.env", "**/.env.*", "htmlcov", ".coverage", "coverage.xml", "mlruns", "mlartifacts", "mlflow.db",
			"**/node_modules", ".tox", ".nox",
		},
		Test: Test{
			Build:      BuildModes[0],
			Command:    []string{"python", "-m", "pytest", "tests/", "-v"},
			Timeout:    Duration(10 * time.Minute),
			MaxSkipped: -1,
			Categories: []Category{
				{Name: "inference", Paths: []string{"tests/test_inference*.py"}},
				{Name: "mlflow", Paths: []string{"tests/test_mlflow*.py"}},
				{Name: "configuration", Paths: []string{"tests/test_config*.py"}},
			},
			Coverage: Coverage{
				Source:   []string{"."},
				Omit:     slices.Concat(tests, []string{"setup.py", "docs/**"}),
				Total:    80,
				Critical: Floor{Min: 95},
				Model:    Floor{Min: 90},
			},
		},
		Train: Train{
			Inputs:         Selection{Exclude: slices.Concat(tests, []string{"streamlit_app/**", FileName, "models/**"}, documents)},
			Command:        []string{"python", "main.py", "--mode", "train", "--enable-mlflow"},
			DataArgs:       []string{"--data", "{{data}}"},
			Vars:           map[string]string{"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
			Timeout:        Duration(30 * time.Minute),
			Experiment:     "openstack_rca_system_staging",
			Model:          "models/*.keras",
			Artifacts:      []string{"models/*.json"},
			Predictions:    "models/predictions.json",
			Golden:         "models/golden.json",
			Gates:          []Gate{{Metric: "accuracy", Min: &minimum, AlertBelow: &alert}},
			BaselineMargin: 0.05,
			MinExamples:    50,
			TopK:           1,
			Recurrent:      true,
		},
		Publish: Publish{
			Model:      "lstm_model",
			Experiment: "openstack_rca_system_{{environment}}",
			Region:     "ap-south-1",
		},
		Image: Image{
			Repository: "openstack-rca-system",
			Inputs:     Selection{Exclude: slices.Concat(tests, []string{FileName, "requirements/**"}, documents)},
			Command: []string{"streamlit", "run", "streamlit_app/chatbot.py",
				"--server.port={{port}}", "--server.address=0.0.0.0", "--server.headless=true"},
			Vars: map[string]string{"STREAMLIT_SERVER_SCRIPT_HEALTH_CHECK_ENABLED": "true",
				"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"},
			ModelDir:    "models",
			Port:        7051,
			Health:      "/_stcore/health",
			Page:        "/",
			StartBudget: Duration(120 * time.Second),
			Successes:   3,
			User:        10001,
			Volumes:     []string{"/app/data", "/app/logs"},
		},
		Rollout: Rollout{
			Region:       "ap-south-1",
			Cluster:      spec.DefaultCluster,
			Service:      spec.DefaultService,
			Family:       spec.DefaultFamily,
			CPU:          1024,
			Memory:       2048,
			Desired:      2,
			Min:          2,
			Max:          6,
			TargetCPU:    60,
			TargetMemory: 75,
			Strategy:     "blue_green",
			BakeMinutes:  10,

			CanaryPercent: 10, CanaryBakeMinutes: 10,
			LinearStepPercent: 25, LinearStepMinutes: 5,

			Trial:        true,
			StartPeriod:  Duration(60 * time.Second),
			LogDays:      30,
			Drain:        Duration(30 * time.Second),
			Inconclusive: spec.InconclusiveRollback,
			PauseTimeout: Duration(24 * time.Hour),

			EphemeralStorage: 20,
		},
		Security: defaultSecurity(),
		Observe:  Observe{MinRuns: 20, WindowDays: 30, CoverageDrop: 1, SilentDays: 7},
		Notify:   Notify{Repeat: RepeatOnChange},
		Policy: map[string][]string{
			"main": verdict.Stages(),
			"*":    verdict.SafeStages(),
		},
	}
}

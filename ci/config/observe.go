package config

// Observe configures how the ledger of runs is judged.
type Observe struct {
	// MinRuns is from how many cases on a figure is judged: 20.
	MinRuns int `yaml:"min_runs" json:"min_runs"`
	// WindowDays is how far back figures look: 30.
	WindowDays int `yaml:"window_days" json:"window_days"`
	// CoverageDrop is by how many percentage points coverage may drop within seven days: 1.
	CoverageDrop float64 `yaml:"coverage_drop" json:"coverage_drop"`
	// SilentDays is how many days may pass without a run of a release branch: 7.
	SilentDays int `yaml:"silent_days" json:"silent_days"`
	// CloudWatch sends the metrics of a run to CloudWatch.
	CloudWatch bool `yaml:"cloudwatch" json:"cloudwatch"`
}

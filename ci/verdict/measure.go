package verdict

import "math"

// Measure is a numeric measurement, for metrics and trends. Evidence is the form for people.
type Measure struct {
	// Name is one of the names below. Of is what was measured: a set of files, a metric, an outcome.
	Name string `json:"name"`
	Of   string `json:"of,omitempty"`
	// Value is a fraction for coverage, in the metric's own unit for a model, otherwise a count or bytes.
	Value float64 `json:"value"`
	// Floor is the lowest value that passes the gate; nil if there is no gate.
	Floor *float64 `json:"floor,omitempty"`
}

// The names of measures.
const (
	// MeasureCoverage has Of total, critical, model or branches: the fraction of covered lines or branches.
	MeasureCoverage = "coverage"
	// MeasureTests has Of passed, failed, skipped or flaky: a number of tests.
	MeasureTests = "tests"
	// MeasureModel has the name of a model metric in Of.
	MeasureModel = "model"
	// MeasureImage is the total size of the image's compressed layers in bytes.
	MeasureImage = "image_bytes"
	// MeasureVulnerabilities counts vulnerabilities without an exception. Of combines audit or scan, a severity, and fixable
	// or unfixed, such as audit/high/fixable.
	MeasureVulnerabilities = "vulnerabilities"
	// MeasureAdvisories is a Unix time in seconds. Of combines audit or scan with built (when the advisory database was made)
	// or data (when its oldest data were collected).
	MeasureAdvisories = "advisories"
	// MeasureWaivers counts exceptions. Of combines audit or scan with ending, expired, too_long or unused.
	MeasureWaivers = "waivers"
)

// Measure adds a measurement. NaN and infinities are dropped.
func (s *Stage) Measure(name, of string, value float64, floor *float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	s.Measures = append(s.Measures, Measure{Name: name, Of: of, Value: value, Floor: floor})
}

// Measured returns the value of a measurement of the run, and whether it exists.
func (r *Run) Measured(name, of string) (float64, bool) {
	for _, s := range r.Stages {
		for _, m := range s.Measures {
			if m.Name == name && m.Of == of {
				return m.Value, true
			}
		}
	}
	return 0, false
}

// Outcomes of a deployment.
const (
	DeploymentSucceeded  = "succeeded"
	DeploymentRolledBack = "rolled_back"
	DeploymentFailed     = "failed"
	// DeploymentUnchanged: this version was already in service, so nothing was deployed.
	DeploymentUnchanged = "unchanged"
	// DeploymentOpen: it was still in progress when the run ended, for example waiting for an approval.
	DeploymentOpen = "open"
)

// Deployment is one change of a service, as far as this run observed it.
type Deployment struct {
	// ID identifies the deployment; several runs may follow the same one. It is empty if there was none.
	ID string `json:"id,omitempty"`
	// Service is its service.
	Service string `json:"service"`
	// Outcome is one of the outcomes above.
	Outcome string `json:"outcome"`
	// Seconds is its duration; 0 if unknown.
	Seconds float64 `json:"seconds,omitempty"`
	// Digest is the digest of the image to deploy.
	Digest string `json:"digest,omitempty"`
	// Waits is the lifecycle stage at which it waits for an approval, or empty.
	Waits string `json:"waits,omitempty"`
}

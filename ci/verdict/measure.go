package verdict

import "math"

// Measure is a measurement as a number, for metrics and trends: Evidence is for people.
type Measure struct {
	// Name is one of the names below, Of what was measured: a set of files, a metric, an outcome.
	Name string `json:"name"`
	Of   string `json:"of,omitempty"`
	// Value is a fraction for coverage, in the metric's own unit for a model, else a count or bytes.
	Value float64 `json:"value"`
	// Floor is the lowest value that passes its gate; nil for a measurement without one.
	Floor *float64 `json:"floor,omitempty"`
}

// The names of measures.
const (
	// MeasureCoverage is of total, critical, model or branches: covered lines or branches, 0 to 1.
	MeasureCoverage = "coverage"
	// MeasureTests is of passed, failed, skipped or flaky: a count.
	MeasureTests = "tests"
	// MeasureModel is of a metric with a gate.
	MeasureModel = "model"
	// MeasureImage is the sum of the image's compressed layers, in bytes.
	MeasureImage = "image_bytes"
	// MeasureVulnerabilities is of audit or scan, a severity, and fixable or unfixed, such as audit/high/fixable:
	// a count of those that no exception allows.
	MeasureVulnerabilities = "vulnerabilities"
	// MeasureAdvisories is of audit or scan, and built or data: when the database of advisories was made, and
	// the oldest of its data collected, in seconds since 1970.
	MeasureAdvisories = "advisories"
	// MeasureWaivers is of audit or scan, and ending, expired, too_long or unused: a count of exceptions.
	MeasureWaivers = "waivers"
)

// Measure adds a measurement. One that is no number is left out.
func (s *Stage) Measure(name, of string, value float64, floor *float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	s.Measures = append(s.Measures, Measure{Name: name, Of: of, Value: value, Floor: floor})
}

// Measured returns the value of a measurement of the run, and whether there is one.
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

// The outcomes of a deployment.
const (
	DeploymentSucceeded  = "succeeded"
	DeploymentRolledBack = "rolled_back"
	DeploymentFailed     = "failed"
	// DeploymentUnchanged: the version served already, and nothing was deployed.
	DeploymentUnchanged = "unchanged"
	// DeploymentOpen: it had not ended when the run did, for example because it waits for an approval.
	DeploymentOpen = "open"
)

// Deployment is one change of a service, as far as this run saw it.
type Deployment struct {
	// ID names the deployment; several runs may have followed the same one. Empty for none.
	ID string `json:"id,omitempty"`
	// Service is its service.
	Service string `json:"service"`
	// Outcome is one of the outcomes above.
	Outcome string `json:"outcome"`
	// Seconds is how long it took; 0 if that is not known.
	Seconds float64 `json:"seconds,omitempty"`
	// Digest is that of the image it was to bring into service.
	Digest string `json:"digest,omitempty"`
	// Waits is the stage at which it waits for an approval; empty if it does not.
	Waits string `json:"waits,omitempty"`
}

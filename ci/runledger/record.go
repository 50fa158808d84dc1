// Package runledger records every run once it has its verdict: what ran, how long, what was
// measured, and how a deployment ended. Figures such as the change fail rate, the metrics, trends
// and notifications are made from it, so they are the same in every CI system.
//
//	<app>.runs/<environment>/<yyyy>/<mm>/<started>-<id>.json  one run; written once
//	<app>.runs/<environment>/<yyyy>/<mm>.json                 all of a month that has ended; written once
//
// The records are beside the model ledger in S3, or in a directory. A record has no text of logs,
// no address and no user name.
package runledger

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Schema is the version of the format of records. A reader refuses others: what it does not know
// might change what the rest means.
const Schema = 1

// MaxBytes bounds a record.
const MaxBytes = 16 << 10

// Record is one run.
type Record struct {
	Schema int `json:"schema"`
	// ID is unique; Call is what was called: run, or deploy, rollback, approve, reject, wait.
	ID   string `json:"id"`
	Call string `json:"call"`
	// Application, Environment, Ref, Commit and Tree identify the content.
	Application string `json:"application"`
	Environment string `json:"environment"`
	Ref         string `json:"ref"`
	Commit      string `json:"commit,omitempty"`
	// CommitTime is when the commit was made; zero if the call did not say.
	CommitTime time.Time `json:"commit_time,omitzero"`
	Tree       string    `json:"tree,omitempty"`
	// Hotfix is set for an unplanned change that fixes production.
	Hotfix bool `json:"hotfix,omitempty"`

	// Started is when the run began; Seconds how long it took; Budget how long it may take.
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Budget  float64   `json:"budget_seconds"`

	// Verdict and Code are those of the run; Failed is the stage that they come from.
	Verdict verdict.Outcome `json:"verdict"`
	Code    string          `json:"code,omitempty"`
	Failed  string          `json:"failed,omitempty"`
	Stages  []Stage         `json:"stages,omitempty"`
	// Warnings are the codes of all warnings.
	Warnings []string `json:"warnings,omitempty"`
	// Measures are those of all stages.
	Measures []verdict.Measure `json:"measures,omitempty"`
	// Deployment is the change of the service; nil for a run without one.
	Deployment *verdict.Deployment `json:"deployment,omitempty"`

	ModelVersion string `json:"model_version,omitempty"`
	ModelSHA256  string `json:"model_sha256,omitempty"`
	ImageDigest  string `json:"image_digest,omitempty"`
	// Module is the version of this program, Runner engine or native.
	Module string `json:"module,omitempty"`
	Runner string `json:"runner,omitempty"`
}

// Stage is the verdict on one stage.
type Stage struct {
	Name    string          `json:"name"`
	Verdict verdict.Outcome `json:"verdict"`
	Code    string          `json:"code,omitempty"`
	Seconds float64         `json:"seconds"`
}

// Details are what a run's report does not have.
type Details struct {
	Call       string
	CommitTime time.Time
	Hotfix     bool
}

// Of makes the record of a judged run. Secrets of the run are masked in it.
func Of(run *verdict.Run, d Details) (Record, error) {
	content, err := run.JSON()
	if err != nil {
		return Record{}, err
	}
	// Read back from the report, so that the record is masked and cleaned just like it.
	var clean verdict.Run
	if err := json.Unmarshal(content, &clean); err != nil {
		return Record{}, fmt.Errorf("read report.json: %w", err)
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	r := Record{
		Schema: Schema, ID: hex.EncodeToString(id), Call: d.Call,
		Application: clean.Application, Environment: clean.Environment, Ref: clean.Ref, Commit: clean.Commit, CommitTime: d.CommitTime.UTC(),
		Tree: clean.Tree, Hotfix: d.Hotfix, Started: clean.Started, Seconds: clean.Seconds, Budget: clean.BudgetSeconds,
		Verdict: clean.Verdict, Code: clean.Code, ModelVersion: clean.ModelVersion, ModelSHA256: clean.ModelSHA256,
		ImageDigest: clean.ImageDigest, Module: clean.Module, Runner: clean.Runner,
	}
	if d.CommitTime.Unix() <= 0 {
		r.CommitTime = time.Time{} // 1970 is the default for images, and no time of a commit
	}
	stages := clean.Stages
	if clean.Preflight != nil {
		stages = append([]verdict.Stage{*clean.Preflight}, stages...)
	}
	warn := func(all []verdict.Finding) {
		for _, w := range all[:min(len(all), 20)] {
			r.Warnings = append(r.Warnings, w.Code)
		}
	}
	warn(clean.Warnings)
	for _, s := range stages {
		r.Stages = append(r.Stages, Stage{Name: s.Name, Verdict: s.Verdict, Code: s.Code, Seconds: s.Seconds})
		r.Measures = append(r.Measures, s.Measures[:min(len(s.Measures), 40)]...)
		warn(s.Warnings)
		if s.Deployment != nil {
			r.Deployment = s.Deployment
		}
		if s.Verdict == clean.Verdict && s.Code == clean.Code && r.Failed == "" && clean.Verdict != verdict.Pass {
			r.Failed = s.Name
		}
	}
	return r, nil
}

// Ended is when the run ended.
func (r *Record) Ended() time.Time {
	return r.Started.Add(time.Duration(r.Seconds * float64(time.Second)))
}

// Measured returns the value of a measurement, and whether there is one.
func (r *Record) Measured(name, of string) (float64, bool) {
	for _, m := range r.Measures {
		if m.Name == name && m.Of == of {
			return m.Value, true
		}
	}
	return 0, false
}

// stamp is the form of a time in the name of a record, which sorts by time.
const stamp = "20060102T150405Z"

// recordName is the form of a record's name below its environment.
var recordName = regexp.MustCompile(`^([0-9]{4})/([0-9]{2})/([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{16})\.json$`)

func (r *Record) name() string {
	at := r.Started.UTC()
	return at.Format("2006/01/") + at.Format(stamp) + "-" + r.ID + ".json"
}

// named is when the run of a record began by the record's name; false if it is no name of a record.
func named(name string) (time.Time, bool) {
	parts := recordName.FindStringSubmatch(name)
	if parts == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(stamp, parts[3])
	return at, err == nil && strings.HasPrefix(parts[3], parts[1]+parts[2])
}

// encode is a record as it is stored.
func (r *Record) encode() ([]byte, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if len(content) > MaxBytes {
		// What is measured is the longest part, and a record without it is still true.
		short := *r
		short.Measures, short.Warnings = nil, nil
		if content, err = json.Marshal(short); err != nil || len(content) > MaxBytes {
			return nil, fmt.Errorf("encode record: more than %d bytes", MaxBytes)
		}
	}
	return append(content, '\n'), nil
}

// decode reads a record and refuses one that cannot be right.
func decode(content []byte) (Record, error) {
	var r Record
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return r, errors.New("it is no JSON, or only a part of it")
	}
	if version.Schema != Schema {
		return r, fmt.Errorf("it has schema %d, and this version reads %d", version.Schema, Schema)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, errors.New("a field has another type than in schema 1")
	}
	return r, r.check()
}

func (r *Record) check() error {
	switch {
	case r.ID == "" || r.Started.IsZero():
		return errors.New("it has no id, or no start")
	case r.Application == "" || r.Environment == "":
		return errors.New("it has no application, or no environment")
	case !possible(r.Seconds) || !possible(r.Budget) || r.Deployment != nil && !possible(r.Deployment.Seconds) ||
		slices.ContainsFunc(r.Stages, func(s Stage) bool { return !possible(s.Seconds) }):
		return errors.New("it has a negative duration, or one of more than a year")
	case r.Verdict != verdict.Pass && r.Verdict != verdict.Fail && r.Verdict != verdict.CouldNotRun:
		return errors.New("it has no verdict")
	}
	return nil
}

// possible reports whether a duration can be that of a run: from others no time could be computed.
func possible(seconds float64) bool { return seconds >= 0 && seconds <= (366*24*time.Hour).Seconds() }

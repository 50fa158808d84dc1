// Package attest signs statements about what a run found about an image, and verifies them. A statement has the in-toto
// format in a DSSE envelope, and is stored in a Sigstore bundle, so that other tools can read it too.
//
// The package handles keys and bytes; package oci stores bundles beside an image, and package kms signs with a key that never
// leaves AWS.
package attest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Statement types.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	// olderType is what cosign still writes; its subjects have the same meaning.
	olderType  = "https://in-toto.io/Statement/v0.1"
	Provenance = "https://slsa.dev/provenance/v1"
	SBOM       = "https://cyclonedx.org/bom"
	SPDX       = "https://spdx.dev/Document"
	Vulns      = "https://in-toto.io/attestation/vulns/v0.1"
	TestResult = "https://in-toto.io/attestation/test-result/v0.1"
	Summary    = "https://slsa.dev/verification_summary/v1"

	// BuildType identifies the format of the provenance.
	BuildType = "https://github.com/openstack-rca/openstack-rca/pipeline/v1"
	// Verifier is the author of summaries; Builder, with the version, the builder.
	Verifier = "https://github.com/openstack-rca/openstack-rca"
)

// Types lists the predicate types that a run states.
func Types() []string { return []string{Provenance, SBOM, Vulns, TestResult, Summary, SPDX} }

// Statement is one statement about subjects.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// About reports whether the statement is about a digest, sha256:<hex>.
func (s Statement) About(digest string) bool {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	return ok && slices.ContainsFunc(s.Subject, func(subject Subject) bool { return subject.Digest["sha256"] == hex })
}

// Facts are what a run knows about an image.
type Facts struct {
	// Repository and Digest name the image; the digest is sha256:<hex>.
	Repository, Digest string
	// Application, Environment, Ref and Commit are the run's; Source is the source's address, Tree its digest, and Config the
	// configuration's digest.
	Application, Environment, Ref, Commit string
	Source, Tree, Config                  string
	// Model is the model's SHA-256 in hex, Version its published number.
	Model, Version string
	// Builder is this program's version, Runner engine or native.
	Builder, Runner string
	// Started and Ended are the run's times from its report, so that stating the same run again gives the same bytes.
	Started, Ended time.Time
	// Verdict is the run's; Stages are those of its stages, in order.
	Verdict string
	Stages  []StageVerdict
	// BOM are bills of materials in CycloneDX JSON, SPDX the same in SPDX. An index has one per platform.
	BOM, SPDX [][]byte
	// Scan is the result of the vulnerability scan; nil if there was none.
	Scan *Scan
	// Rescan is set for a later scan of the image, which is then all that is stated.
	Rescan bool
}

// StageVerdict is the verdict of one stage.
type StageVerdict struct {
	Name, Verdict, Code string
	// Platform is the platform of the image whose run the stage belongs to, for an index; otherwise empty.
	Platform string
}

// Scan is the result of a vulnerability scan.
type Scan struct {
	// Scanner and Version identify the program; Database is its data, and Data when they were collected.
	Scanner, Version, Database string
	Data                       time.Time
	// Found are all vulnerabilities found, including allowed ones.
	Found []Vulnerability
	// Faults are the codes of other failures of the scan, such as a secret in a layer.
	Faults []string
}

// With merges two scans. Its data are as old as the older ones. Either scan may be nil.
func (s *Scan) With(other *Scan) *Scan {
	switch {
	case s == nil:
		return other
	case other == nil:
		return s
	}
	both := *s
	if other.Data.Before(both.Data) {
		both.Data = other.Data
	}
	for name := range strings.FieldsSeq(other.Database) {
		if !slices.Contains(strings.Fields(both.Database), name) {
			both.Database = strings.TrimSpace(both.Database + " " + name)
		}
	}
	both.Found, both.Faults = slices.Clone(s.Found), slices.Clone(s.Faults)
	for _, found := range other.Found { // two platforms share most of them
		if !slices.ContainsFunc(s.Found, func(has Vulnerability) bool { return reflect.DeepEqual(has, found) }) {
			both.Found = append(both.Found, found)
		}
	}
	for _, code := range other.Faults {
		if !slices.Contains(s.Faults, code) {
			both.Faults = append(both.Faults, code)
		}
	}
	return &both
}

// Vulnerability is one that was found.
type Vulnerability struct {
	ID, Package, Version, Severity string
	// Leads is its consequence by the source's rules: fail, warn, note or allowed.
	Leads string
	// In is where the package is: locks or image. Aliases are its other names, Fixed the versions that fix it, and Published
	// when it became known; Exploited is set if it is known to be exploited.
	In             string
	Aliases, Fixed []string
	Published      time.Time
	Exploited      bool
}

// Statements returns what a run states about the image, in the order of Types. It fails only for facts that cannot be
// encoded.
func (f Facts) Statements() ([]Statement, error) {
	type object = map[string]any
	hex := strings.TrimPrefix(f.Digest, "sha256:")
	at := func(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
	dependencies := []object{}
	depend := func(name, uri, sha256 string) {
		if sha256 = strings.TrimPrefix(sha256, "sha256:"); sha256 != "" {
			dependencies = append(dependencies, object{"name": name, "uri": uri, "digest": object{"sha256": sha256}})
		}
	}
	depend("source", f.Source, f.Tree)
	depend("configuration", "", f.Config)
	depend("model "+f.Version, "", f.Model)
	one := func(has bool, body any) []any {
		if !has {
			return nil
		}
		return []any{body}
	}
	predicates := []struct {
		kind   string
		bodies []any
	}{
		{Provenance, one(!f.Rescan, object{
			"buildDefinition": object{
				"buildType": BuildType,
				"externalParameters": object{
					"application": f.Application, "source": f.Source, "commit": f.Commit, "ref": f.Ref, "environment": f.Environment,
				},
				"internalParameters": object{"runner": f.Runner}, "resolvedDependencies": dependencies,
			},
			"runDetails": object{
				"builder":  object{"id": Verifier, "version": object{"openstack-rca": f.Builder}},
				"metadata": object{"startedOn": at(f.Started), "finishedOn": at(f.Ended)},
			},
		})},
		{SBOM, documents(f.BOM)},
		{Vulns, one(f.Scan != nil, f.vulns(at))},
		{TestResult, one(!f.Rescan, object{
			"result": f.tests(), "configuration": []object{}, "stages": f.stages(), "endedOn": at(f.Ended),
		})},
		{Summary, one(!f.Rescan, object{
			"verifier": object{"id": Verifier, "version": object{"openstack-rca": f.Builder}}, "timeVerified": at(f.Ended),
			"resourceUri":        f.Repository + "@" + f.Digest,
			"policy":             object{"uri": "pipeline.yaml", "digest": object{"sha256": strings.TrimPrefix(f.Config, "sha256:")}},
			"verificationResult": passed(f.Verdict == "pass"), "verifiedLevels": []string{"SLSA_BUILD_LEVEL_1"}, "slsaVersion": "1.0",
			"environment": f.Environment, "ref": f.Ref,
		})},
		{SPDX, documents(f.SPDX)},
	}
	var all []Statement
	for _, p := range predicates {
		for _, body := range p.bodies {
			predicate, err := json.Marshal(body)
			if err != nil {
				return nil, fmt.Errorf("state %s: %w", p.kind, err)
			}
			all = append(all, Statement{
				Type: StatementType, PredicateType: p.kind, Predicate: predicate,
				Subject: []Subject{{Name: f.Repository, Digest: map[string]string{"sha256": hex}}},
			})
		}
	}
	return all, nil
}

// documents are predicates that are files.
func documents(all [][]byte) []any {
	var bodies []any
	for _, content := range all {
		bodies = append(bodies, json.RawMessage(content))
	}
	return bodies
}

func passed(ok bool) string {
	if ok {
		return "PASSED"
	}
	return "FAILED"
}

// tests returns the test results; stages that did not run are left out.
func (f Facts) tests() string {
	ran := false
	for _, s := range f.Stages {
		if s.Name != "test" && s.Name != "train" {
			continue
		}
		if s.Verdict != "pass" {
			return "FAILED"
		}
		ran = true
	}
	return passed(ran)
}

func (f Facts) stages() []map[string]string {
	all := []map[string]string{}
	for _, s := range f.Stages {
		one := map[string]string{"name": s.Name, "verdict": s.Verdict, "code": s.Code}
		if s.Platform != "" {
			one["platform"] = s.Platform
		}
		all = append(all, one)
	}
	return all
}

func (f Facts) vulns(at func(time.Time) string) any {
	if f.Scan == nil {
		return nil
	}
	type object = map[string]any
	found := []object{}
	for _, v := range f.Scan.Found {
		notes := object{
			"package": v.Package, "version": v.Version, "leadsTo": v.Leads, "in": v.In, "aliases": list(v.Aliases), "fixed": list(v.Fixed),
			"exploited": v.Exploited,
		}
		if !v.Published.IsZero() {
			notes["published"] = at(v.Published)
		}
		found = append(found, object{
			"id": v.ID, "severity": []object{{"method": "openstack-rca", "score": v.Severity}}, "annotations": notes,
		})
	}
	for _, code := range f.Scan.Faults {
		found = append(found, object{
			"id": code, "severity": []object{{"method": "openstack-rca", "score": "critical"}}, "annotations": object{"leadsTo": "fail"},
		})
	}
	return object{
		"scanner": object{
			"uri": f.Scan.Scanner, "version": f.Scan.Version, "result": found,
			"db": object{"uri": f.Scan.Database, "lastUpdate": at(f.Scan.Data)},
		},
		"metadata": object{"scanStartedOn": at(f.Started), "scanFinishedOn": at(f.Ended)},
	}
}

// list never encodes as null.
func list(all []string) []string { return append([]string{}, all...) }

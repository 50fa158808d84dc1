package attest

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Demand is what a deployment requires of an image's attestations. All of it comes from the call, nothing from the source
// under judgement.
type Demand struct {
	// Digest is the image's, sha256:<hex>.
	Digest string
	// Keys are the trusted public keys.
	Keys []*ecdsa.PublicKey
	// Identities are trusted for keyless signatures; Proofs are cosign's results for such bundles, by Sum.
	Identities []Identity
	Proofs     map[string]Proof
	// Require are the required types; see Types.
	Require []string
	// Environment is where the image is to run: it must be stated for this environment, or for one of From. Refs are the
	// branches, or patterns of them, that it may come from; empty means any.
	Environment string
	From, Refs  []string
	// MaxAge limits the age of a verdict, MaxDataAge that of the advisories it is based on.
	MaxAge, MaxDataAge time.Duration
	Now                time.Time
}

// Verified is the result of Check.
type Verified struct {
	// Accepted are the newest trusted statements, by type.
	Accepted map[string]Accepted
	// Read counts the bundles, Ignored those that do not count.
	Read, Ignored int
	// Found are the stated vulnerabilities. Their consequences are by the source's rules; the caller applies its own.
	Found []Vulnerability
	// Problems are the reasons why the demand is not met.
	Problems []*verdict.Problem
}

// Accepted is a statement that counts.
type Accepted struct {
	At   time.Time
	Hint string

	predicate map[string]any
}

// Check compares an image's bundles with a demand. A bundle that no trusted key or identity signed is ignored, because
// everybody who may push can add one.
func Check(bundles [][]byte, demand Demand) Verified {
	v := Verified{Accepted: map[string]Accepted{}, Read: len(bundles)}
	var reasons []*verdict.Problem
	for _, content := range bundles {
		kind, accepted, problem := one(content, demand)
		if problem != nil {
			v.Ignored++
			reasons = append(reasons, problem)
			continue
		}
		before, has := v.Accepted[kind]
		// Of two statements from the same second, the one that is not a pass counts.
		if !has || accepted.At.After(before.At) || accepted.At.Equal(before.At) && accepted.blames(kind) {
			v.Accepted[kind] = accepted
		}
	}
	if len(v.Accepted) == 0 {
		v.Problems = []*verdict.Problem{worst(reasons)}
		return v
	}
	var missing []string
	for _, kind := range demand.Require {
		if _, has := v.Accepted[kind]; !has {
			missing = append(missing, Short(kind))
		}
	}
	if len(missing) > 0 {
		v.Problems = append(v.Problems, verdict.Problemf(Missing, "nobody who is trusted states %s of %s",
			strings.Join(missing, ", "), demand.Digest))
	}
	v.judge(demand)
	return v
}

// worst returns the most informative reason why no bundle counts, or Missing if there are no bundles.
func worst(reasons []*verdict.Problem) *verdict.Problem {
	for _, code := range []verdict.Code{OtherSubject, Invalid, Expired, NotLogged, OtherIdentity, OtherIssuer, Untrusted} {
		for _, p := range reasons {
			if p.Code.Name == code.Name {
				return p
			}
		}
	}
	return verdict.Problemf(Missing, "nothing is stated about the image")
}

// one verifies a bundle: its format, its signature, and its subject.
func one(content []byte, demand Demand) (string, Accepted, *verdict.Problem) {
	opened, err := Open(content)
	if err != nil {
		return "", Accepted{}, verdict.Problemf(Invalid, "%v", err)
	}
	s := opened.Statement
	switch {
	case opened.signedBy(demand.Keys):
	case opened.claims(demand.Keys):
		return "", Accepted{}, verdict.Problemf(Invalid, "the signature on %s does not fit what it says, or its key", Short(s.PredicateType))
	case opened.keyless != nil && len(demand.Identities) > 0:
		if problem := opened.certified(content, demand); problem != nil {
			return "", Accepted{}, problem
		}
	default:
		return "", Accepted{}, verdict.Problemf(Untrusted, "%s is signed by a key that the call does not trust (%s)",
			Short(s.PredicateType), shown(opened.Hint))
	}
	if s.Type != StatementType && s.Type != olderType {
		return "", Accepted{}, verdict.Problemf(Invalid, "a statement of the type %q", s.Type)
	}
	if !s.About(demand.Digest) {
		return "", Accepted{}, verdict.Problemf(OtherSubject, "%s is about another image than %s", Short(s.PredicateType), demand.Digest)
	}
	accepted := Accepted{Hint: opened.Hint}
	if err := json.Unmarshal(s.Predicate, &accepted.predicate); err != nil {
		return "", Accepted{}, verdict.Problemf(Invalid, "%s is no object", Short(s.PredicateType))
	}
	if accepted.At, err = stated(s.PredicateType, accepted.predicate); err != nil {
		return "", Accepted{}, verdict.Problemf(Invalid, "%s does not say when it was made", Short(s.PredicateType))
	}
	return s.PredicateType, accepted, nil
}

func shown(hint string) string {
	if hint == "" {
		return "it names none"
	}
	return hint
}

// times are where each type has its time. A bill of materials has none.
var times = map[string][]string{
	Provenance: {"runDetails", "metadata", "finishedOn"},
	Vulns:      {"metadata", "scanFinishedOn"},
	TestResult: {"endedOn"},
	Summary:    {"timeVerified"},
}

func stated(kind string, predicate map[string]any) (time.Time, error) {
	path, ours := times[kind]
	if !ours {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, text(predicate, path...))
}

// text returns a string in nested objects, or an empty string.
func text(object map[string]any, path ...string) string {
	var value any = object
	for _, name := range path {
		inner, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = inner[name]
	}
	found, _ := value.(string)
	return found
}

// ahead is by how much a statement may be ahead of this machine's clock.
const ahead = 10 * time.Minute

// judge compares the statements with the demand.
func (v *Verified) judge(d Demand) {
	fail := func(code verdict.Code, format string, args ...any) {
		v.Problems = append(v.Problems, verdict.Problemf(code, format, args...))
	}
	var early []string
	for _, kind := range slices.Sorted(maps.Keys(v.Accepted)) {
		if v.Accepted[kind].At.Sub(d.Now) > ahead {
			early = append(early, Short(kind))
		}
	}
	if len(early) > 0 { // it would be the newest forever, whatever is stated later
		fail(Invalid, "made in the future, by this machine's clock: %s", strings.Join(early, ", "))
	}
	if p, has := v.Accepted[Provenance]; has {
		if kind := text(p.predicate, "buildDefinition", "buildType"); kind != BuildType {
			fail(Untrusted, "it was built by %q, not by this pipeline", kind)
		}
		if builder := text(p.predicate, "runDetails", "builder", "id"); builder != Verifier {
			fail(Untrusted, "its builder is %q", builder)
		}
		v.place(d, p, fail, "buildDefinition", "externalParameters")
	}
	if s, has := v.Accepted[Summary]; has {
		v.place(d, s, fail)
		if result := text(s.predicate, "verificationResult"); result != "PASSED" {
			fail(NotPass, "the newest verdict, of %s, is %s", s.At.UTC().Format(time.DateTime), result)
		}
		if s.At.Sub(d.Now) <= ahead {
			v.age(d, "the verdict", s.At, d.MaxAge, fail)
		}
	}
	if t, has := v.Accepted[TestResult]; has {
		if result := text(t.predicate, "result"); result != "PASSED" {
			fail(NotPass, "the newest result of the tests is %s", result)
		}
	}
	if scan, has := v.Accepted[Vulns]; has {
		data, err := time.Parse(time.RFC3339, text(scan.predicate, "scanner", "db", "lastUpdate"))
		if err != nil {
			fail(Invalid, "the search for vulnerabilities does not say how old its data are")
		} else {
			v.age(d, "the data of the search for vulnerabilities", data, d.MaxDataAge, fail)
		}
		v.Found = found(scan.predicate)
		switch failed, is := leading(scan.predicate); {
		case !is:
			fail(Invalid, "the search for vulnerabilities has no list of what it found")
		case len(failed) > 0:
			fail(NotPass, "the newest search for vulnerabilities found %s", strings.Join(failed, ", "))
		}
	}
	v.Problems = slices.CompactFunc(v.Problems, func(a, b *verdict.Problem) bool { return a.Error() == b.Error() })
}

// found returns a scan's vulnerabilities. If one does not say whether it is fixed, as in statements of earlier versions, it
// counts as fixed, so that its severity is not reduced.
func found(predicate map[string]any) (all []Vulnerability) {
	scanner, _ := predicate["scanner"].(map[string]any)
	results, _ := scanner["result"].([]any)
	for _, r := range results {
		object, _ := r.(map[string]any)
		notes, _ := object["annotations"].(map[string]any)
		v := Vulnerability{
			ID: text(object, "id"), Package: text(notes, "package"), Version: text(notes, "version"), Leads: text(notes, "leadsTo"),
			In: text(notes, "in"), Aliases: texts(notes["aliases"]), Fixed: texts(notes["fixed"]),
		}
		if _, stated := notes["fixed"].([]any); !stated {
			v.Fixed = []string{"not stated"}
		}
		v.Exploited, _ = notes["exploited"].(bool)
		if at, err := time.Parse(time.RFC3339, text(notes, "published")); err == nil {
			v.Published = at
		}
		severities, _ := object["severity"].([]any)
		for _, s := range severities {
			if severity, is := s.(map[string]any); is {
				v.Severity = text(severity, "score")
				break
			}
		}
		all = append(all, v)
	}
	return all
}

func texts(value any) (all []string) {
	values, _ := value.([]any)
	for _, v := range values {
		if text, is := v.(string); is {
			all = append(all, text)
		}
	}
	return all
}

// blames reports whether the statement itself records that the image did not pass.
func (a Accepted) blames(kind string) bool {
	switch kind {
	case Summary:
		return text(a.predicate, "verificationResult") != "PASSED"
	case TestResult:
		return text(a.predicate, "result") != "PASSED"
	case Vulns:
		failed, is := leading(a.predicate)
		return !is || len(failed) > 0
	}
	return false
}

// leading returns the vulnerabilities of a scan that fail: all that are not stated to be judged otherwise, such as those of
// another scanner, which does not judge. It reports whether the scan has a list.
func leading(predicate map[string]any) (failed []string, is bool) {
	scanner, _ := predicate["scanner"].(map[string]any)
	found, is := scanner["result"].([]any)
	for _, f := range found {
		object, _ := f.(map[string]any)
		if !slices.Contains([]string{"warn", "note", "allowed"}, text(object, "annotations", "leadsTo")) {
			failed = append(failed, text(object, "id"))
		}
	}
	return failed, is
}

func (v *Verified) place(d Demand, a Accepted, fail func(verdict.Code, string, ...any), path ...string) {
	where := text(a.predicate, append(slices.Clone(path), "environment")...)
	if d.Environment != "" && where != d.Environment && !slices.Contains(d.From, where) {
		fail(OtherEnvironment, "it was made for %q, not for %q", where, d.Environment)
	}
	ref := strings.TrimPrefix(text(a.predicate, append(slices.Clone(path), "ref")...), "refs/heads/")
	if len(d.Refs) > 0 && !glob.MatchAny(d.Refs, ref) {
		fail(OtherEnvironment, "it was made from %q, not from %s", ref, strings.Join(d.Refs, ", "))
	}
}

func (v *Verified) age(d Demand, what string, at time.Time, most time.Duration, fail func(verdict.Code, string, ...any)) {
	switch {
	case at.Sub(d.Now) > ahead:
		fail(Invalid, "%s is of %s, which is in the future", what, at.UTC().Format(time.DateTime))
	case most > 0 && d.Now.Sub(at) > most:
		fail(TooOld, "%s is of %s, %s ago; the limit is %s", what, at.UTC().Format(time.DateTime), days(d.Now.Sub(at)), days(most))
	}
}

func days(d time.Duration) string {
	if d < 2*time.Hour {
		return d.Round(time.Second).String()
	}
	if d < 48*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// reading is the permit to read with a stage's credentials.
func (s doctor) reading(stage string) (policy.Permit, error) {
	permit, refused := policy.NewGate(s.cfg, s.opts.request(s.backend)).Ask(policy.Action{Stage: stage, Reads: true}, nil)
	if refused != nil {
		return permit, refusal(refused)
	}
	return permit, nil
}

// checkRegistry checks the login, and whether the registry supports referrers (statements stored beside images).
func (s doctor) checkRegistry(ctx context.Context) (string, error) {
	repository := cmp.Or(s.opts.Image, s.opts.Registry.Address)
	if repository == "" && s.opts.sandbox() {
		return "the sandbox starts its own", nil
	}
	reference, err := imageref.Parse(cmp.Or(repository, s.cfg.Image.Repository))
	if err != nil {
		return "", err
	}
	permit, err := s.reading(verdict.Image)
	if err != nil {
		return "", err
	}
	login, err := s.login(ctx, permit, reference.Repository)
	if err != nil {
		return "", err
	}
	found, err := oci.Reach(ctx, reference.Repository.String(), login, s.opts.Registry.Transport)
	if err != nil {
		return "", err
	}
	text := found.Host + " answers, "
	if login == (oci.Login{}) {
		text += "without a login; pushing takes one, "
	}
	if !found.Referrers {
		return text + "and lists no referrers of this repository: statements go behind a tag", nil
	}
	return text + "and lists referrers", nil
}

// checkSigning loads the key without signing anything.
func (s doctor) checkSigning(ctx context.Context) (string, error) {
	if !s.opts.Attest.signs() {
		return "no key in the call: images are not attested", nil
	}
	permit, err := s.reading(verdict.Attest)
	if err != nil {
		return "", err
	}
	signer, problem := attester{call: s.call}.signer(ctx, permit)
	if problem != nil {
		return "", problem
	}
	return "the key " + signer.Hint() + " can sign", nil
}

// checkAdvisories checks the age of the given advisory database, or whether the backend can download one.
func (s doctor) checkAdvisories(ctx context.Context) (string, error) {
	if !slices.Contains(s.cfg.Security.Audit, "advisories") && s.opts.Advisories == "" {
		return "security.audit does not name them", nil
	}
	file := s.opts.Advisories
	switch {
	case file == "":
		return s.offered(ctx)
	case supply.IsGrype(file):
		if _, err := os.Stat(file); err != nil {
			return "", errors.New("the file of --advisories is not there")
		}
		return "", &unchecked{"a database of Grype tells its age to Grype alone", "run audit or scan with it: they refuse one that is too old"}
	}
	_, database, err := advisory.MatchOSV(ctx, file, nil)
	if err != nil {
		return "", err
	}
	if faults := judge.Database(database, s.cfg.Security, []string{advisory.PyPI}, time.Now()); len(faults) > 0 {
		return "", errors.New(faults[0].Text)
	}
	_, at := database.Oldest()
	return fmt.Sprintf("data of %s, %d records", at.UTC().Format(time.DateOnly), database.Records[advisory.PyPI]), nil
}

// offered sends a HEAD request for the backend's database; nothing is downloaded.
func (s doctor) offered(ctx context.Context) (string, error) {
	address, err := url.Parse(s.backend.AdvisoriesURL)
	if err != nil || address.Host == "" {
		return "", &unchecked{"this backend fetches none", "give one with --advisories"}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address.String(), nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("%s does not answer", address.Host)
	}
	defer func() { _ = answer.Body.Close() }() // a HEAD response has no body
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers HTTP %d", address.Host, answer.StatusCode)
	}
	at, err := http.ParseTime(answer.Header.Get("Last-Modified"))
	if err != nil {
		return "", &unchecked{address.Host + " does not say how old its database is", "run audit: it refuses one that is too old"}
	}
	if age := time.Since(at); age > s.cfg.Security.MaxDataAge.Std() {
		return "", fmt.Errorf("the database of %s is of %s, older than security.max_data_age", address.Host, at.UTC().Format(time.DateOnly))
	}
	return fmt.Sprintf("%s has one of %s", address.Host, at.UTC().Format(time.DateOnly)), nil
}

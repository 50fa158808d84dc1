package pipeline

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecr"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestTheOpinionOfTheRegistry asks the fake account, whose scan is under way at first and has two pages.
func TestTheOpinionOfTheRegistry(t *testing.T) {
	kept := patience
	t.Cleanup(func() { patience = kept })
	patience.interval, patience.known, patience.done = time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	digest := "sha256:" + strings.Repeat("a", 64)
	const at = 1_790_000_000
	status := func(text string) *ecr.ImageScanStatus {
		return &ecr.ImageScanStatus{Status: text, Description: "as it is"}
	}
	page := func(findings ecr.Findings) *ecr.DescribeImageScanFindingsOutput {
		return &ecr.DescribeImageScanFindingsOutput{ImageScanStatus: status("COMPLETE"), ImageScanFindings: &findings}
	}
	basic := page(ecr.Findings{VulnerabilitySourceUpdatedAt: at, Findings: []ecr.Basic{
		{Name: "CVE-2026-1", Severity: "CRITICAL", Attributes: []ecr.Attribute{{Key: "package_name", Value: "openssl"}}},
	}})
	more := *basic
	more.NextToken = aws.String("2")
	enhanced := page(ecr.Findings{ImageScanCompletedAt: at, EnhancedFindings: []ecr.Enhanced{
		{Severity: "HIGH", Status: "ACTIVE", PackageVulnerabilityDetails: ecr.PackageDetails{
			VulnerabilityId: "CVE-2026-2", RelatedVulnerabilities: []string{"GHSA-2"}, VulnerablePackages: []ecr.VulnerablePackage{{Name: "jinja2"}},
		}},
		{Severity: "HIGH", Status: "SUPPRESSED", PackageVulnerabilityDetails: ecr.PackageDetails{VulnerabilityId: "CVE-2026-3"}},
	}})
	type answers []*ecr.DescribeImageScanFindingsOutput
	for name, tc := range map[string]struct {
		answers answers
		image   string
		want    string
	}{
		"done":         {answers{basic}, "", "CVE-2026-1 of openssl is critical"},
		"by Inspector": {answers{enhanced}, "", "CVE-2026-2 of jinja2 is high"},
		"on two pages": {answers{&more, basic}, "", "CVE-2026-1 of openssl is critical, CVE-2026-1 of openssl is critical"},
		"under way": {answers{{ImageScanStatus: status("PENDING")}, {ImageScanStatus: status("IN_PROGRESS")}, basic}, "",
			"CVE-2026-1 of openssl is critical"},
		"never done":          {answers{{ImageScanStatus: status("IN_PROGRESS")}}, "", "error: its scan is not done after 50ms"},
		"never begun":         {nil, "", "error: it has not scanned this image"},
		"not supported":       {answers{{ImageScanStatus: status("UNSUPPORTED_IMAGE")}}, "", "error: its scan is UNSUPPORTED_IMAGE: as it is"},
		"without a status":    {answers{{}}, "", "error: it does not say how far its scan is"},
		"without an age":      {answers{page(ecr.Findings{})}, "", "error: it does not say how old its advisories are"},
		"of another registry": {nil, "ghcr.io/acme/rca@" + digest, "error: ghcr.io is no registry of Amazon ECR"},
	} {
		t.Run(name, func(t *testing.T) {
			account := fakeaws.NewAccount(fakeaws.NewClock())
			account.Images.Scans[digest] = tc.answers
			server := httptest.NewServer(overhttp.New(account))
			t.Cleanup(server.Close)
			s := &call{cfg: config.Default(), opts: Options{Environment: "staging", Ref: "main"}}
			s.cfg.Security.RegistryScan = true
			s.opts.Target.AccessKey, s.opts.Target.SecretKey = fake.Secret("AWS_ACCESS_KEY_ID", "key-0"), fake.Secret("AWS_SECRET_ACCESS_KEY", "none")
			s.opts.Rollout.Endpoint = server.URL
			if tc.image == "" {
				tc.image = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/rca@" + digest
			}
			permit, refused := policy.NewGate(s.cfg, s.opts.request(Backend{Runner: fake.New().As("engine")})).
				Ask(policy.Action{Stage: verdict.Scan, Reads: true}, nil)
			require.Nil(t, refused)
			image, err := imageref.ParsePinned(tc.image)
			require.NoError(t, err)
			o, err := s.opinion(permit, image)(t.Context())
			var found []string
			for _, f := range o.Found {
				found = append(found, f.ID+" of "+f.Package+" is "+f.Severity)
			}
			if err != nil {
				found = []string{"error: " + err.Error()}
			} else {
				assert.Equal(t, int64(at), o.Data.Unix())
			}
			assert.Equal(t, tc.want, strings.Join(found, ", "))
		})
	}
	s := &call{cfg: config.Default()}
	assert.Nil(t, s.opinion(policy.Permit{}, imageref.Reference{}), "it is off")
	s.cfg.Security.RegistryScan = true
	assert.Nil(t, s.opinion(policy.Permit{}, imageref.Reference{}), "the registry of the sandbox scans nothing")
}

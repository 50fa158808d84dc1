package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecr"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
)

// patience limits the wait for the registry's scan, which starts after the push: until it is listed, and until it is
// complete.
var patience = struct{ interval, known, done time.Duration }{5 * time.Second, 30 * time.Second, 2 * time.Minute}

// errUnscanned means that the registry has no scan of the image.
var errUnscanned = errors.New("it has not scanned this image")

// opinion returns what Amazon ECR's own scan found in an image, or nil unless pipeline.yaml asks for it.
func (s *call) opinion(permit policy.Permit, image imageref.Reference) func(context.Context) (supply.Opinion, error) {
	if !s.cfg.Security.RegistryScan || s.opts.sandbox() && s.opts.Image == "" {
		return nil
	}
	return func(ctx context.Context) (supply.Opinion, error) {
		host := image.Repository.Registry()
		region := partition.RegistryRegion(host)
		if region == "" {
			return supply.Opinion{}, fmt.Errorf("%s is no registry of Amazon ECR", host)
		}
		values, err := s.keys(ctx, permit)
		if err != nil {
			return supply.Opinion{}, err
		}
		values.Region = region
		client, account := ecr.New(values.Configuration()), host[:12]
		for started := time.Now(); ; {
			found, err := client.All(ctx, account, image.Repository.Path(), image.Digest)
			under, refused := underWay(found, err)
			waited := time.Since(started)
			switch {
			case errors.Is(refused, errUnscanned) && waited < patience.known:
			case refused != nil:
				return supply.Opinion{}, refused
			case !under:
				return opinionOf(found)
			case waited >= patience.done:
				return supply.Opinion{}, fmt.Errorf("its scan is not done after %s", patience.done)
			}
			select {
			case <-ctx.Done():
				return supply.Opinion{}, ctx.Err()
			case <-time.After(patience.interval):
			}
		}
	}
}

// underWay reports whether a scan is in progress, or returns why there will be none.
func underWay(found *ecr.DescribeImageScanFindingsOutput, err error) (bool, error) {
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode() == "ScanNotFoundException":
		return false, errUnscanned
	case err != nil:
		return false, err
	case found.ImageScanStatus == nil:
		return false, errors.New("it does not say how far its scan is")
	}
	switch status := found.ImageScanStatus; status.Status {
	case "COMPLETE", "ACTIVE":
		return false, nil
	case "PENDING", "IN_PROGRESS":
		return true, nil
	default:
		return false, fmt.Errorf("its scan is %s: %s", status.Status, cmp.Or(status.Description, "no more is said"))
	}
}

// opinionOf reads the findings of a basic or an enhanced scan.
func opinionOf(found *ecr.DescribeImageScanFindingsOutput) (supply.Opinion, error) {
	f := found.ImageScanFindings
	if f == nil || cmp.Or(f.VulnerabilitySourceUpdatedAt, f.ImageScanCompletedAt) == 0 {
		return supply.Opinion{}, errors.New("it does not say how old its advisories are")
	}
	o := supply.Opinion{Data: time.Unix(int64(cmp.Or(f.VulnerabilitySourceUpdatedAt, f.ImageScanCompletedAt)), 0)}
	for _, one := range f.Findings {
		finding := advisory.Finding{ID: one.Name, Severity: strings.ToLower(one.Severity)}
		for _, a := range one.Attributes {
			if a.Key == "package_name" {
				finding.Package = a.Value
			}
		}
		o.Found = append(o.Found, finding)
	}
	for _, one := range f.EnhancedFindings {
		d := one.PackageVulnerabilityDetails
		if d.VulnerabilityId == "" || one.Status != "" && one.Status != "ACTIVE" {
			continue
		}
		finding := advisory.Finding{ID: d.VulnerabilityId, Aliases: d.RelatedVulnerabilities, Severity: strings.ToLower(one.Severity)}
		for _, p := range d.VulnerablePackages {
			finding.Package = p.Name
			break
		}
		o.Found = append(o.Found, finding)
	}
	return o, nil
}

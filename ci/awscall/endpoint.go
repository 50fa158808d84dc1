package awscall

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// Endpoint is where a service is, and the region that its requests are signed for.
type Endpoint struct {
	URL    url.URL
	Region string
	// Configured is set for an endpoint that is not AWS's own rule.
	Configured bool
}

// Variant is which of a service's endpoints is asked for: with validated cryptography, with IPv6.
type Variant struct{ FIPS, DualStack bool }

// Regional is the rule of most services: an endpoint of its own in each region, whose name begins with plain. With
// FIPS it has the suffix -fips. With govcloud, all endpoints in AWS GovCloud are validated, and none has the suffix.
func Regional(plain string, govcloud bool) func(string, Variant) (Endpoint, error) {
	return func(region string, v Variant) (Endpoint, error) {
		p, known := partition.Of(region)
		if !known {
			return Endpoint{}, fmt.Errorf("failed to resolve service endpoint, %q is no region", region)
		}
		name, suffix := plain, p.DNSSuffix
		if v.DualStack {
			suffix = p.DualStackSuffix
		}
		if v.FIPS && (v.DualStack || !govcloud || p.ID != "aws-us-gov") {
			name += "-fips"
		}
		return Endpoint{URL: url.URL{Scheme: "https", Host: name + "." + region + "." + suffix, Path: "/"}, Region: region}, nil
	}
}

// The parts of a configuration source, such as the environment or a profile, that the SDK's
// clients ask for.
type (
	ignoring interface {
		GetIgnoreConfiguredEndpoints(ctx context.Context) (bool, bool, error)
	}
	endpointSource interface {
		GetServiceBaseEndpoint(ctx context.Context, id string) (string, bool, error)
	}
	fipsSource interface {
		GetUseFIPSEndpoint(ctx context.Context) (aws.FIPSEndpointState, bool, error)
	}
	dualStackSource interface {
		GetUseDualStackEndpoint(ctx context.Context) (aws.DualStackEndpointState, bool, error)
	}
)

// endpoint is the service's: of the configuration, which may name one for this service or for
// all, or AWS's own.
func (c *Client) endpoint(ctx context.Context) (Endpoint, error) {
	base := aws.ToString(c.cfg.BaseEndpoint)
	ignored, err := first(c.cfg.ConfigSources, func(s ignoring) (bool, bool, error) { return s.GetIgnoreConfiguredEndpoints(ctx) })
	if err != nil {
		return Endpoint{}, err
	}
	if !ignored {
		own, err := first(c.cfg.ConfigSources, func(s endpointSource) (string, bool, error) {
			return s.GetServiceBaseEndpoint(ctx, c.service.ID)
		})
		if err != nil {
			return Endpoint{}, err
		}
		if own != "" {
			base = own
		}
	}
	fips, err := first(c.cfg.ConfigSources, func(s fipsSource) (aws.FIPSEndpointState, bool, error) { return s.GetUseFIPSEndpoint(ctx) })
	if err != nil {
		return Endpoint{}, err
	}
	dual, err := first(c.cfg.ConfigSources, func(s dualStackSource) (aws.DualStackEndpointState, bool, error) {
		return s.GetUseDualStackEndpoint(ctx)
	})
	if err != nil {
		return Endpoint{}, err
	}
	at, err := c.service.Endpoint(c.cfg.Region, Variant{fips == aws.FIPSEndpointStateEnabled, dual == aws.DualStackEndpointStateEnabled})
	if base == "" {
		return at, err
	}
	if err != nil {
		at.Region = c.cfg.Region // another store or emulator may have regions of its own
	}
	parsed, err := url.Parse(base)
	if err != nil {
		return Endpoint{}, fmt.Errorf("failed to resolve service endpoint, %w", err)
	}
	if at.URL, at.Configured = *parsed, true; at.URL.Path == "" {
		at.URL.Path = "/"
	}
	return at, nil
}

// first is what the first of the sources answers that has an answer.
func first[Source, Value any](sources []any, ask func(Source) (Value, bool, error)) (Value, error) {
	for _, s := range sources {
		source, is := s.(Source)
		if !is {
			continue
		}
		if value, found, err := ask(source); err != nil || found {
			return value, err
		}
	}
	var none Value
	return none, nil
}

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// tries is how often a call of AWS is made after a run, within a few seconds.
const tries = 2

// awsPermit is the right to use the credentials of the call for AWS once the run has its verdict.
func (s *call) awsPermit() policy.Permit {
	permit, _ := s.gate.Ask(policy.Action{Stage: verdict.Deploy, Reads: true}, nil)
	return permit
}

// clients are those of the call's credentials in a region, for what a run sends to AWS once it has its
// verdict.
func (s *call) clients(ctx context.Context, permit policy.Permit, region string) (*account.Clients, error) {
	options, problem := s.opts.account(ctx, s.cfg, permit)
	if problem != nil {
		return nil, errors.New(problem.Cause)
	}
	options.Region, options.Attempts = region, tries
	clients, problem := account.Open(ctx, options)
	if problem != nil {
		return nil, errors.New(problem.Cause)
	}
	return clients, nil
}

// credentials are those of the call for AWS.
func (s *call) credentials(ctx context.Context, permit policy.Permit, region string) (aws.Credentials, error) {
	clients, err := s.clients(ctx, permit, region)
	if err != nil {
		return aws.Credentials{}, err
	}
	found, err := clients.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("get credentials for AWS: %w", err)
	}
	return found, nil
}

// toCloudWatch sends the metrics of a run to CloudWatch, in the account of the environment.
func (s *observer) toCloudWatch(
	ctx context.Context, permit policy.Permit, target metrics.Group, r runledger.Record, families []metrics.Family,
) error {
	ctx, cancel := context.WithTimeout(ctx, metrics.Timeout)
	defer cancel()
	region := cmp.Or(s.cfg.Rollout.Region, s.opts.Target.Region, s.cfg.Publish.Region)
	clients, err := s.clients(ctx, permit, region)
	if err != nil {
		return fmt.Errorf("send metrics to CloudWatch: %w", err)
	}
	if s.cfg.Rollout.Account != "" {
		if _, problem := account.Guard(ctx, clients.STS, s.cfg.Rollout.Account); problem != nil {
			return fmt.Errorf("send metrics to CloudWatch: %s", problem.Cause)
		}
	}
	return metrics.PutMetrics(ctx, clients.CloudWatch, target, families, r.Ended())
}

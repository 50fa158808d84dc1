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

// tries is how many attempts a call of AWS gets after the run, within a few seconds.
const tries = 2

// awsPermit allows the use of the call's AWS credentials after the run has its verdict.
func (s *call) awsPermit() policy.Permit {
	permit, _ := s.gate.Ask(policy.Action{Stage: verdict.Deploy, Reads: true}, nil)
	return permit
}

// clients are the AWS clients that send the results of a run, after its verdict.
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

// credentials are the call's AWS credentials.
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

// toCloudWatch sends the run's metrics to CloudWatch in the environment's account.
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

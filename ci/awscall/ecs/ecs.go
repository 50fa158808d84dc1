// Package ecs has the operations of Amazon ECS that the rollout uses. The shapes within their inputs and outputs are the
// SDK's (service/ecs/types); fields are as in the API reference, and nil is not sent.
package ecs

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// Client calls ECS. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// Options adjust one call.
type Options = awscall.Options

// New returns a client of the configuration's account and region.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "ECS", Name: "ecs", Endpoint: awscall.Regional("ecs", false),
		Protocol: protocol{awscall.JSON{Target: "AmazonEC2ContainerServiceV20141113", Version: "1.1"}},
	})}
}

// protocol is awsJson with the SDK's types, whose members have no json tags.
type protocol struct{ awscall.JSON }

// Request implements awscall.Protocol.
func (p protocol) Request(at awscall.Endpoint, operation string, in any, r *smithyhttp.Request) (*smithyhttp.Request, error) {
	return p.JSON.Request(at, operation, wire.Encode(in), r)
}

// Answer implements awscall.Protocol.
func (protocol) Answer(_ string, answer *smithyhttp.Response, out any) error {
	body, err := awscall.Body(answer)
	if err != nil {
		return err
	}
	return wire.Decode(body, out)
}

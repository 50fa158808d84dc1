// Package logs has the operations of CloudWatch Logs that the rollout uses: one log group with
// its retention and tags, and the last lines of a task. Fields are as in the API reference; nil
// is not sent.
package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Client calls CloudWatch Logs. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's account and region.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "CloudWatch Logs", Name: "logs", Endpoint: awscall.Regional("logs", true),
		Protocol: awscall.JSON{Target: "Logs_20140328", Version: "1.1"},
	})}
}

// LogGroup is a log group. Arn ends in ":*", LogGroupArn does not. RetentionPolicyName is the
// account's policy that overrides the group's retention. A group whose DeletionProtectionEnabled is true
// cannot be deleted.
type LogGroup struct {
	LogGroupName        *string `json:"logGroupName"`
	Arn                 *string `json:"arn"`
	LogGroupArn         *string `json:"logGroupArn"`
	RetentionInDays     *int32  `json:"retentionInDays"`
	RetentionPolicyName *string `json:"retentionPolicyName"`

	DeletionProtectionEnabled *bool `json:"deletionProtectionEnabled"`
}

// DescribeLogGroupsInput asks for the groups whose names have a prefix.
type DescribeLogGroupsInput struct {
	LogGroupNamePrefix *string `json:"logGroupNamePrefix,omitempty"`
	NextToken          *string `json:"nextToken,omitempty"`
}

// DescribeLogGroupsOutput is one page of groups.
type DescribeLogGroupsOutput struct {
	LogGroups []LogGroup `json:"logGroups"`
	NextToken *string    `json:"nextToken"`
}

// DescribeLogGroups describes log groups.
func (c *Client) DescribeLogGroups(ctx context.Context, in *DescribeLogGroupsInput) (*DescribeLogGroupsOutput, error) {
	return awscall.Do[DescribeLogGroupsOutput](ctx, c.api, "DescribeLogGroups", in)
}

// ListTagsForResourceInput names a log group, by the ARN without ":*".
type ListTagsForResourceInput struct {
	ResourceArn *string `json:"resourceArn,omitempty"`
}

// ListTagsForResourceOutput are its tags.
type ListTagsForResourceOutput struct {
	Tags map[string]string `json:"tags"`
}

// ListTagsForResource lists the tags of a log group.
func (c *Client) ListTagsForResource(ctx context.Context, in *ListTagsForResourceInput) (*ListTagsForResourceOutput, error) {
	return awscall.Do[ListTagsForResourceOutput](ctx, c.api, "ListTagsForResource", in)
}

// CreateLogGroupInput describes the group to create.
type CreateLogGroupInput struct {
	LogGroupName *string           `json:"logGroupName,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
}

// CreateLogGroupOutput is empty.
type CreateLogGroupOutput struct{}

// CreateLogGroup creates a log group.
func (c *Client) CreateLogGroup(ctx context.Context, in *CreateLogGroupInput) (*CreateLogGroupOutput, error) {
	return awscall.Do[CreateLogGroupOutput](ctx, c.api, "CreateLogGroup", in)
}

// PutRetentionPolicyInput is for how many days a group keeps its logs.
type PutRetentionPolicyInput struct {
	LogGroupName    *string `json:"logGroupName,omitempty"`
	RetentionInDays *int32  `json:"retentionInDays,omitempty"`
}

// PutRetentionPolicyOutput is empty.
type PutRetentionPolicyOutput struct{}

// PutRetentionPolicy sets the retention of a log group.
func (c *Client) PutRetentionPolicy(ctx context.Context, in *PutRetentionPolicyInput) (*PutRetentionPolicyOutput, error) {
	return awscall.Do[PutRetentionPolicyOutput](ctx, c.api, "PutRetentionPolicy", in)
}

// DeleteLogGroupInput names a log group.
type DeleteLogGroupInput struct {
	LogGroupName *string `json:"logGroupName,omitempty"`
}

// DeleteLogGroupOutput is empty.
type DeleteLogGroupOutput struct{}

// DeleteLogGroup deletes a log group with its logs.
func (c *Client) DeleteLogGroup(ctx context.Context, in *DeleteLogGroupInput) (*DeleteLogGroupOutput, error) {
	return awscall.Do[DeleteLogGroupOutput](ctx, c.api, "DeleteLogGroup", in)
}

// GetLogEventsInput asks for lines of a stream, the last ones unless StartFromHead.
type GetLogEventsInput struct {
	LogGroupName  *string `json:"logGroupName,omitempty"`
	LogStreamName *string `json:"logStreamName,omitempty"`
	Limit         *int32  `json:"limit,omitempty"`
	StartFromHead *bool   `json:"startFromHead,omitempty"`
}

// OutputLogEvent is one line. Timestamp is in milliseconds since 1970.
type OutputLogEvent struct {
	Message   *string `json:"message"`
	Timestamp *int64  `json:"timestamp"`
}

// GetLogEventsOutput are lines, oldest first.
type GetLogEventsOutput struct {
	Events []OutputLogEvent `json:"events"`
}

// GetLogEvents reads lines of a stream.
func (c *Client) GetLogEvents(ctx context.Context, in *GetLogEventsInput) (*GetLogEventsOutput, error) {
	return awscall.Do[GetLogEventsOutput](ctx, c.api, "GetLogEvents", in)
}

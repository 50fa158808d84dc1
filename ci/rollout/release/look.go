package release

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// line describes an event of a deployment in words.
func line(e deployment.Event) string {
	if e.Status == "" { // our deployment does not exist yet
		return e.Text
	}
	words := []string{e.Status}
	if e.Stage != "" {
		words = append(words, e.Stage)
	}
	if e.Weight >= 0 {
		words = append(words, fmt.Sprintf("%g %% of the traffic", e.Weight))
	}
	if e.Requested > 0 {
		words = append(words, fmt.Sprintf("%d of %d tasks", e.Running, e.Requested))
	}
	text := strings.TrimSpace(strings.Join(words, ", "))
	if e.Text != "" {
		text = strings.TrimPrefix(text+": "+e.Text, ": ")
	}
	return text
}

func (o *observer) targets(ctx context.Context, group string) ([]deployment.Target, error) {
	out, err := o.clients.Balancing.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(group)})
	if err != nil {
		return nil, fmt.Errorf("describe health of targets: %w", err)
	}
	var all []deployment.Target
	for _, d := range out.TargetHealthDescriptions {
		t := deployment.Target{}
		if d.Target != nil {
			t.Address = fmt.Sprintf("%s:%d", aws.ToString(d.Target.Id), aws.ToInt32(d.Target.Port))
		}
		if d.TargetHealth != nil {
			t.State, t.Reason = string(d.TargetHealth.State), string(d.TargetHealth.Reason)
			if text := aws.ToString(d.TargetHealth.Description); text != "" {
				t.Reason += " (" + text + ")"
			}
		}
		all = append(all, t)
	}
	return all, nil
}

// logTail is the number of lines reported of a failed task.
const logTail = 15

// logs returns the last lines of a task's log.
func (o *observer) logs(ctx context.Context, task string) ([]string, error) {
	group, prefix := "", ""
	for _, c := range o.plan.TaskDefinition.ContainerDefinitions {
		if aws.ToString(c.Name) == o.plan.Container() && c.LogConfiguration != nil {
			group, prefix = c.LogConfiguration.Options["awslogs-group"], c.LogConfiguration.Options["awslogs-stream-prefix"]
		}
	}
	if group == "" || prefix == "" {
		return nil, fmt.Errorf("container %s does not log to CloudWatch Logs under a prefix", o.plan.Container())
	}
	stream := prefix + "/" + o.plan.Container() + "/" + task[strings.LastIndexByte(task, '/')+1:]
	out, err := o.clients.Logs.GetLogEvents(ctx, &logs.GetLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream), Limit: aws.Int32(logTail), StartFromHead: aws.Bool(false),
	})
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorCode() == "ResourceNotFoundException" {
		return nil, fmt.Errorf("there is no stream %s in log group %s: a task that writes nothing has none", stream, group)
	}
	if err != nil {
		return nil, fmt.Errorf("read log %s: %w", stream, err)
	}
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, verdict.Line(aws.ToString(e.Message), 500))
	}
	return lines, nil
}

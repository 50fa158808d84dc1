package fakeaws

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
)

// drainingTime is how long the target of a stopped task is draining here.
const drainingTime = 30 * time.Second

// groupsOf are the two target groups of a service: the one it was attached to first, and
// the alternate one, empty without.
func (e *ECS) groupsOf(s *service) (first, alternate string) {
	in := e.registry().created[s.cluster+"/"+s.name]
	if in == nil || len(in.LoadBalancers) == 0 {
		return "", ""
	}
	first = aws.ToString(in.LoadBalancers[0].TargetGroupArn)
	if a := in.LoadBalancers[0].AdvancedConfiguration; a != nil {
		alternate = aws.ToString(a.AlternateTargetGroupArn)
	}
	return first, alternate
}

// assign puts a revision's tasks into a target group: into that of the revision it
// replaces, or, where traffic is shifted, into the other one.
func (e *ECS) assign(d *deployment) {
	first, alternate := e.groupsOf(d.service)
	d.target.group = first
	if in := e.registry().created[d.service.cluster+"/"+d.service.name]; in != nil {
		for _, lb := range in.LoadBalancers[min(1, len(in.LoadBalancers)):] {
			d.target.further = append(d.target.further, aws.ToString(lb.TargetGroupArn))
		}
	}
	if d.source == nil || d.source.group == "" {
		return
	}
	d.target.group = d.source.group
	if alternate != "" && d.config.Strategy != "" && d.config.Strategy != types.DeploymentStrategyRolling {
		d.target.group = alternate
		if d.source.group == alternate {
			d.target.group = first
		}
	}
}

// weights moves the weights of the production rule, which are ECS's.
func (e *ECS) weights(d *deployment) {
	if e.weigh == nil || d.target.group == "" {
		return
	}
	weights := map[string]int32{d.target.group: int32(d.weight)}
	if d.source != nil && d.source.group != d.target.group {
		weights[d.source.group] = 100 - int32(d.weight)
	}
	if len(weights) == 1 {
		weights[d.target.group] = 100
	}
	e.weigh(weights)
}

// resolved is the configuration of a revision as ECS resolved it.
func (r *revision) resolved() *types.ResolvedConfiguration {
	if r.group == "" {
		return nil
	}
	out := &types.ResolvedConfiguration{}
	for _, group := range append([]string{r.group}, r.further...) {
		out.LoadBalancers = append(out.LoadBalancers, types.ServiceRevisionLoadBalancer{TargetGroupArn: aws.String(group)})
	}
	return out
}

// targets are a group's, which are tasks.
func (e *ECS) targets(group string) []elbtypes.TargetHealthDescription {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	now := e.clock.Now()
	var all []elbtypes.TargetHealthDescription
	for _, s := range e.services {
		for n, t := range s.tasks {
			if t.revision.group != group && !slices.Contains(t.revision.further, group) {
				continue
			}
			health := e.health(t, now)
			if e.sick[group] && health != nil && health.State == elbtypes.TargetHealthStateEnumHealthy {
				health = &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumUnhealthy, Reason: elbtypes.TargetHealthReasonEnumTimeout}
			}
			if health == nil {
				continue
			}
			all = append(all, elbtypes.TargetHealthDescription{
				Target:       &elbtypes.TargetDescription{Id: aws.String(fmt.Sprintf("10.0.%d.%d", n/250, n%250+1)), Port: aws.Int32(7051)},
				TargetHealth: health,
			})
		}
	}
	return all
}

// health is nil for a task that is no target any more.
func (e *ECS) health(t *task, now time.Time) *elbtypes.TargetHealth {
	b := e.behaviours[t.revision.taskDefinition]
	start := b.StartAfter
	if start == 0 {
		start = healthyAfter
	}
	switch {
	case !t.stopped.IsZero() && now.Sub(t.stopped) < drainingTime:
		return &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumDraining,
			Reason: elbtypes.TargetHealthReasonEnumDeregistrationInProgress}
	case !t.stopped.IsZero():
		return nil
	case b.NeverHealthy || b.Sick:
		return &elbtypes.TargetHealth{
			State: elbtypes.TargetHealthStateEnumUnhealthy, Reason: elbtypes.TargetHealthReasonEnumResponseCodeMismatch,
			Description: aws.String("Health checks failed with these codes: [503]"),
		}
	case now.Sub(t.launched) < start:
		return &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumInitial, Reason: elbtypes.TargetHealthReasonEnumRegistrationInProgress}
	default:
		return &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumHealthy}
	}
}

// DescribeTargetHealth describes the targets of a group.
func (b *Balancing) DescribeTargetHealth(_ context.Context, in *elb.DescribeTargetHealthInput) (*elb.DescribeTargetHealthOutput, error) {
	return over(b.cable, "elb:DescribeTargetHealth", func() (*elb.DescribeTargetHealthOutput, error) {
		if !b.hasARN(in.TargetGroupArn) {
			return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
		}
		return &elb.DescribeTargetHealthOutput{TargetHealthDescriptions: b.health(*in.TargetGroupArn)}, nil
	})
}

// weighGroups sets the weights of the groups in every rule.
func (b *Balancing) weighGroups(weights map[string]int32) {
	for _, rule := range b.rules {
		for _, action := range rule.Actions {
			if action.ForwardConfig == nil {
				continue
			}
			for n, group := range action.ForwardConfig.TargetGroups {
				if weight, given := weights[aws.ToString(group.TargetGroupArn)]; given {
					action.ForwardConfig.TargetGroups[n].Weight = aws.Int32(weight)
				}
			}
		}
	}
}

// logLines is what a task wrote.
func (e *ECS) logLines(id string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.services {
		for _, t := range s.tasks {
			if lastPart(t.arn) == id {
				return e.behaviours[t.revision.taskDefinition].Log
			}
		}
	}
	for _, t := range e.alone {
		if lastPart(t.arn) == id {
			return e.aloneBehaviour(t.revision.taskDefinition).Log
		}
	}
	return nil
}

// GetLogEvents reads the end of a stream. A task's stream is prefix/container/task.
func (l *Logs) GetLogEvents(_ context.Context, in *logs.GetLogEventsInput) (*logs.GetLogEventsOutput, error) {
	return over(l.cable, "logs:GetLogEvents", func() (*logs.GetLogEventsOutput, error) {
		stream := aws.ToString(in.LogStreamName)
		lines := l.lines(stream[strings.LastIndexByte(stream, '/')+1:])
		if l.groups[aws.ToString(in.LogGroupName)] == nil || lines == nil {
			return nil, refuse("ResourceNotFoundException", "The specified log stream does not exist.")
		}
		if limit := int(aws.ToInt32(in.Limit)); limit > 0 && len(lines) > limit {
			lines = lines[len(lines)-limit:]
		}
		out := &logs.GetLogEventsOutput{}
		for n, line := range lines {
			out.Events = append(out.Events, logs.OutputLogEvent{Message: aws.String(line), Timestamp: aws.Int64(int64(n))})
		}
		return out, nil
	})
}

// images are what a task definition's containers run, with their digests: what the test says of the
// application, or what was registered. A tag is resolved to the digest that Tag gave it.
func (e *ECS) images(taskDefinition string) []types.ContainerImage {
	if b := e.behaviours[taskDefinition]; b.Digest != "" || b.Image != "" {
		return []types.ContainerImage{{ContainerName: aws.String("app"), Image: aws.String(b.Image), ImageDigest: aws.String(b.Digest)}}
	}
	var all []types.ContainerImage
	if d := e.definition(taskDefinition); d != nil {
		for _, c := range d.ContainerDefinitions {
			_, digest, _ := strings.Cut(aws.ToString(c.Image), "@")
			digest = cmp.Or(e.resolves[aws.ToString(c.Image)], digest)
			one := types.ContainerImage{ContainerName: c.Name, Image: c.Image}
			if digest != "" {
				one.ImageDigest = aws.String(digest)
			}
			all = append(all, one)
		}
	}
	return all
}

// Sicken lets no target of a group be healthy from now on.
func (e *ECS) Sicken(group string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sick[group] = true
}

// Tag makes an image resolve to a digest from now on: one that is named by a tag, or by the digest of an
// index. What ECS says of an index, its digest or that of the platform's image, AWS does not document.
func (e *ECS) Tag(image, digest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resolves[image] = digest
}

// rings reports whether an alarm is in ALARM.
func (e *ECS) rings(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alarms[name]
}

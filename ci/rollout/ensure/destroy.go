package ensure

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Destroyed is the result of Destroy.
type Destroyed struct {
	// Deleted are the things that are gone, in order.
	Deleted []string `json:"deleted"`
	// Kept are the resources that stay, each with the reason.
	Kept []Kept `json:"kept"`
}

const (
	goneDelay    = 5 * time.Second
	goneAttempts = 180 // a service drains its connections first: 15 minutes
	freeAttempts = 24  // a load balancer lets go of its target groups within two minutes
	stopAttempts = 36  // a stopped task may take two minutes to exit, and then some time to be removed
)

// Destroy deletes what carries the plan's tags, in reverse order of creation, if confirm is
// the name of the service. Logs are deleted only withLogs. It can be repeated until nothing
// is left. The result is never nil, even with a problem (DestroyRefused, DestroyFailed).
func Destroy(ctx context.Context, clients Clients, clock clock.Clock, plan *rollout.Plan,
	confirm string, withLogs bool) (*Destroyed, *verdict.Problem) {
	d := &destroyer{State: &State{clients: clients, clock: clock, plan: plan, known: map[string]string{}}, done: &Destroyed{}}
	if name := *plan.Service.ServiceName; confirm != name {
		return d.done, verdict.Problemf(DestroyRefused, "%q was said, the service in %s is called %q", confirm, plan.Environment, name)
	}
	steps := []func(context.Context) error{
		d.scaling, d.trials, d.serviceItself, d.balancing, d.monitoring, d.definitions, d.role, d.clusterItself,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return d.done, verdict.Problemf(DestroyFailed, "%v", err)
		}
	}
	if withLogs {
		if err := d.logs(ctx); err != nil {
			return d.done, verdict.Problemf(DestroyFailed, "%v", err)
		}
	} else if group, err := (foundations{d.State}).logGroup(ctx); err == nil && group != nil {
		d.keep("log group", *plan.LogGroup.Group.LogGroupName, "logs are kept unless they are asked to go")
	}
	return d.done, nil
}

type destroyer struct {
	*State
	done *Destroyed
	// stopping is true after tasks of ours were stopped, which stay in the cluster for a while.
	stopping bool
}

func (d *destroyer) keep(kind, name, reason string) {
	d.done.Kept = append(d.done.Kept, Kept{kind + " " + name, reason})
}

// delete deletes a resource if its tags are ours. A missing one is not an error, and one that is being
// changed by somebody is given up to two minutes.
func (d *destroyer) delete(ctx context.Context, kind, name string, tags map[string]string, gone []string, call func() error) error {
	i := &item{}
	if !d.own(i, tags) {
		d.keep(kind, name, i.foreign)
		return nil
	}
	err := call()
	for attempt := 1; is(err, busy...) && attempt < freeAttempts && d.clock.Sleep(ctx, goneDelay) == nil; attempt++ {
		err = call()
	}
	if err != nil && !is(err, gone...) {
		return fmt.Errorf("delete %s %s: %w", kind, name, err)
	}
	d.done.Deleted = append(d.done.Deleted, kind+" "+name)
	return nil
}

func (d *destroyer) scaling(ctx context.Context) error {
	target, err := scalers{d.State}.scalableTarget(ctx)
	if err != nil || target == nil {
		return err
	}
	tags, err := scalers{d.State}.targetTags(ctx, target)
	if err != nil {
		return err
	}
	// Its policies, and the alarms that target tracking made, go with it.
	return d.delete(ctx, "scalable target", *target.ResourceId, tags, []string{"ObjectNotFoundException"}, func() error {
		_, err := d.clients.Scaling.DeregisterScalableTarget(ctx, &scaling.DeregisterScalableTargetInput{
			ServiceNamespace: target.ServiceNamespace, ResourceId: target.ResourceId, ScalableDimension: target.ScalableDimension,
		})
		return err
	})
}

// trials are tasks that a lost run left: nobody else ends them, and the cluster cannot be
// deleted while they run.
func (d *destroyer) trials(ctx context.Context) error {
	have, err := foundations{d.State}.cluster(ctx)
	if err != nil || have == nil {
		return err
	}
	stopped, err := trial.Stop(ctx, d.clients.ECS, d.plan.Trial.Task, "the service is deleted")
	for _, task := range stopped {
		d.done.Deleted = append(d.done.Deleted, "trial task "+task)
		d.stopping = true
	}
	return err
}

func (d *destroyer) serviceItself(ctx context.Context) error {
	if err := (services{d.State}).lookAtService(ctx); err != nil || d.service == nil {
		return err
	}
	name := *d.plan.Service.ServiceName
	return d.delete(ctx, serviceKind, name, ecsTags(d.service.Tags), nil, func() error {
		d.stopping = true
		if aws.ToString(d.service.Status) == "ACTIVE" {
			_, err := d.clients.ECS.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: d.plan.Service.Cluster, Service: d.plan.Service.ServiceName,
				Force: aws.Bool(true)})
			if err != nil && !is(err, "ServiceNotFoundException", "ServiceNotActiveException") {
				return err
			}
		}
		for range goneAttempts {
			d.service = nil
			if err := (services{d.State}).lookAtService(ctx); err != nil || d.service == nil {
				return err
			}
			if err := d.clock.Sleep(ctx, goneDelay); err != nil {
				return err
			}
		}
		return fmt.Errorf("it is still %s", aws.ToString(d.service.Status))
	})
}

func (d *destroyer) balancing(ctx context.Context) error {
	if !d.plan.Balanced() {
		return nil
	}
	found, err := balancers{d.State}.findBalancing(ctx)
	if err != nil {
		return err
	}
	client, want := d.clients.Balancing, d.plan.LoadBalancer
	balancer := *want.LoadBalancer.Name
	if found.rule != nil {
		if err := d.delete(ctx, "listener rule", balancer, found.tags[*found.rule.RuleArn], []string{"RuleNotFound"}, func() error {
			_, err := client.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: found.rule.RuleArn})
			return err
		}); err != nil {
			return err
		}
	}
	if found.listener != nil {
		if err := d.delete(ctx, "listener", balancer, found.tags[*found.listener.ListenerArn], []string{"ListenerNotFound"}, func() error {
			_, err := client.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: found.listener.ListenerArn})
			return err
		}); err != nil {
			return err
		}
	}
	for _, other := range found.listeners {
		// The redirect. Those of others go with the load balancer, whatever we do.
		if found.listener != nil && *other.ListenerArn == *found.listener.ListenerArn || !d.own(&item{}, found.tags[*other.ListenerArn]) {
			continue
		}
		name := fmt.Sprintf("%s:%d", balancer, aws.ToInt32(other.Port))
		if err := d.delete(ctx, "listener", name, found.tags[*other.ListenerArn], []string{"ListenerNotFound"}, func() error {
			_, err := client.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: other.ListenerArn})
			return err
		}); err != nil {
			return err
		}
	}
	if found.balancer != nil {
		arn := found.balancer.LoadBalancerArn
		if err := d.delete(ctx, "load balancer", balancer, found.tags[*arn], []string{"LoadBalancerNotFound"}, func() error {
			// The plan protects production's; who said the service's name means it.
			if _, err := client.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: arn,
				Attributes: []types.LoadBalancerAttribute{
					{Key: aws.String("deletion_protection.enabled"), Value: aws.String("false")},
				}}); err != nil {
				return err
			}
			_, err := client.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: arn})
			return err
		}); err != nil {
			return err
		}
	}
	for _, group := range want.TargetGroups {
		have := found.groups[*group.Name]
		if have == nil {
			continue
		}
		if err := d.delete(ctx, "target group", *group.Name, found.tags[*have.TargetGroupArn], []string{"TargetGroupNotFound"}, func() error {
			return d.deleteGroup(ctx, have.TargetGroupArn)
		}); err != nil {
			return err
		}
	}
	return nil
}

// deleteGroup waits until the deleted load balancer has let go of it.
func (d *destroyer) deleteGroup(ctx context.Context, arn *string) error {
	for attempt := 1; ; attempt++ {
		_, err := d.clients.Balancing.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: arn})
		if !is(err, "ResourceInUse", "ResourceInUseException") || attempt == freeAttempts {
			return err
		}
		if stop := d.clock.Sleep(ctx, goneDelay); stop != nil {
			return err
		}
	}
}

func (d *destroyer) monitoring(ctx context.Context) error {
	there, err := monitors{d.State}.findAlarms(ctx)
	if err != nil {
		return err
	}
	for _, want := range d.plan.Alarms {
		alarm, exists := there[*want.AlarmName]
		if !exists {
			continue
		}
		tags, err := monitors{d.State}.alarmTags(ctx, alarm)
		if err != nil {
			return err
		}
		if err := d.delete(ctx, "alarm", *want.AlarmName, tags, []string{"ResourceNotFound"}, func() error {
			_, err := d.clients.CloudWatch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{*want.AlarmName}})
			return err
		}); err != nil {
			return err
		}
	}
	body, err := monitors{d.State}.dashboard(ctx)
	name := *d.plan.Dashboard.DashboardName
	switch {
	case err != nil || body == "":
		return err
	case !strings.Contains(body, d.plan.DashboardMark()):
		d.keep("dashboard", name, "it does not say that it is ours")
		return nil
	default:
		return d.delete(ctx, "dashboard", name, d.plan.Ownership(), []string{"ResourceNotFound", "DashboardNotFoundError"}, func() error {
			_, err := d.clients.CloudWatch.DeleteDashboards(ctx, &cloudwatch.DeleteDashboardsInput{DashboardNames: []string{name}})
			return err
		})
	}
}

func (d *destroyer) definitions(ctx context.Context) error {
	all, err := definitions{d.State}.revisions(ctx)
	if err != nil {
		return err
	}
	for _, arn := range all {
		ours, err := definitions{d.State}.deregister(ctx, arn)
		switch {
		case err != nil:
			return fmt.Errorf("deregister %s: %w", arn, err)
		case ours:
			d.done.Deleted = append(d.done.Deleted, "task definition "+arn)
		default:
			d.keep("task definition", arn, "it does not carry our tags")
		}
	}
	return nil
}

func (d *destroyer) clusterItself(ctx context.Context) error {
	have, err := foundations{d.State}.cluster(ctx)
	if err != nil || have == nil {
		return err
	}
	name := *d.plan.Cluster.ClusterName
	inUse := false
	err = d.delete(ctx, "ecs cluster", name, ecsTags(have.Tags), []string{"ClusterNotFoundException"}, func() error {
		for attempt := 1; ; attempt++ {
			_, err := d.clients.ECS.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: d.plan.Cluster.ClusterName})
			if d.stopping && is(err, "ClusterContainsTasksException") && attempt < stopAttempts {
				if stop := d.clock.Sleep(ctx, goneDelay); stop != nil {
					return err
				}
				continue
			}
			if is(err, "ClusterContainsServicesException", "ClusterContainsTasksException", "ClusterContainsContainerInstancesException",
				"ClusterContainsCapacityProviderException") {
				inUse = true
			}
			return err
		}
	})
	if inUse {
		d.keep("ecs cluster", name, "other services, tasks, instances or capacity providers are in it")
		return nil
	}
	return err
}

func (d *destroyer) logs(ctx context.Context) error {
	group, err := foundations{d.State}.logGroup(ctx)
	if err != nil || group == nil {
		return err
	}
	out, err := d.clients.Logs.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: aws.String(logGroupARN(group))})
	if err != nil {
		return fmt.Errorf("list tags of log group %s: %w", *group.LogGroupName, err)
	}
	if aws.ToBool(group.DeletionProtectionEnabled) {
		d.keep("log group", *group.LogGroupName, "its deletion protection is on")
		return nil
	}
	return d.delete(ctx, "log group", *group.LogGroupName, out.Tags, []string{"ResourceNotFoundException"}, func() error {
		_, err := d.clients.Logs.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: group.LogGroupName})
		return err
	})
}

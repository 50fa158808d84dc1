package fakeaws

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

const ecsARN = "arn:aws:ecs:ap-south-1:111122223333:"

// registry are the clusters and task definitions, and what a service was created with.
type registry struct {
	clusters    map[string]*types.Cluster
	definitions map[string][]*definition
	created     map[string]*ecs.CreateServiceInput
}

type definition struct {
	types.TaskDefinition
	tags []types.Tag
}

func (e *ECS) registry() *registry {
	if e.store == nil {
		e.store = &registry{map[string]*types.Cluster{}, map[string][]*definition{}, map[string]*ecs.CreateServiceInput{}}
	}
	return e.store
}

func (e *ECS) has(service string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.services[service] != nil
}

func (e *ECS) uses(group string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.services {
		if in := e.registry().created[name]; in != nil {
			for _, lb := range in.LoadBalancers {
				if aws.ToString(lb.TargetGroupArn) == group {
					return true
				}
			}
		}
	}
	return false
}

// DescribeClusters describes those of the names that are there.
func (e *ECS) DescribeClusters(_ context.Context, in *ecs.DescribeClustersInput, _ ...func(*ecs.Options)) (*ecs.DescribeClustersOutput,
	error) {
	return over(e.wire, "ecs:DescribeClusters", func() (*ecs.DescribeClustersOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		out := &ecs.DescribeClustersOutput{}
		for _, name := range in.Clusters {
			if c := e.registry().clusters[lastPart(name)]; c != nil {
				shown := *c
				if !slices.Contains(in.Include, types.ClusterFieldSettings) {
					shown.Settings = nil
				}
				if !slices.Contains(in.Include, types.ClusterFieldTags) {
					shown.Tags = nil
				}
				out.Clusters = append(out.Clusters, shown)
			} else {
				out.Failures = append(out.Failures, missing(name))
			}
		}
		return out, nil
	})
}

// CreateCluster makes one; an active one of that name is left as it is.
func (e *ECS) CreateCluster(_ context.Context, in *ecs.CreateClusterInput, _ ...func(*ecs.Options)) (*ecs.CreateClusterOutput, error) {
	return over(e.wire, "ecs:CreateCluster", func() (*ecs.CreateClusterOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		all := e.registry().clusters
		if c := all[*in.ClusterName]; c == nil || *c.Status == "INACTIVE" {
			all[*in.ClusterName] = &types.Cluster{
				ClusterName: in.ClusterName, ClusterArn: aws.String(ecsARN + "cluster/" + *in.ClusterName), Status: aws.String("ACTIVE"),
				Settings: slices.Clone(in.Settings), Tags: in.Tags,
			}
		}
		return &ecs.CreateClusterOutput{Cluster: all[*in.ClusterName]}, nil
	})
}

// UpdateClusterSettings replaces the settings.
func (e *ECS) UpdateClusterSettings(_ context.Context, in *ecs.UpdateClusterSettingsInput,
	_ ...func(*ecs.Options)) (*ecs.UpdateClusterSettingsOutput, error) {
	return over(e.wire, "ecs:UpdateClusterSettings", func() (*ecs.UpdateClusterSettingsOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		c := e.registry().clusters[lastPart(*in.Cluster)]
		if c == nil {
			return nil, &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
		}
		c.Settings = slices.Clone(in.Settings)
		return &ecs.UpdateClusterSettingsOutput{Cluster: c}, nil
	})
}

// DeleteCluster is refused while services are in it; what is left is described as INACTIVE.
func (e *ECS) DeleteCluster(_ context.Context, in *ecs.DeleteClusterInput, _ ...func(*ecs.Options)) (*ecs.DeleteClusterOutput, error) {
	return over(e.wire, "ecs:DeleteCluster", func() (*ecs.DeleteClusterOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		name := lastPart(*in.Cluster)
		for _, s := range e.services {
			if s.cluster == name && s.status != "INACTIVE" {
				return nil, &types.ClusterContainsServicesException{Message: aws.String("The Cluster cannot be deleted while Services are active.")}
			}
		}
		for _, t := range e.alone {
			// One that was stopped passes DEACTIVATING, STOPPING and DEPROVISIONING first.
			if t.cluster == name && (t.stopped.IsZero() || e.clock.Now().Sub(t.stopped) <= cleanUpTime) {
				return nil, &types.ClusterContainsTasksException{Message: aws.String("The Cluster cannot be deleted while Tasks are active.")}
			}
		}
		e.registry().clusters[name].Status = aws.String("INACTIVE")
		return &ecs.DeleteClusterOutput{}, nil
	})
}

// CreateService makes a service and starts its first deployment. The same client token makes
// it once: "the retry succeeds without performing any further actions" ("Ensuring
// idempotency", API reference), also where the service was deleted since. Another service of
// the name is refused while one is there and, as users report, for a moment after it
// (hashicorp/terraform-provider-aws#2283).
func (e *ECS) CreateService(_ context.Context, in *ecs.CreateServiceInput, _ ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error) {
	return over(e.wire, "ecs:CreateService", func() (*ecs.CreateServiceOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		err := e.local("CreateService")
		if err != nil && !isLostAnswer(err) {
			return nil, err
		}
		s, refused := e.createService(in)
		if refused != nil {
			return nil, refused
		}
		if err != nil {
			return nil, err
		}
		described := e.describe(s)
		return &ecs.CreateServiceOutput{Service: &described}, nil
	})
}

func (e *ECS) createService(in *ecs.CreateServiceInput) (*service, error) {
	cluster := e.registry().clusters[lastPart(aws.ToString(in.Cluster))]
	if cluster == nil || *cluster.Status != "ACTIVE" {
		return nil, &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
	}
	if d := e.definition(aws.ToString(in.TaskDefinition)); d == nil || d.Status != types.TaskDefinitionStatusActive {
		return nil, &types.ClientException{Message: aws.String("TaskDefinition not found.")}
	}
	for _, lb := range in.LoadBalancers {
		// "does not have an associated load balancer" (aws/aws-cdk#34290)
		if e.attached != nil && !e.attached(aws.ToString(lb.TargetGroupArn)) {
			return nil, &types.InvalidParameterException{Message: aws.String("The target group with targetGroupArn " +
				aws.ToString(lb.TargetGroupArn) + " does not have an associated load balancer.")}
		}
	}
	key, token := *cluster.ClusterName+"/"+*in.ServiceName, *cluster.ClusterName+"/"+aws.ToString(in.ClientToken)
	s, now := e.services[key], e.clock.Now()
	if s != nil && !s.drained.IsZero() && !now.Before(s.drained) {
		s.status = "INACTIVE"
	}
	switch {
	case in.ClientToken != nil && e.made[token] != nil:
		return e.made[token], nil
	case s != nil && s.status == "DRAINING", s != nil && s.status == "INACTIVE" && now.Sub(s.drained) < lingers:
		return nil, &types.InvalidParameterException{Message: aws.String("Unable to Start a service that is still Draining.")}
	case s != nil && s.status == "ACTIVE":
		return nil, &types.InvalidParameterException{Message: aws.String("Creation of service was not idempotent.")}
	}
	for _, d := range e.deployments {
		if s != nil && d.service == s {
			delete(e.deployments, d.arn) // a service's history vanishes with it
		}
	}
	s = &service{cluster: *cluster.ClusterName, name: *in.ServiceName, status: "ACTIVE", desired: aws.ToInt32(in.DesiredCount),
		config: in.DeploymentConfiguration}
	e.services[key] = s
	kept := wire.Replace(in, func(s string) string { return s })
	kept.ClientToken = nil // nothing describes it
	e.registry().created[key] = kept
	if in.ClientToken != nil {
		e.made[token] = s
	}
	e.start(s, *in.TaskDefinition)
	return s, nil
}

// lingers is how long a service that is INACTIVE still keeps its name here.
const lingers = 10 * time.Second

// DeleteService stops the tasks and leaves the service as INACTIVE.
func (e *ECS) DeleteService(_ context.Context, in *ecs.DeleteServiceInput, _ ...func(*ecs.Options)) (*ecs.DeleteServiceOutput, error) {
	return over(e.wire, "ecs:DeleteService", func() (*ecs.DeleteServiceOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.local("DeleteService"); err != nil {
			return nil, err
		}
		s := e.find(aws.ToString(in.Cluster), aws.ToString(in.Service))
		if s == nil {
			return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
		}
		if s.desired > 0 && !aws.ToBool(in.Force) {
			return nil, &types.InvalidParameterException{Message: aws.String("The service cannot be stopped while it is scaled above 0.")}
		}
		s.status = "DRAINING"
		s.drained = e.clock.Now().Add(drainTime)
		return &ecs.DeleteServiceOutput{}, nil
	})
}

// drainTime is how long a deleted service is DRAINING here.
const drainTime = 20 * time.Second

// detail fills in what a service was created or last updated with.
func (e *ECS) detail(s *service, out *types.Service) {
	if !s.drained.IsZero() && !e.clock.Now().Before(s.drained) {
		s.status = "INACTIVE"
		out.Status = aws.String(s.status)
		delete(e.registry().created, s.cluster+"/"+s.name)
	}
	out.ServiceArn = aws.String(ecsARN + "service/" + s.cluster + "/" + s.name)
	in := e.registry().created[s.cluster+"/"+s.name]
	if in == nil {
		return
	}
	out.Tags, out.LoadBalancers, out.NetworkConfiguration = in.Tags, in.LoadBalancers, in.NetworkConfiguration
	out.HealthCheckGracePeriodSeconds, out.AvailabilityZoneRebalancing = in.HealthCheckGracePeriodSeconds, in.AvailabilityZoneRebalancing
	out.PropagateTags, out.EnableECSManagedTags, out.SchedulingStrategy = in.PropagateTags, in.EnableECSManagedTags, in.SchedulingStrategy
	out.TaskDefinition = in.TaskDefinition
	out.LaunchType, out.PlatformVersion, out.CapacityProviderStrategy = in.LaunchType, in.PlatformVersion, in.CapacityProviderStrategy
	out.DeploymentController, out.ServiceRegistries, out.EnableExecuteCommand = in.DeploymentController, in.ServiceRegistries,
		in.EnableExecuteCommand
	out.PlacementConstraints, out.PlacementStrategy = in.PlacementConstraints, in.PlacementStrategy
	out.ClusterArn = aws.String(ecsARN + "cluster/" + s.cluster)
	for n := range out.Deployments {
		out.Deployments[n].ServiceConnectConfiguration, out.Deployments[n].VolumeConfigurations = in.ServiceConnectConfiguration,
			in.VolumeConfigurations
	}
}

// keep records what an update changed.
func (e *ECS) keep(s *service, in *ecs.UpdateServiceInput) {
	now := e.registry().created[s.cluster+"/"+s.name]
	if now == nil {
		return
	}
	if in.TaskDefinition != nil {
		now.TaskDefinition = in.TaskDefinition
	}
	if in.NetworkConfiguration != nil {
		now.NetworkConfiguration = in.NetworkConfiguration
	}
	if in.LoadBalancers != nil {
		now.LoadBalancers = in.LoadBalancers
	}
	if in.HealthCheckGracePeriodSeconds != nil {
		now.HealthCheckGracePeriodSeconds = in.HealthCheckGracePeriodSeconds
	}
	if in.AvailabilityZoneRebalancing != "" {
		now.AvailabilityZoneRebalancing = in.AvailabilityZoneRebalancing
	}
	if in.PropagateTags != "" {
		now.PropagateTags = in.PropagateTags
	}
}

package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// forAdopted are the keys of the rollout that apply to a service of somebody else.
var forAdopted = []string{"rollout.account", "rollout.adopt", "rollout.analysis", "rollout.cluster", "rollout.container", "rollout.journal",
	"rollout.region", "rollout.service", "rollout.services", "rollout.smoke", "rollout.soak", "rollout.task_definition", "rollout.tasks",
	"rollout.trial"}

// rolloutKey reports whether a key is directly under rollout.
func rolloutKey(path string) bool {
	name, under := strings.CutPrefix(path, "rollout.")
	return under && !strings.ContainsAny(name, ".[")
}

// withoutEffect are the keys of the rollout that are set though an adopted service has its own.
func (c Config) withoutEffect() []string {
	if c.Rollout.Adopt == "" {
		return nil
	}
	var all []string
	for _, key := range c.set {
		if rolloutKey(key) && !slices.Contains(forAdopted, key) {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// NoPort is the value of Service.Port for a service that listens nowhere.
const NoPort = "none"

// RolloutSpec is the configuration as the rollout takes it.
func (c Config) RolloutSpec() spec.Spec {
	r, i := c.Rollout, c.Image
	s := spec.Spec{
		Application: c.Name,
		App: spec.App{
			Repository: i.Repository, Platform: i.Platform, Port: i.Port, Health: i.Health, User: i.User,
			Vars: i.Vars, Volumes: i.Volumes, ModelDir: i.ModelDir, StartBudget: time.Duration(i.StartBudget),
		},
		Account: r.Account, Region: r.Region, Cluster: r.Cluster, Service: r.Service, Family: r.Family,
		CPU: r.CPU, Memory: r.Memory, Desired: r.Desired, Min: r.Min, Max: r.Max,
		TargetCPU: r.TargetCPU, TargetMemory: r.TargetMemory,
		Strategy: r.Strategy, BakeMinutes: r.BakeMinutes,
		CanaryPercent: r.CanaryPercent, CanaryBakeMinutes: r.CanaryBakeMinutes,
		LinearStepPercent: r.LinearStepPercent, LinearStepMinutes: r.LinearStepMinutes,
		ExecutionRole: r.ExecutionRole, TaskRole: r.TaskRole, InfrastructureRole: r.InfrastructureRole,
		VPC: r.VPC, Subnets: r.Subnets, SecurityGroups: r.SecurityGroups,
		Vars: r.Vars, Secrets: r.Secrets, StartPeriod: time.Duration(r.StartPeriod), LogDays: r.LogDays,
		Trial: r.Trial, Soak: time.Duration(r.Soak), Journal: cmp.Or(r.Journal, c.Publish.ArtifactRoot), Smoke: r.Smoke,
		Certificate: r.Certificate, InternetFacing: r.InternetFacing,
		BalancerSubnets: r.BalancerSubnets, BalancerSecurityGroups: r.BalancerSecurityGroups,
		AssignPublicIP: r.AssignPublicIP, AlarmTopic: r.AlarmTopic, Drain: time.Duration(r.Drain),
		EphemeralStorage: r.EphemeralStorage, WritableRoot: r.WritableRoot, KMSKeys: r.KMSKeys,
		PauseAt: r.PauseAt, PauseTimeout: time.Duration(r.PauseTimeout),
		Inconclusive: r.Inconclusive, Adopt: r.Adopt, Container: r.Container, TaskDefinition: r.TaskDefinition,
		WithoutEffect: c.withoutEffect(),
	}
	for _, v := range r.Volumes {
		s.Volumes = append(s.Volumes, spec.Volume(v))
	}
	for _, m := range r.Services {
		s.Services = append(s.Services, spec.Service{Name: m.Name, Container: m.Container, NoPort: m.Port == NoPort, Command: m.Command,
			CPU: m.CPU, Memory: m.Memory, Desired: m.Desired, After: m.After})
	}
	for _, t := range r.Tasks {
		s.Tasks = append(s.Tasks, spec.Task{Name: t.Name, Command: t.Command, Service: t.Service, Timeout: time.Duration(t.Timeout)})
	}
	for _, a := range r.Analysis {
		one := spec.Analysis{
			Name: a.Name, Prometheus: a.Prometheus, Query: a.Query, Command: a.Command, Compare: a.Compare, MinSamples: a.MinSamples,
			Success: a.Success, Failure: a.Failure,
			Interval: time.Duration(a.Interval), Count: a.Count, FailureLimit: a.FailureLimit, InconclusiveLimit: a.InconclusiveLimit,
			Late: time.Duration(a.Late),
		}
		for _, m := range a.Metrics {
			one.Metrics = append(one.Metrics, spec.Metric(m))
		}
		s.Analysis = append(s.Analysis, one)
	}
	return s
}

package fakeaws

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// Dump is everything that exists, as text: two accounts with the same history of
// successful writes have the same.
func (a *Account) Dump() string {
	a.ECS.mu.Lock()
	defer a.ECS.mu.Unlock()
	all := map[string]any{
		"balancers": values(a.Balancing.balancers), "groups": values(a.Balancing.groups), "listeners": values(a.Balancing.listeners),
		"rules": values(a.Balancing.rules), "tags": a.Balancing.tags, "attributes": values(a.Balancing.attributes),
		"targets": values(a.Scaling.targets), "policies": values(a.Scaling.policies), "alarms": values(a.CloudWatch.alarms),
		"dashboards": a.CloudWatch.dashboards, "logs": values(a.Logs.groups), "clusters": values(a.ECS.registry().clusters),
		"roles": a.Roles.dump(), "services": values(a.ECS.registry().created),
	}
	out := map[string]any{"deployments": len(a.ECS.deployments)}
	trials := 0
	for _, t := range a.ECS.alone {
		if t.stopped.IsZero() {
			trials++
		}
	}
	out["tasks of no service"] = trials
	for name, list := range all {
		out[name] = wire.Encode(list)
	}
	var definitions []any
	for _, family := range values(a.ECS.registry().definitions) {
		for _, d := range family {
			definitions = append(definitions, wire.Encode(&ecsDefinition{d.TaskDefinitionArn, string(d.Status), d.tags}))
		}
	}
	out["definitions"] = definitions
	return string(wire.Indent(out))
}

// ecsDefinition is what is shown of a task definition.
type ecsDefinition struct {
	ARN    *string
	Status string
	Tags   []types.Tag
}

package release

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ImportFile is the path in the report of the configuration that Import writes.
const ImportFile = "pipeline.yaml"

// Source names the service to import.
type Source struct {
	Cluster, Service string
	// Region is its region; it defaults to the configuration's.
	Region string
	// Container is the container that runs the application; it is detected if empty.
	Container string
	// Journal is written into the configuration, unless it is empty.
	Journal string
}

// Import writes a configuration that adopts a service as it currently runs. It changes nothing, and verifies that with this
// configuration a plan for the running image has no changes either.
func Import(ctx context.Context, clients Clients, clock clock.Clock, in Input, from Source) *Result {
	o := newOperation(clients, clock, in)
	return o.finish(ctx, importer{o}.run(ctx, from)...)
}

// importer writes the configuration of a running service.
type importer struct{ *observer }

func (o importer) run(ctx context.Context, from Source) []*verdict.Problem {
	switch {
	case ctx.Err() != nil:
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", ctx.Err())}
	case o.in.Environment == rollout.Sandbox || o.in.Environment == "":
		return []*verdict.Problem{verdict.Problemf(NoSandbox, "the environment is the sandbox")}
	}
	who, err := o.clients.Identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(account.CredentialsInvalid, "ask who the credentials belong to: %v", err)}
	}
	running, err := ensure.FindRunning(ctx, o.clients.ECS, from.Cluster, from.Service)
	switch {
	case errors.Is(err, ensure.ErrNoService):
		return []*verdict.Problem{nothingToAdopt(err)}
	case errors.Is(err, ensure.ErrUnknownMember):
		return []*verdict.Problem{verdict.Problemf(ensure.WouldLose, "%v", err)}
	case err != nil:
		return []*verdict.Problem{deployment.ProblemOf(ensure.LookFailed, err)}
	}
	task := rollout.TakeOver(running.TaskDefinition, running.Tags)
	container, problem := rollout.ApplicationContainer(task, running.Service, from.Container)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	image, err := runningImage(running, task, container)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(ImportIncomplete, "container %s of task definition %s: %v", container,
			aws.ToString(task.Family), err)}
	}
	o.in.Spec = spec.Spec{
		Application: applicationName(from.Service), App: spec.App{Repository: image.Repository.String(), Port: portOf(task, container)},
		Account: aws.ToString(who.Account), Region: from.Region, Cluster: from.Cluster, Service: from.Service,
		Adopt: spec.AdoptService, Container: container, Journal: from.Journal, Trial: true,
	}
	if p := task.RuntimePlatform; p != nil && p.CpuArchitecture == types.CPUArchitectureArm64 {
		o.in.Spec.App.Platform = "linux/arm64"
	}
	content := importedConfig(o.in.Spec, o.in.Environment)
	o.result.Text = content
	o.stage().Files = append(o.stage().Files, verdict.ReportFile{Path: ImportFile, Content: []byte(content)})
	o.stage().Add("service", fmt.Sprintf("%s in cluster %s, account %s, region %s", from.Service, from.Cluster, aws.ToString(who.Account),
		from.Region))
	o.stage().Add("image", image.String())
	return o.checkImport(ctx, running, image.String())
}

// checkImport compares the written configuration with what runs.
func (o importer) checkImport(ctx context.Context, running rollout.Running, image string) []*verdict.Problem {
	o.in.Image = image
	plan, problems := rollout.NewPlan(o.in.Input)
	if len(problems) == 0 {
		problems = plan.Adopt(running)
	}
	if len(problems) > 0 {
		return problems
	}
	state, problem := ensure.Look(ctx, o.ensureClients(), leaseClock{o.operation}, plan)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.plan, o.state, o.result.Plan, o.result.Changes = plan, state, plan, state.Changes()
	o.result.Changed = !state.Unchanged()
	o.stage().Gate("plan for the running image", lastLine(state.Text()), "nothing would change", !o.result.Changed)
	o.ownership()
	if problems := state.Problems(); len(problems) > 0 {
		return problems
	}
	if o.result.Changed {
		return []*verdict.Problem{verdict.Problemf(ImportIncomplete, "the plan for the running image would change something: %s",
			strings.TrimSpace(state.Text()))}
	}
	return nil
}

// runningImage returns a container's image by the digest that it runs.
func runningImage(running rollout.Running, task *ecs.RegisterTaskDefinitionInput, container string) (imageref.Reference, error) {
	for _, c := range task.ContainerDefinitions {
		if aws.ToString(c.Name) != container {
			continue
		}
		ref, err := imageref.Parse(aws.ToString(c.Image))
		if err != nil {
			return ref, err
		}
		ref = imageref.Reference{Repository: ref.Repository, Digest: ref.Digest} // without a tag
		for _, image := range running.Images {
			if aws.ToString(image.ContainerName) == container && image.ImageDigest != nil && ref.Digest == "" {
				ref.Digest = *image.ImageDigest
			}
		}
		if ref.Digest == "" {
			return ref, fmt.Errorf("ECS does not say which digest %s is; a deployment may be in flight, or versionConsistency be disabled",
				aws.ToString(c.Image))
		}
		return ref, nil
	}
	return imageref.Reference{}, errors.New("there is no such container")
}

func portOf(task *ecs.RegisterTaskDefinitionInput, container string) int {
	for _, c := range task.ContainerDefinitions {
		if aws.ToString(c.Name) == container && len(c.PortMappings) > 0 {
			return int(aws.ToInt32(c.PortMappings[0].ContainerPort))
		}
	}
	return 0
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// applicationName derives a valid application name from a service's name.
func applicationName(service string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(service), "-"), "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "app-" + name
	}
	return strings.Trim(name[:min(len(name), 60)], "-")
}

// importedConfig renders the configuration as YAML. Strings are quoted as in JSON, which is valid YAML.
func importedConfig(s spec.Spec, environment string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Service %s in cluster %s as it ran when it was imported. docs/rollout.md explains the keys.", s.Service, s.Cluster)
	line("name: %q", s.Application)
	line("image:\n  repository: %q", s.App.Repository)
	if s.App.Port > 0 {
		line("  port: %d", s.App.Port)
	}
	if s.App.Platform != "" {
		line("  platform: %q", s.App.Platform)
	}
	line("environments:\n  %s:\n    rollout:\n      adopt: %q", environment, s.Adopt)
	for _, key := range []struct{ name, value string }{{"account", s.Account}, {"region", s.Region}, {"cluster", s.Cluster},
		{"service", s.Service}, {"container", s.Container}} {
		line("      %s: %q", key.name, key.value)
	}
	if s.Journal == "" {
		line("      # Where the lock and the record of deployments are kept; a deployment needs it.")
		line("      # journal: s3://BUCKET/PREFIX")
	} else {
		line("      journal: %q", s.Journal)
	}
	line("      # An address that must answer 200 during and after a deployment; without it there is no smoke test.")
	line("      # smoke: https://HOST/HEALTH")
	return b.String()
}

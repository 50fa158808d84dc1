package rollout

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Running is a service of somebody else as it runs.
type Running struct {
	Service *types.Service
	// TaskDefinition is the one that the service was last updated to, Tags are its tags.
	TaskDefinition *types.TaskDefinition
	Tags           []types.Tag
	// Images are the images of its containers as ECS resolved them; empty if it does not say.
	Images []types.ContainerImage
}

// Adoption is what the plan for a service of somebody else takes over.
type Adoption struct {
	// Base is the running task definition as the input that would register it again.
	Base *ecs.RegisterTaskDefinitionInput
	// ARN is the revision that runs. It is kept when the image is in it already.
	ARN string
	// Keep is true if the running revision is the planned one.
	Keep bool
	// Images lists the containers whose image is set, each with the image that it has now.
	Images map[string]string
	// Left are the resources that are used, and that nobody here changes.
	Left []Left
	// TrialOff is why no trial is made; empty if one is.
	TrialOff string
	// NoHealthCheck is true if no essential container has a health check.
	NoHealthCheck bool

	container string
}

// Left is a resource that an adopted service uses and that is left alone.
type Left struct{ Kind, Name string }

// Adopts reports whether the service is of somebody else, so that only its image is deployed.
func (p *Plan) Adopts() bool { return p.settings.Adopt == spec.AdoptService }

// Container is the name of the container that runs the image.
func (p *Plan) Container() string {
	if p.Adoption != nil {
		return p.Adoption.container
	}
	return ContainerName
}

// adoptedPlan is the plan for a service of somebody else before it was looked at. Adopt completes it.
func (s *settings) adoptedPlan() (*Plan, []*verdict.Problem) {
	c := &checker{settings: s}
	c.checkEnvironment()
	c.checkImage()
	c.checkAccount()
	c.checkAdoptedNames()
	c.checkMetrics()
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	service := &ecs.CreateServiceInput{Cluster: aws.String(s.names.cluster), ServiceName: aws.String(s.names.service)}
	return &Plan{
		Environment: s.environment, Account: s.Account, Region: s.Region, Image: s.image, ImageBuilt: s.imageBuilt, Examples: s.examples,
		Strategy: string(s.strategy), Service: service, LoadBalancer: &LoadBalancer{}, TaskDefinition: &ecs.RegisterTaskDefinitionInput{},
		Trial: &Trial{Off: true,
			Task: &ecs.RunTaskInput{Cluster: service.Cluster, StartedBy: aws.String(startedBy("trial", s.names.service))}},
		settings: s,
	}, nil
}

func (c *checker) checkAdoptedNames() {
	for _, n := range []struct{ key, value string }{{"rollout.cluster", c.names.cluster}, {"rollout.service", c.names.service}} {
		if !ecsNameForm.MatchString(n.value) {
			c.bad(NameInvalid, "%s: ECS does not accept %q: letters, digits, hyphens and underscores, at most 255", n.key, n.value)
		}
	}
}

// Adopt completes the plan for a service of somebody else with what runs. It is a pure function
// and may be called again with a newer look. The plan is unchanged if it returns problems.
func (p *Plan) Adopt(r Running) []*verdict.Problem {
	s := *p.settings
	if problem := adoptable(r.Service); problem != nil {
		return []*verdict.Problem{problem}
	}
	base := TakeOver(r.TaskDefinition, r.Tags)
	want := base
	if s.Spec.TaskDefinition != "" {
		from, problems := readTaskDefinition(s.Spec.TaskDefinition, s.taskFile, s.image.Written())
		if len(problems) > 0 {
			return problems
		}
		if want = from; aws.ToString(want.Family) == "" {
			want.Family = base.Family
		}
	}
	name, problem := s.chooseContainer(want, r.Service)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	a := &Adoption{Base: base, ARN: aws.ToString(r.TaskDefinition.TaskDefinitionArn), container: name}
	if s.Spec.TaskDefinition == "" {
		want, a.Images = withImage(base, name, s.image.Written())
	} else {
		a.Images = map[string]string{name: imageOf(base, name)}
	}
	a.Keep = same(base, want) || s.Spec.TaskDefinition == "" && s.resolved(r.Images, a.Images)
	if a.Keep {
		want = base
	}
	s.takeOver(r.Service, want)
	if len(s.Analysis) > 0 && !s.strategy.shiftsTraffic() {
		problem := verdict.Problemf(StrategyInvalid,
			"rollout.analysis: service %s is deployed by rolling, which has no share of the traffic to measure", s.names.service)
		problem.Next = "change the deployment strategy of the service where it was made, or remove rollout.analysis"
		return []*verdict.Problem{problem}
	}
	a.NoHealthCheck, a.TrialOff = !checksHealth(want), s.noTrial(r.Service)
	a.Left = leftAlone(r.Service, want)
	p.settings, p.Adoption, p.TaskDefinition, p.Strategy = &s, a, want, string(s.strategy)
	p.Trial = s.adoptedTrial(r.Service, a)
	s.Trial = !p.Trial.Off
	p.Estimate = s.estimate()
	return nil
}

// adoptable refuses services whose deployments are not ECS's own, as only those can be followed.
func adoptable(service *types.Service) *verdict.Problem {
	name := aws.ToString(service.ServiceName)
	if c := service.DeploymentController; c != nil && c.Type != "" && c.Type != types.DeploymentControllerTypeEcs {
		return verdict.Problemf(CannotAdopt, "service %s has the deployment controller %s, whose deployments cannot be followed through ECS",
			name, c.Type)
	}
	if service.SchedulingStrategy == types.SchedulingStrategyDaemon {
		return verdict.Problemf(CannotAdopt, "service %s is a daemon: it has no desired count that could be reached", name)
	}
	return nil
}

// TakeOver is the input that registers a described task definition again: every member that both
// have. The tags are the caller's to give, as ECS describes them beside it.
func TakeOver(have *types.TaskDefinition, tags []types.Tag) *ecs.RegisterTaskDefinitionInput {
	in := &ecs.RegisterTaskDefinitionInput{}
	from, to := reflect.ValueOf(have).Elem(), reflect.ValueOf(in).Elem()
	for i := range to.NumField() {
		field := to.Type().Field(i)
		if source := from.FieldByName(field.Name); field.IsExported() && source.IsValid() && source.Type() == field.Type {
			to.Field(i).Set(source)
		}
	}
	for _, t := range tags {
		// Tags of AWS itself cannot be given.
		if !strings.HasPrefix(aws.ToString(t.Key), "aws:") {
			in.Tags = append(in.Tags, t)
		}
	}
	return in
}

// withImage sets the image of a container, and of all others that run the same image now, such as
// one that prepares the data of the other. It returns what each of them has now.
func withImage(base *ecs.RegisterTaskDefinitionInput, name, image string) (*ecs.RegisterTaskDefinitionInput, map[string]string) {
	now, all := imageOf(base, name), map[string]string{}
	want := *base
	want.ContainerDefinitions = slices.Clone(base.ContainerDefinitions)
	for n, c := range want.ContainerDefinitions {
		if have := aws.ToString(c.Image); aws.ToString(c.Name) == name || have == now {
			all[aws.ToString(c.Name)] = have
			want.ContainerDefinitions[n].Image = aws.String(image)
		}
	}
	return &want, all
}

func imageOf(task *ecs.RegisterTaskDefinitionInput, name string) string {
	for _, c := range task.ContainerDefinitions {
		if aws.ToString(c.Name) == name {
			return aws.ToString(c.Image)
		}
	}
	return ""
}

// resolved reports whether the running images are ours by their digest, though the task definition
// names them by a tag: ECS resolves a tag once for each deployment.
func (s *settings) resolved(running []types.ContainerImage, names map[string]string) bool {
	found := map[string]bool{}
	for _, i := range running {
		have, err := imageref.Parse(aws.ToString(i.Image))
		found[aws.ToString(i.ContainerName)] = err == nil && have.Repository == s.image.Repository &&
			aws.ToString(i.ImageDigest) == s.image.Digest
	}
	for name := range names {
		if !found[name] {
			return false
		}
	}
	return len(names) > 0
}

// chooseContainer finds the container that runs the image.
func (s *settings) chooseContainer(task *ecs.RegisterTaskDefinitionInput, service *types.Service) (string, *verdict.Problem) {
	var names, same, balanced []string
	for _, c := range task.ContainerDefinitions {
		names = append(names, aws.ToString(c.Name))
		if have, err := imageref.Parse(aws.ToString(c.Image)); err == nil && have.Repository == s.image.Repository {
			same = append(same, aws.ToString(c.Name))
		}
	}
	for _, lb := range service.LoadBalancers {
		if name := aws.ToString(lb.ContainerName); name != "" && !slices.Contains(balanced, name) {
			balanced = append(balanced, name)
		}
	}
	if s.Container != "" {
		if !slices.Contains(names, s.Container) {
			return "", verdict.Problemf(ContainerUnknown, "rollout.container: there is no container %q in %s; there are %s", s.Container,
				aws.ToString(task.Family), strings.Join(names, ", "))
		}
		return s.Container, nil
	}
	both := slices.DeleteFunc(slices.Clone(same), func(name string) bool { return !slices.Contains(balanced, name) })
	for _, one := range [][]string{both, same, balanced, names} {
		if len(one) == 1 {
			return one[0], nil
		}
	}
	if essential := essentialOf(task, same); len(essential) == 1 {
		return essential[0], nil
	}
	return "", verdict.Problemf(ContainerUnknown, "%s has the containers %s, and more than one of them can be the one that runs %s",
		aws.ToString(task.Family), strings.Join(names, ", "), s.image.Written())
}

// ApplicationContainer finds the container that runs the application where its image is not known: the
// named one, the one behind the load balancer, the only one, or the only essential one.
func ApplicationContainer(task *ecs.RegisterTaskDefinitionInput, service *types.Service, name string) (string, *verdict.Problem) {
	s := &settings{Spec: spec.Spec{Container: name}}
	found, problem := s.chooseContainer(task, service)
	if problem == nil || name != "" {
		return found, problem
	}
	var all []string
	for _, c := range task.ContainerDefinitions {
		all = append(all, aws.ToString(c.Name))
	}
	if essential := essentialOf(task, all); len(essential) == 1 {
		return essential[0], nil
	}
	return "", verdict.Problemf(ContainerUnknown, "%s has the containers %s, and more than one of them can be the application; name it with "+
		"--container", aws.ToString(task.Family), strings.Join(all, ", "))
}

// essentialOf are those of the names whose container is essential.
func essentialOf(task *ecs.RegisterTaskDefinitionInput, names []string) []string {
	var all []string
	for _, c := range task.ContainerDefinitions {
		if (c.Essential == nil || *c.Essential) && slices.Contains(names, aws.ToString(c.Name)) {
			all = append(all, aws.ToString(c.Name))
		}
	}
	return all
}

// takeOver fills in what the estimate needs from the service as it is.
func (s *settings) takeOver(service *types.Service, task *ecs.RegisterTaskDefinitionInput) {
	s.strategy, s.Desired, s.PauseAt = rolling, int(service.DesiredCount), nil
	s.tuning.MinimumHealthyPercent, s.tuning.MaximumPercent = 100, 200
	s.Drain, s.StartPeriod = elbDrain, time.Duration(aws.ToInt32(service.HealthCheckGracePeriodSeconds))*time.Second
	for _, c := range task.ContainerDefinitions {
		if c.HealthCheck != nil {
			s.StartPeriod = max(s.StartPeriod, time.Duration(aws.ToInt32(c.HealthCheck.StartPeriod))*time.Second)
		}
		s.tuning.StopSeconds = max(s.tuning.StopSeconds, int(aws.ToInt32(c.StopTimeout)))
	}
	c := service.DeploymentConfiguration
	if c == nil {
		return
	}
	if known := strategy(strings.ToLower(string(c.Strategy))); known.shiftsTraffic() {
		s.strategy = known
	}
	s.BakeMinutes = int(aws.ToInt32(c.BakeTimeInMinutes))
	if c.MinimumHealthyPercent != nil {
		s.tuning.MinimumHealthyPercent = int(*c.MinimumHealthyPercent)
	}
	if c.MaximumPercent != nil {
		s.tuning.MaximumPercent = int(*c.MaximumPercent)
	}
	// The defaults are ECS's (API reference, CanaryConfiguration and LinearConfiguration).
	s.CanaryPercent, s.CanaryBakeMinutes, s.LinearStepPercent, s.LinearStepMinutes = 5, 10, 10, 6
	if c := c.CanaryConfiguration; c != nil {
		s.CanaryPercent, s.CanaryBakeMinutes = aws.ToFloat64(c.CanaryPercent), int(aws.ToInt32(c.CanaryBakeTimeInMinutes))
	}
	if c := c.LinearConfiguration; c != nil {
		s.LinearStepPercent, s.LinearStepMinutes = max(1, aws.ToFloat64(c.StepPercent)), int(aws.ToInt32(c.StepBakeTimeInMinutes))
	}
}

// elbDrain is the deregistration delay of a target group by default.
const elbDrain = 300 * time.Second

// checksHealth reports whether ECS can tell the health of a task by itself.
func checksHealth(task *ecs.RegisterTaskDefinitionInput) bool {
	return slices.ContainsFunc(task.ContainerDefinitions, func(c types.ContainerDefinition) bool {
		return c.HealthCheck != nil && (c.Essential == nil || *c.Essential)
	})
}

// noTrial is why a task outside of the service would prove nothing, or could not be started; empty
// if it can be tried.
func (s *settings) noTrial(service *types.Service) string {
	for _, d := range service.Deployments {
		switch {
		case d.ServiceConnectConfiguration != nil && d.ServiceConnectConfiguration.Enabled:
			return "the service uses Service Connect, which a task outside of it does not have"
		case len(d.VolumeConfigurations) > 0:
			return "the service gives each task a volume of its own"
		}
	}
	switch {
	case !onFargate(service):
		return "the service runs on container instances, which may have no room for one task more"
	case !s.Trial:
		return "rollout.trial is false"
	default:
		return ""
	}
}

func onFargate(service *types.Service) bool {
	if len(service.CapacityProviderStrategy) == 0 {
		return service.LaunchType == types.LaunchTypeFargate
	}
	return !slices.ContainsFunc(service.CapacityProviderStrategy, func(c types.CapacityProviderStrategyItem) bool {
		return !strings.HasPrefix(aws.ToString(c.CapacityProvider), "FARGATE")
	})
}

// adoptedTrial is the service's task, run once outside of it.
func (s *settings) adoptedTrial(service *types.Service, a *Adoption) *Trial {
	in := &ecs.RunTaskInput{
		Cluster: aws.String(s.names.cluster), TaskDefinition: aws.String(ARN("task-definition", s.names.family)), Count: aws.Int32(1),
		LaunchType: service.LaunchType, CapacityProviderStrategy: service.CapacityProviderStrategy, PlatformVersion: service.PlatformVersion,
		NetworkConfiguration: service.NetworkConfiguration, StartedBy: aws.String(startedBy("trial", s.names.service)),
		EnableECSManagedTags: true, Tags: ecsTags(s.ownership()),
	}
	if len(in.CapacityProviderStrategy) > 0 {
		in.LaunchType = "" // ECS takes one or the other
	}
	in.VolumeConfigurations = volumesOf(service)
	return &Trial{Task: in, Patience: s.trialPatience(), Off: a.TrialOff != "", Why: a.TrialOff, NoHealthCheck: a.NoHealthCheck}
}

// adoptedResources are those of the plan for a service of somebody else.
func (p *Plan) adoptedResources() []Resource {
	all := []Resource{{"ecs service", p.settings.names.service, []any{p.Service}}}
	if p.Adoption != nil {
		all = append(all, Resource{"task definition", aws.ToString(p.TaskDefinition.Family), []any{p.TaskDefinition}})
	}
	return all
}

// describeImages says which containers get the image.
func (a *Adoption) describeImages() string {
	return strings.Join(slices.Sorted(maps.Keys(a.Images)), ", ")
}

func size(task *ecs.RegisterTaskDefinitionInput) string {
	cpu, err := strconv.ParseFloat(aws.ToString(task.Cpu), 64)
	if err != nil {
		return "as its containers say"
	}
	return fmt.Sprintf("%s vCPU, %s MiB", strconv.FormatFloat(cpu/1024, 'f', -1, 64), aws.ToString(task.Memory))
}

package fakeaws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// atMost refuses to describe more than AWS does at once, and what names nothing.
func atMost(most int, names []string) error {
	if len(names) == 0 || len(names) > most {
		return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf("From 1 to %d can be described at once, not %d.", most, len(names)))}
	}
	return nil
}

func missing(arn string) types.Failure {
	return types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")}
}

// DescribeServices implements the call: what is missing is a failure of a successful answer.
func (e *ECS) DescribeServices(_ context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput,
	error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("DescribeServices"); err != nil {
		return nil, err
	}
	if err := atMost(10, in.Services); err != nil {
		return nil, err
	}
	out := &ecs.DescribeServicesOutput{}
	for _, name := range in.Services {
		s := e.find(aws.ToString(in.Cluster), name)
		switch {
		case s == nil && e.refusesMissing:
			return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
		case s == nil:
			out.Failures = append(out.Failures, missing(name))
		case s.stale != nil && e.clock.Now().Sub(s.updated) < e.lag:
			out.Services = append(out.Services, *s.stale)
		default:
			out.Services = append(out.Services, e.describe(s))
		}
	}
	if !slices.Contains(in.Include, types.ServiceFieldTags) {
		for n := range out.Services {
			out.Services[n].Tags = nil // "If this field is omitted, tags aren't included"
		}
	}
	return stamped(out, e.clock.Now()), nil
}

func (e *ECS) describe(s *service) types.Service {
	out := types.Service{
		ServiceName: aws.String(s.name), Status: aws.String(s.status), DesiredCount: s.desired,
		DeploymentConfiguration: s.config,
	}
	if n := len(s.order); n > 0 {
		out.CurrentServiceDeployment = aws.String(s.order[n-1].arn)
	} else if s.current != nil {
		// It is still named when its history has ended, after 90 days.
		out.CurrentServiceDeployment = aws.String(strings.Replace(s.current.arn, "service-revision", "service-deployment", 1))
	}
	out.Deployments = e.summaries(s)
	e.detail(s, &out)
	// The newest events come first.
	out.Events = slices.Clone(s.events)
	slices.Reverse(out.Events)
	if n := len(s.order); n > 0 && s.order[n-1].forward() {
		// It is what the service was last updated to, not what serves (API reference, Service);
		// rolling back updates it again.
		out.TaskDefinition = aws.String(s.order[n-1].target.taskDefinition)
	} else if s.current != nil {
		out.TaskDefinition = aws.String(s.current.taskDefinition)
	}
	if s.current != nil {
		out.CurrentServiceRevisions = []types.ServiceCurrentRevisionSummary{{Arn: aws.String(s.current.arn)}}
		out.RunningCount = s.running(s.current)
		if n := len(s.order); n > 0 && s.order[n-1].replacing() {
			out.RunningCount += s.running(s.order[n-1].target)
		}
	}
	return out
}

// summaries returns a service's deployments: the newest is PRIMARY, the one it replaces ACTIVE until it has ended.
func (e *ECS) summaries(s *service) []types.Deployment {
	var all []types.Deployment
	if n := len(s.order); n > 0 {
		d := s.order[n-1]
		primary := types.Deployment{Id: aws.String("ecs-svc/" + lastPart(d.arn)), Status: aws.String("PRIMARY"),
			TaskDefinition: aws.String(d.target.taskDefinition),
			CreatedAt:      aws.Time(d.created), DesiredCount: s.desired}
		if !d.ranOnce {
			primary.FailedTasks = d.unlaunched
		}
		all = append(all, primary)
		if !d.done() && d.source != nil {
			all = append(all, types.Deployment{Id: aws.String("ecs-svc/" + lastPart(d.source.arn)), Status: aws.String("ACTIVE"),
				TaskDefinition: aws.String(d.source.taskDefinition)})
		}
	}
	return all
}

// UpdateService starts a deployment for a task definition. A deployment in progress is stopped and replaced.
func (e *ECS) UpdateService(_ context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.enter("UpdateService")
	if err != nil && !isLostAnswer(err) {
		return nil, err
	}
	s := e.find(aws.ToString(in.Cluster), aws.ToString(in.Service))
	if s == nil {
		return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
	}
	if s.status != "ACTIVE" {
		return nil, &types.ServiceNotActiveException{Message: aws.String("Service was not ACTIVE.")}
	}
	if err := e.canRun(in.TaskDefinition); err != nil {
		return nil, err
	}
	if in.DesiredCount != nil {
		s.desired = *in.DesiredCount
	}
	if in.DeploymentConfiguration != nil {
		s.config = in.DeploymentConfiguration
	}
	e.keep(s, in)
	if in.TaskDefinition != nil || in.ForceNewDeployment {
		e.start(s, aws.ToString(in.TaskDefinition))
	}
	if err != nil {
		return nil, err
	}
	described := e.describe(s)
	return stamped(&ecs.UpdateServiceOutput{Service: &described}, e.clock.Now()), nil
}

// canRun refuses a task definition that is deregistered: it is INACTIVE, and "you can't use an INACTIVE
// task definition to run new tasks or create new services, and you can't update an existing service to
// reference" it (API reference, DeregisterTaskDefinition). Tests of deployments alone register none.
func (e *ECS) canRun(taskDefinition *string) error {
	if d := e.definition(aws.ToString(taskDefinition)); taskDefinition != nil && d != nil && d.Status != types.TaskDefinitionStatusActive {
		return &types.ClientException{Message: aws.String("TaskDefinition is inactive")}
	}
	return nil
}

// LostAnswer is an error after which the call was carried out all the same: the
// connection broke before the answer came.
type LostAnswer struct{}

// Error implements error.
func (LostAnswer) Error() string { return "connection reset by peer" }

func isLostAnswer(err error) bool { return errors.As(err, new(LostAnswer)) }

func (e *ECS) start(s *service, taskDefinition string) {
	now := e.clock.Now()
	s.touch(e, now)
	for _, d := range s.order {
		if !d.done() {
			d.status, d.finished, d.reason = types.ServiceDeploymentStatusStopped, now, "Replaced by a new service deployment"
			s.stopTasks(d.target, now)
		}
	}
	if taskDefinition == "" && s.current != nil {
		taskDefinition = s.current.taskDefinition
	}
	d := &deployment{
		arn: e.arn("service-deployment", s), service: s, source: s.current, target: e.newRevision(s, taskDefinition),
		created: now, since: now, seen: now, status: types.ServiceDeploymentStatusPending,
		weighed: -1,
	}
	if s.config != nil {
		d.config = *s.config
	}
	if a := d.config.Alarms; a != nil {
		for _, name := range a.AlarmNames {
			d.blindAlarms = d.blindAlarms || e.alarms[name]
		}
	}
	e.assign(d)
	s.order = append(s.order, d)
	e.deployments[d.arn] = d
}

// ListServiceDeployments lists 20 a page, or as many as are asked for up to 100. The order is
// documented nowhere, so the fake uses one that nobody could rely on.
func (e *ECS) ListServiceDeployments(_ context.Context, in *ecs.ListServiceDeploymentsInput,
	_ ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("ListServiceDeployments"); err != nil {
		return nil, err
	}
	s := e.find(aws.ToString(in.Cluster), aws.ToString(in.Service))
	if s == nil {
		return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
	}
	page := int(aws.ToInt32(in.MaxResults))
	if page > 100 {
		return nil, &types.InvalidParameterException{Message: aws.String("maxResults must be at most 100.")}
	}
	if page == 0 {
		page = 20
	}
	page = min(page, cmp.Or(e.pages, page))
	now := e.clock.Now()
	var all []types.ServiceDeploymentBrief
	for _, d := range s.order {
		if now.Sub(d.created) < e.lag || len(in.Status) > 0 && !slices.Contains(in.Status, d.status) {
			continue
		}
		if c := in.CreatedAt; c != nil && c.After != nil && !d.created.After(*c.After) {
			continue
		}
		brief := types.ServiceDeploymentBrief{
			ServiceDeploymentArn: aws.String(d.arn), TargetServiceRevisionArn: aws.String(d.target.arn),
			Status: d.status, CreatedAt: aws.Time(d.created), StatusReason: aws.String(d.reason),
		}
		if !d.finished.IsZero() {
			brief.FinishedAt = aws.Time(d.finished)
		}
		all = append(all, brief)
	}
	slices.SortFunc(all, func(a, b types.ServiceDeploymentBrief) int {
		return cmp.Compare(scattered(*a.ServiceDeploymentArn), scattered(*b.ServiceDeploymentArn))
	})
	from := len(aws.ToString(in.NextToken)) * page // a token is as long as pages were read
	out := &ecs.ListServiceDeploymentsOutput{}
	if from < len(all) {
		out.ServiceDeployments = all[from:min(from+page, len(all))]
	}
	if from+page < len(all) {
		out.NextToken = aws.String(aws.ToString(in.NextToken) + "n")
	}
	return stamped(out, e.clock.Now()), nil
}

// scattered is a number by which nothing is in the order in which it was made.
func scattered(text string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(text)) // it never fails
	return hash.Sum32()
}

// DescribeServiceDeployments describes deployments by ARN.
func (e *ECS) DescribeServiceDeployments(_ context.Context, in *ecs.DescribeServiceDeploymentsInput,
	_ ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("DescribeServiceDeployments"); err != nil {
		return nil, err
	}
	if err := atMost(20, in.ServiceDeploymentArns); err != nil {
		return nil, err
	}
	out := &ecs.DescribeServiceDeploymentsOutput{}
	for _, arn := range in.ServiceDeploymentArns {
		d := e.deployments[arn]
		if d == nil {
			out.Failures = append(out.Failures, missing(arn))
			continue
		}
		out.ServiceDeployments = append(out.ServiceDeployments, e.describeDeployment(d))
	}
	return stamped(out, e.clock.Now()), nil
}

func (e *ECS) describeDeployment(d *deployment) types.ServiceDeployment {
	out := types.ServiceDeployment{
		ServiceDeploymentArn: aws.String(d.arn), Status: d.status, LifecycleStage: types.ServiceDeploymentLifecycleStage(d.stage),
		CreatedAt: aws.Time(d.created), Rollback: d.rollback, DeploymentConfiguration: &d.config,
		TargetServiceRevision: &types.ServiceRevisionSummary{
			Arn: aws.String(d.target.arn), RequestedTaskCount: d.service.desired, RunningTaskCount: e.inRunning(d,
				e.clock.Now()), PendingTaskCount: d.service.running(d.target) - e.inRunning(d, e.clock.Now()),
			RequestedProductionTrafficWeight: aws.Float64(d.weight),
		},
	}
	if c := d.config.DeploymentCircuitBreaker; c != nil && c.Enable {
		out.DeploymentCircuitBreaker = &types.ServiceDeploymentCircuitBreaker{FailureCount: d.failures, Threshold: threshold(c),
			Status: types.ServiceDeploymentRollbackMonitorsStatusMonitoring}
		if d.broken {
			out.DeploymentCircuitBreaker.Status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
		}
	}
	out.LifecycleHookDetails = d.hookDetails(e.clock.Now(), e.lag)
	if d.pausing != "" {
		out.LifecycleStage = types.ServiceDeploymentLifecycleStage(d.pausing)
	}
	if d.source != nil {
		out.SourceServiceRevisions = []types.ServiceRevisionSummary{{
			Arn: aws.String(d.source.arn), RequestedTaskCount: d.service.desired, RunningTaskCount: d.service.running(d.source),
		}}
	}
	if d.reason != "" {
		out.StatusReason = aws.String(d.reason)
	}
	if !d.finished.IsZero() {
		out.FinishedAt = aws.Time(d.finished)
	}
	if len(d.triggered) > 0 {
		out.Alarms = &types.ServiceDeploymentAlarms{TriggeredAlarmNames: d.triggered}
	}
	return out
}

// DescribeServiceRevisions describes revisions by ARN.
func (e *ECS) DescribeServiceRevisions(_ context.Context, in *ecs.DescribeServiceRevisionsInput,
	_ ...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("DescribeServiceRevisions"); err != nil {
		return nil, err
	}
	if err := atMost(20, in.ServiceRevisionArns); err != nil {
		return nil, err
	}
	out := &ecs.DescribeServiceRevisionsOutput{}
	for _, arn := range in.ServiceRevisionArns {
		r := e.revisions[arn]
		if r == nil {
			out.Failures = append(out.Failures, missing(arn))
			continue
		}
		out.ServiceRevisions = append(out.ServiceRevisions, types.ServiceRevision{
			ServiceRevisionArn: aws.String(arn), TaskDefinition: aws.String(r.taskDefinition), ResolvedConfiguration: r.resolved(),
			ContainerImages: e.images(r.taskDefinition),
		})
	}
	return stamped(out, e.clock.Now()), nil
}

// StopServiceDeployment rolls a deployment back; without a revision that once completed
// there is nothing to go back to.
func (e *ECS) StopServiceDeployment(_ context.Context, in *ecs.StopServiceDeploymentInput,
	_ ...func(*ecs.Options)) (*ecs.StopServiceDeploymentOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("StopServiceDeployment"); err != nil {
		return nil, err
	}
	d := e.deployments[aws.ToString(in.ServiceDeploymentArn)]
	if d == nil {
		return nil, &types.ServiceDeploymentNotFoundException{Message: aws.String("no such deployment")}
	}
	if in.StopType != types.StopServiceDeploymentStopTypeRollback {
		return nil, &types.InvalidParameterException{Message: aws.String("stopType must be ROLLBACK")}
	}
	if d.done() || !e.undo(d, e.clock.Now(), "Stopped by the user", types.ServiceDeploymentStatusStopRequested) {
		return nil, &types.ConflictException{Message: aws.String("the deployment cannot be rolled back")}
	}
	return stamped(&ecs.StopServiceDeploymentOutput{ServiceDeploymentArn: in.ServiceDeploymentArn}, e.clock.Now()), nil
}

// ListTasks lists running or stopped tasks of a service, 100 a page; stopped ones vanish after an hour.
func (e *ECS) ListTasks(_ context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("ListTasks"); err != nil {
		return nil, err
	}
	if in.ServiceName == nil {
		return e.listAlone(in)
	}
	out := &ecs.ListTasksOutput{}
	s := e.find(aws.ToString(in.Cluster), aws.ToString(in.ServiceName))
	if s == nil {
		return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
	}
	for _, t := range s.tasks {
		stopped := !t.stopped.IsZero()
		if stopped == (in.DesiredStatus == types.DesiredStatusStopped) && (!stopped || e.clock.Now().Sub(t.stopped) < time.Hour) {
			out.TaskArns = append(out.TaskArns, t.arn)
		}
	}
	const page = 100
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	if from+page < len(out.TaskArns) {
		out.NextToken = aws.String(strconv.Itoa(from + page))
	}
	out.TaskArns = out.TaskArns[min(from, len(out.TaskArns)):min(from+page, len(out.TaskArns))]
	return stamped(out, e.clock.Now()), nil
}

package deployment

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// inspect reads why tasks stopped and what the service says. Not to be able to is no
// reason to give up following: it is said, and tried again.
func (f *follower) inspect(d *types.ServiceDeployment) {
	f.lookAtStopped()
	f.lookAtService()
	f.lookAtTargets(d)
}

// lookAtStopped counts the tasks of our version that failed, and keeps why. It asks for
// tasks that are to be stopped, which a failed one is long before it is.
func (f *follower) lookAtStopped() {
	tasks, err := f.ecs.tasks(f.ctx, f.Cluster, f.Service, types.DesiredStatusStopped, f.seenTasks)
	if err != nil {
		f.say("reasons of stopped tasks could not be read: %v", err)
	}
	before := f.failedTasks
	defer func() {
		if f.failedTasks > before {
			_ = f.tellLog() // which is tried again at the end, and then an error is told
		}
	}()
	for _, t := range tasks {
		f.seenTasks[aws.ToString(t.TaskArn)] = true
		if aws.ToString(t.TaskDefinitionArn) != f.TaskDefinition || !Failed(t) || aws.ToTime(t.CreatedAt).Before(f.started.Add(-appears)) {
			continue
		}
		text := Explain(t)
		if NoRoom(text) {
			f.seeNoRoom(text)
			continue
		}
		f.failedTasks++
		if created := aws.ToTime(t.CreatedAt); created.After(f.newestFailed) {
			f.newestFailed = created
		}
		f.failedTask = aws.ToString(t.TaskArn)
		f.fail(text)
	}
}

// lookAtService reads the service's new events, and how many tasks ECS could not launch.
func (f *follower) lookAtService() {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	if err != nil {
		f.say("events of the service could not be read: %v", err)
		return
	}
	for _, e := range service.Events {
		key := aws.ToString(e.Id)
		if f.seenEvents[key] || aws.ToTime(e.CreatedAt).Before(f.started) {
			continue
		}
		f.seenEvents[key] = true
		text := aws.ToString(e.Message)
		f.say("%s", text)
		switch {
		case NoRoom(text):
			f.seeNoRoom(text)
		case containsAny(text, "failed to launch", "unable to assume"):
			f.fail(WithRemedy(text)) // it leaves no stopped task that would say so
		}
	}
	f.seeRoom()
	f.unlaunchedBefore, f.unlaunched = f.unlaunched, 0
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" && aws.ToString(d.TaskDefinition) == f.TaskDefinition && !aws.ToTime(d.CreatedAt).Before(f.started.Add(-appears)) {
			f.unlaunched = int(d.FailedTasks)
		}
	}
}

// seeRoom forgets a lack of room when all tasks run, or have a place for some time: one
// that AWS cannot place is pending too, until AWS says so again.
func (f *follower) seeRoom() {
	placed := f.last.Running+f.pending >= f.last.Requested && f.clock.Now().Sub(f.noRoomAt) > placing
	if f.last.Requested > 0 && (placed || f.last.Running >= f.last.Requested) {
		f.noRoom = ""
	}
}

func (f *follower) seeNoRoom(text string) {
	if f.noRoomAt = f.clock.Now(); f.noRoom == "" {
		f.noRoomSince = f.noRoomAt
	}
	f.noRoom = text
	f.fail(text)
}

// fail keeps each reason once, however many tasks it ended.
func (f *follower) fail(text string) {
	for _, known := range f.outcome.Failures {
		if known == text {
			return
		}
	}
	f.outcome.Failures = append(f.outcome.Failures, text)
	f.say("task failed: %s", text)
}

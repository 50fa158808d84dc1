package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

const schema = 1

// keepRuns limits how many ended runs a state keeps.
const keepRuns = 30

// State is everything known about a service's rollouts. It is a single object, so that the lock and the run in progress are
// always consistent.
type State struct {
	Schema int `json:"schema"`
	// Token is the fencing token: it increases with each holder.
	Token int64 `json:"token"`
	// Holder is nil while nobody holds the lock.
	Holder *Holder `json:"holder,omitempty"`
	// Run is the run in progress, or an interrupted run; nil if there is neither.
	Run *Run `json:"run,omitempty"`
	// Ended are past runs, the newest last.
	Ended []Run `json:"ended,omitempty"`
}

// Holder is the run that holds the lock.
type Holder struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Until is when the lock expires unless it is renewed.
	Until time.Time `json:"until"`
}

// Kinds of runs.
const (
	Deploy   = "deploy"
	Rollback = "rollback"
	// Destroy ends the history before it: no rollback goes back further.
	Destroy = "destroy"
)

// Run is one rollout.
type Run struct {
	Token int64  `json:"token"`
	Kind  string `json:"kind"`
	By    string `json:"by"`
	// Image is by digest, ConfigHash that of the task definition.
	Image      string `json:"image"`
	ConfigHash string `json:"config_hash"`
	Commit     string `json:"commit,omitempty"`
	// Override is the reason to deploy an image to production that staging has not run.
	Override string `json:"override,omitempty"`
	// TaskDefinition is the new one, Previous the one before; both are ARNs.
	TaskDefinition string `json:"task_definition,omitempty"`
	Previous       string `json:"previous,omitempty"`
	// Deployment is the ARN of the service deployment.
	Deployment string    `json:"deployment,omitempty"`
	Started    time.Time `json:"started"`
	// Ended, Verdict, Code and Cause are the result.
	Ended   time.Time `json:"ended,omitzero"`
	Verdict string    `json:"verdict,omitempty"`
	Code    string    `json:"code,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	// Settings belong to the release: a rollback restores them.
	Settings *Settings `json:"settings,omitempty"`
	// Tasks are the one-off tasks of the run. Services and Before are, by service, the task definitions that it deployed and
	// the ones before. Only the journal of several services has them.
	Tasks    []Task            `json:"tasks,omitempty"`
	Services map[string]string `json:"services,omitempty"`
	Before   map[string]string `json:"before,omitempty"`
}

// Task is the record of a one-off task.
type Task struct {
	Name           string `json:"name"`
	TaskDefinition string `json:"task_definition"`
	// Attempt counts the launches, including one that was about to be made. It is part of the client token.
	Attempt int `json:"attempt"`
	// ARN is empty until ECS has confirmed a launch.
	ARN      string    `json:"arn,omitempty"`
	Launched time.Time `json:"launched,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	// ExitCode is nil if the command never ran or was stopped. Started is set for a task that ran and ended without an exit
	// code.
	ExitCode *int32 `json:"exit_code,omitempty"`
	Started  bool   `json:"started,omitempty"`
	TimedOut bool   `json:"timed_out,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Settings are what a release needs besides its task definition to be healthy.
type Settings struct {
	TargetGroups []*elb.CreateTargetGroupInput           `json:"target_groups"`
	Attributes   []*elb.ModifyTargetGroupAttributesInput `json:"attributes"`
	// GraceSeconds is the service's HealthCheckGracePeriodSeconds.
	GraceSeconds int32 `json:"grace_seconds"`
}

// Passed is the verdict of a successful run.
const Passed = "pass"

// LastGood returns the newest successful run with another task definition than current. It ignores releases that a rollback
// has replaced since. It returns nil if there is none.
func (s *State) LastGood(current string) *Run {
	left := map[string]bool{}
	for i := len(s.Ended) - 1; i >= 0; i-- {
		run := &s.Ended[i]
		if run.Verdict != Passed {
			continue
		}
		if run.Kind == Destroy {
			return nil // earlier task definitions are deregistered
		}
		if run.TaskDefinition != current && !left[run.TaskDefinition] {
			return run
		}
		if run.Kind == Rollback {
			left[run.Previous] = true
		}
	}
	return nil
}

// Left returns the task definitions that were rolled back and not deployed again.
func (s *State) Left() map[string]bool {
	left := map[string]bool{}
	for _, run := range s.Ended {
		switch {
		case run.Verdict != Passed:
		case run.Kind == Destroy:
			clear(left)
		case run.Kind == Rollback:
			left[run.Previous] = true
			delete(left, run.TaskDefinition)
		default:
			delete(left, run.TaskDefinition)
		}
	}
	return left
}

// Last returns the newest successful run, or nil.
func (s *State) Last() *Run {
	for i := len(s.Ended) - 1; i >= 0; i-- {
		if s.Ended[i].Verdict == Passed {
			return &s.Ended[i]
		}
	}
	return nil
}

func (s *State) end(run Run) {
	s.Run = nil
	s.Ended = append(s.Ended, run)
	if len(s.Ended) > keepRuns {
		s.Ended = s.Ended[len(s.Ended)-keepRuns:]
	}
}

func decode(content []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, errors.New("it is not JSON of a journal")
	}
	if s.Schema != schema {
		return nil, fmt.Errorf("its schema is %d, this program supports %d", s.Schema, schema)
	}
	return &s, nil
}

func encode(s *State) ([]byte, error) {
	s.Schema = schema
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode journal: %w", err)
	}
	return append(content, '\n'), nil
}

package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

const schema = 1

// keepRuns is how many ended runs a state remembers.
const keepRuns = 30

// State is all that is known of a service's rollouts. It is one object in the store, so
// that who holds the lock and what is under way can never disagree.
type State struct {
	Schema int `json:"schema"`
	// Token rises with each holder: the fencing token.
	Token int64 `json:"token"`
	// Holder is nil while nobody deploys.
	Holder *Holder `json:"holder,omitempty"`
	// Run is the rollout under way, or that of a run that ended without a word; nil for none.
	Run *Run `json:"run,omitempty"`
	// Ended are past rollouts, the newest last.
	Ended []Run `json:"ended,omitempty"`
}

// Holder is who deploys.
type Holder struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Until is when the lock ends unless it is renewed.
	Until time.Time `json:"until"`
}

// The kinds of runs.
const (
	Deploy   = "deploy"
	Rollback = "rollback"
	// Destroy is no rollout: it ends all that came before.
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
	// Override is why production took an image that staging has not run.
	Override string `json:"override,omitempty"`
	// TaskDefinition is what it is to run, Previous what ran before; ARNs.
	TaskDefinition string `json:"task_definition,omitempty"`
	Previous       string `json:"previous,omitempty"`
	// Deployment is the ARN of the service deployment.
	Deployment string    `json:"deployment,omitempty"`
	Started    time.Time `json:"started"`
	// Ended, Verdict, Code and Cause are those of the end.
	Ended   time.Time `json:"ended,omitzero"`
	Verdict string    `json:"verdict,omitempty"`
	Code    string    `json:"code,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	// Settings belong to the release: a rollback restores them.
	Settings *Settings `json:"settings,omitempty"`
}

// Settings are what a release needs around its task definition to be healthy.
type Settings struct {
	TargetGroups []*elb.CreateTargetGroupInput           `json:"target_groups"`
	Attributes   []*elb.ModifyTargetGroupAttributesInput `json:"attributes"`
	// GraceSeconds is the service's grace before the load balancer's opinion counts.
	GraceSeconds int32 `json:"grace_seconds"`
}

// Passed is the verdict of a run that ended well.
const Passed = "pass"

// LastGood is the newest run that ended well with another task definition than the one
// given and that no rollback has left since; nil when there is none.
func (s *State) LastGood(current string) *Run {
	left := map[string]bool{}
	for i := len(s.Ended) - 1; i >= 0; i-- {
		run := &s.Ended[i]
		if run.Verdict != Passed {
			continue
		}
		if run.Kind == Destroy {
			return nil // what ran before is deregistered
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

// Left are the task definitions that rollbacks have left and that nobody deployed again.
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

// Last is the newest run that ended well; nil when there is none.
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
		return nil, fmt.Errorf("its schema is %d, this program knows %d", s.Schema, schema)
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

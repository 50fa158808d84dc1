package spec

import (
	"cmp"
	"slices"
	"time"
)

// Service is a further service of the same image, deployed together with Spec.Service.
type Service struct {
	// Name is the service's on ECS.
	Name string
	// Container runs the image in a service of somebody else; found when empty.
	Container string
	// NoPort is true if it listens nowhere: it gets no load balancer. Command replaces the image's.
	NoPort  bool
	Command []string
	// CPU, Memory and Desired are those of the first service when 0. With Desired, the number of tasks is
	// that, and does not scale.
	CPU, Memory, Desired int
	// After names services that must have been deployed before this one; without them all go on together.
	After []string
}

// Task is a command of the new version's image that runs once before any service is touched. Its exit
// code must be 0.
type Task struct {
	Name    string
	Command []string
	// Service is the one whose task definition, network and roles it uses; Spec.Service when empty.
	Service string
	// Timeout is how long it may take; 0 means 10 minutes.
	Timeout time.Duration
}

// DefaultTaskTimeout is how long a task may take that does not say.
const DefaultTaskTimeout = 10 * time.Minute

// Together reports whether more than one service is deployed, so that they share one journal and end alike.
func (s Spec) Together() bool { return len(s.Services) > 0 || len(s.Tasks) > 0 }

// Each returns a specification for each service, the first being Spec.Service's. None of them has
// Services or Tasks. Further services get no smoke test, which only the first one's address answers.
func (s Spec) Each() []Spec {
	first := s
	first.Services, first.Tasks = nil, nil
	all := []Spec{first}
	for _, more := range s.Services {
		one := first
		one.Service, one.Container, one.Smoke, one.Analysis = more.Name, more.Container, "", nil
		one.TaskDefinition, one.Family = "", cmp.Or(more.Name, one.Family)
		one.WithoutEffect, one.Command, one.NoPort = nil, more.Command, more.NoPort
		one.CPU, one.Memory = cmp.Or(more.CPU, one.CPU), cmp.Or(more.Memory, one.Memory)
		if more.Desired > 0 {
			one.Desired, one.Min, one.Max = more.Desired, more.Desired, more.Desired
		}
		if more.NoPort {
			// Without traffic there is nothing to shift.
			one.Strategy, one.PauseAt = "rolling", nil
		}
		all = append(all, one)
	}
	return all
}

// NamesOf lists the services in order.
func (s Spec) NamesOf() []string {
	all := []string{s.Service}
	for _, more := range s.Services {
		all = append(all, more.Name)
	}
	return all
}

// Circle returns a service that waits for itself, by way of others or not; empty if there is none.
func (s Spec) Circle() string {
	after := map[string][]string{}
	for _, more := range s.Services {
		after[more.Name] = more.After
	}
	var reaches func(from, to string, seen []string) bool
	reaches = func(from, to string, seen []string) bool {
		for _, next := range after[from] {
			if next == to || !slices.Contains(seen, next) && reaches(next, to, append(seen, next)) {
				return true
			}
		}
		return false
	}
	for _, more := range s.Services {
		if reaches(more.Name, more.Name, nil) {
			return more.Name
		}
	}
	return ""
}

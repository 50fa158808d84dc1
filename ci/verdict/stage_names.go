package verdict

import "slices"

// The stages' names.
const (
	Test    = "test"
	Train   = "train"
	Audit   = "audit"
	Publish = "publish"
	Image   = "image"
	Scan    = "scan"
	Attest  = "attest"
	Deploy  = "deploy"
)

// pipeline lists the stages in their order, as far as policy, configuration and reports need
// them. What each of them does is in package pipeline; a test compares both lists.
var pipeline = []struct {
	name string
	// requires are the stages that must have passed first: a model is published only after its
	// tests and gates, an image pushed only with a published model, and only that image deployed.
	requires []string
	// held are stages that need not be part of the run, but must not have ended in anything else
	// than a pass if they were.
	held []string
	// effect is set for a stage that changes something outside of the run.
	effect bool
}{
	{name: Test},
	{name: Train},
	{name: Audit}, // only where it is configured
	{name: Publish, requires: []string{Test, Train}, held: []string{Audit}, effect: true},
	{name: Image, requires: []string{Publish}, effect: true},                      // it pushes
	{name: Scan, requires: []string{Image}},                                       // only where it is configured
	{name: Attest, requires: []string{Image}, held: []string{Scan}, effect: true}, // only where the call has a key
	{name: Deploy, requires: []string{Image}, held: []string{Scan, Attest}, effect: true},
}

// Stages lists the stages in the order of the pipeline.
func Stages() []string {
	names := make([]string, 0, len(pipeline))
	for _, stage := range pipeline {
		names = append(names, stage.name)
	}
	return names
}

// Requires lists the stages that must have passed before the given one may have its effect;
// none for an unknown name.
func Requires(name string) []string {
	for _, stage := range pipeline {
		if stage.name == name {
			return slices.Clone(stage.requires)
		}
	}
	return nil
}

// HeldBy lists the stages that hold the given one back when they ran in the same run and did not
// pass; none for an unknown name.
func HeldBy(name string) []string {
	for _, stage := range pipeline {
		if stage.name == name {
			return slices.Clone(stage.held)
		}
	}
	return nil
}

// Effectful reports whether a stage changes something outside of the run, so that only release
// branches may run it.
func Effectful(name string) bool {
	for _, stage := range pipeline {
		if stage.name == name {
			return stage.effect
		}
	}
	return false
}

// SafeStages need no credentials, change nothing outside of the run, and need no stage that does.
func SafeStages() []string {
	return slices.DeleteFunc(Stages(), func(stage string) bool {
		return Effectful(stage) || slices.ContainsFunc(Requires(stage), Effectful)
	})
}

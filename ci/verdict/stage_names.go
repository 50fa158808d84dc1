package verdict

import "slices"

// Names of the stages.
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

// pipeline lists the stages in order, with what policy, configuration and reports need to know. Package pipeline has their
// implementation; a test compares both lists.
var pipeline = []struct {
	name string
	// requires are the stages that must have passed first. A model is published only after its tests and gates, an image is
	// pushed only with a published model, and only a pushed image is deployed.
	requires []string
	// held are stages that may be missing from the run but must have passed if they ran.
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

// Requires returns the stages that must have passed before the given one may have an effect, or nil for an unknown name.
func Requires(name string) []string {
	for _, stage := range pipeline {
		if stage.name == name {
			return slices.Clone(stage.requires)
		}
	}
	return nil
}

// HeldBy returns the stages that block the given one if they ran in the same run and did not pass, or nil for an unknown
// name.
func HeldBy(name string) []string {
	for _, stage := range pipeline {
		if stage.name == name {
			return slices.Clone(stage.held)
		}
	}
	return nil
}

// Effectful reports whether a stage changes anything outside of the run. Only release branches may run such a stage.
func Effectful(name string) bool {
	for _, stage := range pipeline {
		if stage.name == name {
			return stage.effect
		}
	}
	return false
}

// SafeStages returns the stages that need no credentials, change nothing outside of the run, and require no stage that does.
func SafeStages() []string {
	return slices.DeleteFunc(Stages(), func(stage string) bool {
		return Effectful(stage) || slices.ContainsFunc(Requires(stage), Effectful)
	})
}

package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// globals are the flags that come before the function in a call of the Dagger module.
var globals = []string{"--environment", "--ref", "--commit", "--event", "--platform", "--release-branch"}

// functions are the module's names for commands that have another one there.
var functions = map[string]string{"pipeline": "run"}

// native are the arguments of the native command for a step.
func (s *scene) native(step Step, report string) []string {
	var args []string
	for _, arg := range step.Run {
		args = append(args, s.place(arg))
	}
	if !slices.Contains(args, "--source") {
		args = append(args, "--source", filepath.Join(s.work, "source"))
	}
	if !slices.Contains(args, "--report") {
		args = append(args, "--report", report)
	}
	return args
}

// engine are the arguments of dagger for the same: the call's own flags first, then the function with its own.
func (s *scene) engine(step Step, report string) []string {
	before := []string{"--progress=plain", "-m", s.Module, "call", "--source", filepath.Join(s.work, "source")}
	if !s.c.NoSecrets {
		before = append(before, "--aws-secret-access-key", "env:AWS_SECRET_ACCESS_KEY", "--aws-session-token", "env:AWS_SESSION_TOKEN",
			"--aws-access-key-id", "env:AWS_ACCESS_KEY_ID", "--mlflow-tracking-password", "env:MLFLOW_TRACKING_PASSWORD",
			"--mlflow-tracking-username", "env:MLFLOW_TRACKING_USERNAME")
	}
	function := step.Run[0]
	if other := functions[function]; other != "" {
		function = other
	}
	var after []string
	for i := 1; i < len(step.Run); i++ {
		name, _, joined := strings.Cut(step.Run[i], "=")
		switch {
		case !slices.Contains(globals, name):
			after = append(after, s.place(step.Run[i]))
		case joined || i+1 == len(step.Run):
			before = append(before, s.place(step.Run[i]))
		default:
			before = append(before, s.place(step.Run[i]), s.place(step.Run[i+1]))
			i++
		}
	}
	args := append(append(before, function), after...)
	return append(args, "report", "export", "--path", report)
}

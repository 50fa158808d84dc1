package runner

import (
	"regexp"
	"strings"
)

// Again is how the user of a runner calls a function of the pipeline once more: remedies are commands that work as they
// are printed, in the environment in which the step ran. The zero value is the command, in the root of the source.
type Again struct {
	// Engine means that the call was one of Dagger's.
	Engine bool
	// Source is --source of the command; empty or "." for the working directory.
	Source string
}

// Option is an option of a function, such as --path.
type Option struct{ Name, Value string }

// Command is what to type for a function, such as test. The output of its steps is shown too.
func (a Again) Command(function string, options ...Option) string {
	words := []string{"openstack-rca", function, "--verbose"}
	switch {
	case a.Engine:
		words = []string{"dagger", "call", "--source", ".", function}
	case a.Source != "" && a.Source != ".":
		words = append(words, "--source", Typed(a.Source))
	}
	for _, o := range options {
		value := o.Value
		if a.Engine && strings.ContainsAny(value, ",\"\n") {
			value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"` // Dagger reads a list as CSV
		}
		words = append(words, "--"+o.Name, Typed(value))
	}
	if a.Engine {
		words = append(words, "summary")
	}
	return strings.Join(words, " ")
}

// Init is what to type for a pipeline.yaml that is made from the source.
func (a Again) Init() string {
	switch {
	case a.Engine:
		return "dagger call --source . init files export --path ."
	case a.Source != "" && a.Source != ".":
		return "openstack-rca init --source " + Typed(a.Source)
	}
	return "openstack-rca init"
}

// Quote joins arguments so that a shell, and what splits by its rules, takes them as they are.
func Quote(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'"'"'`) + "'"
	}
	return strings.Join(quoted, " ")
}

// Typed is an argument as a user types it into a shell. The name of a test is the project's text:
// nothing in it may be run.
func Typed(arg string) string {
	switch {
	case plainArgument.MatchString(arg):
		return arg
	case strings.ContainsAny(arg, "\"$`\\!"):
		return Quote(arg)
	}
	return `"` + arg + `"`
}

var plainArgument = regexp.MustCompile(`^[A-Za-z0-9_./=-]+$`)

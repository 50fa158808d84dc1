package runner

import (
	"regexp"
	"strings"
)

// Again returns commands that call a function of the pipeline once more, in the environment in which the step ran, so that
// remedies work as printed. The zero value is for the command, run in the root of the source.
type Again struct {
	// Engine is set for a call through Dagger.
	Engine bool
	// Source is the command's --source; empty or "." means the working directory.
	Source string
}

// Option is an option of a function, such as --path.
type Option struct{ Name, Value string }

// Command returns what to type for a function, such as test, so that the output of its steps is shown too.
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
			value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"` // Dagger parses a list as CSV
		}
		words = append(words, "--"+o.Name, Typed(value))
	}
	if a.Engine {
		words = append(words, "summary")
	}
	return strings.Join(words, " ")
}

// Init returns what to type to create a pipeline.yaml from the source.
func (a Again) Init() string {
	switch {
	case a.Engine:
		return "dagger call --source . init files export --path ."
	case a.Source != "" && a.Source != ".":
		return "openstack-rca init --source " + Typed(a.Source)
	}
	return "openstack-rca init"
}

// Quote quotes and joins arguments for a shell, and for programs that split by a shell's rules.
func Quote(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'"'"'`) + "'"
	}
	return strings.Join(quoted, " ")
}

// Typed quotes an argument for a shell. A test's name comes from the project, so nothing in it may be executed.
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

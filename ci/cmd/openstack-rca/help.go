package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usual are the flags of every command that its help shows; the others are for servers, credentials and CI systems.
var usual = []string{"source", "environment", "ref", "report", "verbose"}

// examples are command lines, by command.
var examples = map[string][]string{
	"init":     {"init --check", "init --ci github"},
	"test":     {"test", "test --path tests/test_api.py --report report", "test --changed-since origin/main"},
	"train":    {"train --report report --model out", "train --param epochs=3"},
	"publish":  {"publish --environment staging --ref main --mlflow-tracking-uri https://mlflow.example.com"},
	"image":    {"image --report report"},
	"run":      {"run --report report", "run --environment staging --ref main --report report"},
	"plan":     {"plan", "plan --ref feature/x", "plan --environment staging --ref main --image repository@sha256:..."},
	"deploy":   {"deploy --environment staging --ref main --image repository@sha256:..."},
	"status":   {"status --environment staging --ref main"},
	"rollback": {"rollback --environment staging --ref main"},
	"audit":    {"audit --report report"},
	"doctor":   {"doctor", "doctor --environment staging --ref main"},
}

// helpful gives commands examples, and a help that begins with what is theirs, in lines of a width; 0 for any.
func helpful(root *cobra.Command, width int) {
	for _, c := range root.Commands() {
		var lines []string
		for _, line := range examples[c.Name()] {
			lines = append(lines, "  "+root.Name()+" "+line)
		}
		c.Example = strings.Join(lines, "\n")
	}
	root.Example = "  openstack-rca init\n  openstack-rca test\n  openstack-rca run --report report"
	root.SetFlagErrorFunc(plainFlagError)
	usage := root.UsageFunc()
	root.SetUsageFunc(func(c *cobra.Command) error {
		if c.Parent() != root || c.HasSubCommands() {
			return usage(c)
		}
		_, err := fmt.Fprint(c.OutOrStderr(), help(c, width))
		return err
	})
}

// numeral and boolean are how Go calls a text that is no number, or neither true nor false.
var (
	numeral = regexp.MustCompile(`strconv\.(?:Atoi|Parse(?:Int|Float|Uint)): parsing ".*": invalid syntax`)
	boolean = regexp.MustCompile(`strconv\.ParseBool: parsing ".*": invalid syntax`)
)

// plainFlagError is the error of a wrong flag, with the one that was probably meant.
func plainFlagError(c *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return errors.New(boolean.ReplaceAllString(numeral.ReplaceAllString(err.Error(), "not a number"), "neither true nor false"))
	}
	best, distance := "", 1+len(name)/3
	c.Flags().VisitAll(func(flag *pflag.Flag) {
		if n := levenshtein.ComputeDistance(strings.ToLower(name), flag.Name); n < distance {
			best, distance = flag.Name, n
		}
	})
	if best == "" {
		return fmt.Errorf("%w; %s --help lists them", err, c.CommandPath())
	}
	return fmt.Errorf("%w; did you mean --%s?", err, best)
}

// help is what a command says of its use.
func help(c *cobra.Command, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", c.UseLine())
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	fmt.Fprintf(&b, "\nFlags:\n%s", c.LocalFlags().FlagUsagesWrapped(width))
	first := pflag.NewFlagSet("", pflag.ContinueOnError)
	more := 0
	c.InheritedFlags().VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(usual, flag.Name) {
			first.AddFlag(flag)
		} else {
			more++
		}
	})
	fmt.Fprintf(&b, "\nFlags of every command:\n%s", first.FlagUsagesWrapped(width))
	fmt.Fprintf(&b, "  and %d more, for servers, credentials and CI systems: %s --help\n", more, c.Root().Name())
	b.WriteString("\nExit codes: 0 for a pass, 1 for every other verdict, 2 for a wrong call")
	if c.Name() == "plan" {
		b.WriteString(", 3 for changes with --detailed-exitcode")
	}
	b.WriteString("\n")
	return b.String()
}

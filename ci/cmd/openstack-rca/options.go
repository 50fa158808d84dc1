package main

import (
	_ "embed" // the module's options
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// optionsJSON is what the module's functions say of their parameters, by "function parameter". The comment there is
// the home of an option: go test -update writes this file from it, and the flags and docs/commands.md are made from
// this file.
//
//go:embed options.json
var optionsJSON []byte

// options are those of optionsJSON.
var options = func() (all map[string]option) {
	if err := json.Unmarshal(optionsJSON, &all); err != nil {
		panic(fmt.Sprintf("options.json: %v", err))
	}
	return all
}()

// option is a parameter of a function of the module.
type option struct {
	Help string `json:"help"`
	// Default is in JSON, as in the pragma +default; none when empty.
	Default json.RawMessage `json:"default,omitempty"`
	// Values are those of a closed set; nil for an open one.
	Values []string `json:"values,omitempty"`
}

// differences are what the command does in another way than the module: a part of the help, and what stands there
// instead. An empty part is its end.
var differences = map[string][2]string{
	"source":             {" Without it, the example application that comes with this module."},
	"ref":                {"it is main when empty", "it is the checked-out branch when empty"},
	"commit":             {"", "The checkout's when empty and nothing is modified."},
	"state":              {": the result's state is the new one"},
	"base":               {" Needs --git."},
	"changed-since":      {" Needs --git."},
	"region":             {"rollout.region when empty", "AWS_REGION, or rollout.region, when empty"},
	"aws-default-region": {"pipeline.yaml's when empty", "AWS_DEFAULT_REGION, then pipeline.yaml's, when empty"},
	"advisories":         {"", "It may be a directory, too."},
	"sign-kms":           {"", "When empty, the private key in the variable ATTEST_KEY signs."},
	"sign-services":      {"", "The token is in the variable SIGSTORE_ID_TOKEN."},
}

// variables are those of the environment that stand for a flag which is not given.
var variables = map[string]string{
	"mlflow-tracking-uri": "MLFLOW_TRACKING_URI", "mlflow-artifact-root": "MLFLOW_ARTIFACT_ROOT",
	"mlflow-s3-endpoint-url": "MLFLOW_S3_ENDPOINT_URL",
	"aws-endpoint-url":       "AWS_ENDPOINT_URL", "aws-web-identity-role": "AWS_ROLE_ARN",
}

// to are the variables that flags set, by the flags' names.
type to map[string]any

// whole is a list of values that are not split at commas.
type whole []string

// bind adds flags to a command: parameters of the module's function of that name.
func bind(command *cobra.Command, function string, values to) *cobra.Command {
	addFlags(command.Flags(), function, values)
	return command
}

// addFlags adds flags with the help and the default of the function's parameters. Without a default in the module,
// it is what the variable holds.
func addFlags(flags *pflag.FlagSet, function string, values to) {
	for name, value := range values {
		o, found := options[strings.TrimSpace(function+" "+name)]
		if !found {
			panic(fmt.Sprintf("function %q of the module has no --%s", function, name))
		}
		if skipped, is := value.(**int); is {
			flags.Func(name, o.help(name), func(text string) error {
				n, err := strconv.Atoi(text)
				if err == nil && n >= 0 {
					*skipped = &n
				}
				return err
			})
			continue
		}
		if len(o.Default) > 0 {
			if err := json.Unmarshal(o.Default, value); err != nil {
				panic(fmt.Sprintf("default of --%s: %v", name, err))
			}
		}
		switch v := value.(type) {
		case *string:
			flags.StringVar(v, name, *v, o.help(name))
		case *bool:
			flags.BoolVar(v, name, *v, o.help(name))
		case *int:
			flags.IntVar(v, name, *v, o.help(name))
		case *float64:
			flags.Float64Var(v, name, *v, o.help(name))
		case *[]int:
			flags.IntSliceVar(v, name, *v, o.help(name))
		case *[]string:
			flags.StringSliceVar(v, name, *v, o.help(name))
		case *whole:
			flags.StringArrayVar((*[]string)(v), name, *v, o.help(name))
		default:
			panic(fmt.Sprintf("--%s cannot be a %T", name, value))
		}
	}
}

// help is the text of a flag of the command.
func (o option) help(name string) string {
	text := o.Help
	if different := differences[name]; different[0] != "" {
		text = strings.Replace(text, different[0], different[1], 1)
	} else if different[1] != "" {
		text += " " + different[1]
	}
	if len(o.Values) > 0 {
		text += " One of " + strings.Join(o.Values, ", ") + "."
	}
	if variable := variables[name]; variable != "" {
		text += " " + variable + " when empty."
	}
	for _, secret := range secretFlags {
		if secret.flag == name {
			text += " As env://NAME or file://PATH; " + secret.variable + " when empty."
		}
	}
	return text
}

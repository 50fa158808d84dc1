package image

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// judgeConfig judges the image's configuration as the registry has it.
func (i inspector) judgeConfig(c *candidate) []*verdict.Problem {
	var problems []*verdict.Problem
	want, config := i.in.Config.Image, c.config.Config

	user, _, _ := strings.Cut(config.User, ":")
	id, err := strconv.Atoi(user)
	root := err != nil || id == 0
	i.stage.Gate("user", config.User, "a number above 0", !root)
	if root {
		problems = append(problems, verdict.Problemf(CodeRoot, "the image's user is %q", config.User))
	}
	port := fmt.Sprintf("%d/tcp", want.Port)
	_, exposed := config.ExposedPorts[port]
	i.stage.Gate("exposed port", strings.Join(slices.Sorted(maps.Keys(config.ExposedPorts)), ", "), port, exposed)
	if !exposed {
		problems = append(problems, verdict.Problemf(CodePort, "%s is not among the exposed ports (%s)",
			port, strings.Join(slices.Sorted(maps.Keys(config.ExposedPorts)), ", ")))
	}
	if config.Healthcheck == nil || len(config.Healthcheck.Test) < 2 {
		problems = append(problems, verdict.Problemf(CodeNoHealthcheck, "the image declares none"))
	}
	if got := config.Labels[LabelModelSHA256]; got != i.in.Model.SHA256 {
		problems = append(problems, verdict.Problemf(CodeModelMismatch, "the image is labelled with model sha256 %q, the gated model has %s",
			got, i.in.Model.SHA256))
	}
	platform := c.config.OS + "/" + c.config.Architecture
	i.stage.Add("platform", platform)
	if problem := i.judgePlatform("the image", platform); problem != nil {
		problems = append(problems, problem)
	}
	problems = append(problems, secretsIn(c.config)...)

	i.stage.Add("layers", strconv.Itoa(len(c.layers)))
	size := megabytes(c.size)
	i.stage.Measure(verdict.MeasureImage, "", float64(c.size), nil)
	if want.MaxMegabytes <= 0 {
		i.stage.Add("compressed size", size+" MB")
		return problems
	}
	fits := c.size <= int64(want.MaxMegabytes)*1_000_000
	i.stage.Gate("compressed size", size+" MB", fmt.Sprintf("<= %d MB", want.MaxMegabytes), fits)
	if !fits {
		problems = append(problems, verdict.Problemf(CodeTooLarge, "%s MB of compressed layers, at most %d", size, want.MaxMegabytes))
	}
	return problems
}

// secretsIn searches the parts of the configuration that everyone who can pull the image can
// read.
func secretsIn(config *v1.ConfigFile) []*verdict.Problem {
	var problems []*verdict.Problem
	for _, entry := range config.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		if why := looksSecret(name, value); why != "" {
			problems = append(problems, verdict.Problemf(CodeSecret, "the environment variable %s %s", name, why))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(config.Config.Labels)) {
		if safetext.IsCredential(config.Config.Labels[name]) {
			problems = append(problems, verdict.Problemf(CodeSecret, "the label %s has a value in the form of a credential", name))
		}
	}
	for i, step := range config.History {
		if safetext.IsCredential(step.CreatedBy + " " + step.Comment) {
			problems = append(problems, verdict.Problemf(CodeSecret, "step %d of the history shows what has the form of a credential", i+1))
		}
	}
	return problems
}

func megabytes(bytes int64) string { return strconv.FormatFloat(float64(bytes)/1e6, 'f', 1, 64) }

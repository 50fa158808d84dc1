package refused

import (
	_ "embed" // sitecustomize.py
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

//go:embed sitecustomize.py
var watcher []byte

// watchDir holds the script in the step's working directory.
const watchDir = ".openstack-rca-network"

// Own reports whether a line of a step's output is the script's and not the program's.
func Own(line string) bool { return strings.HasPrefix(line, "openstack-rca: no network, ") }

// Watch returns a step that has no network, and whose Python names the hosts that it asks
// for, in lines that Hosts reads. A step with a network is returned as it is.
func Watch(r runner.Runner, step runner.Step) runner.Step {
	if !step.Offline {
		return step
	}
	step.Inputs = append(slices.Clone(step.Inputs),
		runner.Mount{Path: watchDir, Files: r.NewFiles(map[string][]byte{"sitecustomize.py": watcher})})
	step.PythonPath = append([]string{watchDir}, step.PythonPath...)
	return step
}

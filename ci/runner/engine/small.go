package engine

import (
	"errors"
	"sort"
	"strconv"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// place puts a step's inputs into its working directory.
func (r *Runner) place(ctr *dagger.Container, inputs []runner.Mount) (*dagger.Container, error) {
	tree := r.client.Directory()
	for _, input := range inputs {
		dir, err := r.Directory(input.Files)
		if err != nil {
			return nil, err
		}
		tree = tree.WithDirectory(input.Path, dir)
	}
	// A mount, not a copy: it costs nothing and the command may write to it.
	return ctr.WithMountedDirectory(Workdir, tree).WithWorkdir(Workdir), nil
}

// Workdir is the working directory of steps and services.
const Workdir = "/src"

// WithoutTrustUpdate takes the command away that rebuilds a container's certificate store.
//
// An engine that has certificates of its own, as behind a company's proxy, puts them into
// every container and takes them out again, with this command when there is one: a second
// of processor time on either end. Without it the engine appends them to the bundle, which
// is what everything here reads: SystemCAs. Not for containers that install packages of the
// distribution, whose own scripts may want the command.
func WithoutTrustUpdate(ctr *dagger.Container) *dagger.Container {
	return ctr.WithoutFile("/usr/sbin/update-ca-certificates")
}

// sortedKeys gives a stable order: it becomes part of a query and so of a cache key.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func itoa(n int) string { return strconv.Itoa(n) }

// tail keeps the last n bytes of text.
func tail(text string, n int) string {
	if len(text) > n {
		return text[len(text)-n:]
	}
	return text
}

// execOutput is what a failed command of the engine printed.
func execOutput(err error) string {
	var exec *dagger.ExecError
	if errors.As(err, &exec) {
		return tail(exec.Stdout+exec.Stderr, 8<<10)
	}
	return ""
}

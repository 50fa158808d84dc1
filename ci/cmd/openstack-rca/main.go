// Command openstack-rca runs the pipeline's stages as processes on this host: for
// machines without a Dagger engine, and for debugging one stage. The Dagger module
// at the root of this repository is the same pipeline in containers, with the image
// stage that this command lacks.
//
// Exit codes: 0 the verdict is pass, 1 it is not or its report could not be written, 2 the
// command line is wrong, 3 a plan with --detailed-exitcode would change something.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	_ "github.com/openstack-rca/openstack-rca/ci/awscall/machine" // profiles and default credentials
)

func main() {
	if err := hideEnvironment(); err != nil {
		fmt.Fprintf(os.Stderr, "openstack-rca: the steps of this run can read its environment: %v\n", err)
	}
	ctx, stop := interruptible(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errVerdict is a failure that the run's own output has already explained.
var errVerdict = errors.New("the verdict is not pass")

// errChanged is a plan that would change something; the output shows what.
var errChanged = errors.New("the plan changes something")

func execute(ctx context.Context, args []string, stdout, stderr *os.File) int {
	command := newCommand(stdout, stderr) //nolint:contextcheck // commands take the context of the execution
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errVerdict):
		return 1
	case errors.Is(err, errChanged):
		return 3
	}
	_, _ = fmt.Fprintln(stderr, "openstack-rca: "+err.Error())
	return 2
}

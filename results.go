package main

import (
	"crypto/rand"
	"errors"

	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// A function that returned an error could return nothing else, so the verdict of every
// object here is a value, and enforce makes it an error. What can be read is a field
// and not a function: the engine answers a field without starting the module again. The
// field Json is not called JSON because `dagger call` would then show it as j-son.

// enforce is the error of a verdict; an empty failure is a pass.
func enforce(failure string) error {
	if failure == "" {
		return nil
	}
	return errors.New(failure)
}

// forSession is a directory that keeps the result that holds it from being remembered: the engine never answers a
// later session with what depends on a secret that a function made, and each such secret here has a name of its own.
// Only a pass may be remembered. What failed or could not run is tried again by the next call.
func forSession(dir *dagger.Directory) *dagger.Directory {
	once := dag.SetSecret("session-"+rand.Text(), "this session")
	return dag.Container().WithSecretVariable("SESSION", once).WithDirectory("/report", dir).Directory("/report")
}

package main

import "errors"

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

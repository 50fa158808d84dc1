//go:build !linux

package native

// unmountBelow does nothing where steps cannot mount anything without asking.
func unmountBelow(string) ([]string, error) { return nil, nil }

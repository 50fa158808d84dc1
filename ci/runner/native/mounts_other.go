//go:build !linux

package native

// unmountBelow does nothing on systems where steps cannot mount anything unprivileged.
func unmountBelow(string) ([]string, error) { return nil, nil }

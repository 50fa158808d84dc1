//go:build !linux

package native

// adopt does nothing where a process cannot be made the parent of orphans.
func adopt() {}

func endOrphans() {}

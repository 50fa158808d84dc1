//go:build linux || darwin

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// columns is the width of a terminal; 0 when the file is not a terminal.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80 // a terminal that does not say
	}
	return int(size.Col)
}

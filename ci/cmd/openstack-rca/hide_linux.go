package main

import "syscall"

// protectMemory keeps other processes of the user, but for those of root, from looking into
// the memory and the descriptors of this one, and the system from writing its memory to a file.
func protectMemory() {
	// PR_SET_DUMPABLE. It cannot fail with this value.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
}

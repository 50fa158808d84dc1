package main

import "syscall"

// protectMemory keeps other processes of the user, except those of root, from reading the memory
// and the descriptors of this one, and the system from writing a core dump.
func protectMemory() {
	// PR_SET_DUMPABLE. It cannot fail with this value.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
}

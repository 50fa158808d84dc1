//go:build !linux

package main

// protectMemory does nothing where there is no such protection.
func protectMemory() {}

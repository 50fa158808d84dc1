//go:build !linux

package main

// protectMemory does nothing: other systems have no such protection.
func protectMemory() {}

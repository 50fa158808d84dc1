// Package reachable skips tests that need what this machine does not have, and says
// what is missing.
package reachable

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Root is the root of the repository: the folder above the test's own that has the go.mod.
// What the compiler knows of paths is not it when -trimpath is set.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic("a test without a working directory: " + err.Error())
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

var engine = sync.OnceValue(func() string {
	out, err := exec.Command(filepath.Join(Root(), "scripts", "engine-reachable")).CombinedOutput()
	if err == nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})

// Engine skips the test unless a Dagger engine answers.
func Engine(t testing.TB) {
	t.Helper()
	if reason := engine(); reason != "" {
		t.Skip("no Dagger engine: " + reason)
	}
}

var python = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return "python3 with venv is not installed"
	}
	if version := strings.TrimSpace(string(out)); version < "3.10" || len(version) < 4 {
		return "python3 is " + version + ", at least 3.10 is needed"
	}
	return ""
})

// Python skips the test unless python3, 3.10 or later, can make environments.
func Python(t testing.TB) {
	t.Helper()
	if reason := python(); reason != "" {
		t.Skip("no Python: " + reason)
	}
}

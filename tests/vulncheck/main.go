// Command vulncheck runs govulncheck on the product's packages and judges what it finds.
//
// govulncheck can only pass or fail as a whole. This command keeps an allow-list beside it: an advisory that cannot be
// fixed here yet has an entry with a reason and an end, and after the end it fails again. Advisories of the Go toolchain are
// reported and never fail: users compile the module with the Go of their engine, not with ours.
//
//	go run ./tests/vulncheck [PACKAGE...]    (default ./ci/...)
//
// The exit code is 0 when nothing reachable is left, 1 when something is, and 2 when the check could not be made.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The versions are in scripts/tools/go.mod. A newer database may need a newer govulncheck.
const (
	tools    = "-modfile=scripts/tools/go.mod"
	database = "golang.org/x/vulndb"
)

// stale is the age of the advisories above which the check warns: newer advisories are not known to it.
const stale = 90 * 24 * time.Hour

//go:embed allowed.json
var allowList []byte

func main() {
	packages := os.Args[1:]
	if len(packages) == 0 {
		packages = []string{"./ci/..."}
	}
	report, captured, err := check(packages, time.Now())
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck: could not look:", err)
		os.Exit(2)
	}
	fmt.Print(report)
	if age := time.Since(captured); age > stale {
		fmt.Printf("  warning: the advisories are %d days old; update %s in scripts/tools/go.mod\n", int(age.Hours()/24), database)
	}
	if !report.Passed() {
		os.Exit(1)
	}
}

// Captured returns when the advisories of a pseudo-version of the database were published. The index itself has no date: indexdb
// writes the zero time when it is given files instead of a repository.
func Captured(version string) (time.Time, error) {
	parts := strings.Split(version, "-")
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("%s is no pseudo-version with a date", version)
	}
	return time.Parse("20060102150405", parts[1])
}

func check(packages []string, now time.Time) (report Report, captured time.Time, err error) {
	allowed, err := ParseAllowed(allowList)
	if err != nil {
		return Report{}, captured, fmt.Errorf("read the allow-list: %w", err)
	}
	db, version, err := indexed()
	if err != nil {
		return Report{}, captured, err
	}
	if captured, err = Captured(version); err != nil {
		return Report{}, captured, err
	}
	args := append([]string{"tool", tools, "govulncheck", "-db", "file://" + db, "-format", "json"}, packages...)
	out, err := run(args...)
	if err != nil {
		return Report{}, captured, fmt.Errorf("run govulncheck: %w", err)
	}
	report, err = Judge(bytes.NewReader(out), allowed, now)
	return report, captured, err
}

// indexed returns a folder with the database in the layout that govulncheck reads, and the database's version. The folder is
// made once per version.
func indexed() (dir, version string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", fmt.Errorf("find the cache directory: %w", err)
	}
	out, err := run("mod", "download", tools, "-json", database)
	if err != nil {
		return "", "", fmt.Errorf("download the advisory database: %w", err)
	}
	var module struct{ Dir, Version string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", "", fmt.Errorf("read the answer of go mod download: %w", err)
	}
	dir, version = filepath.Join(cache, "openstack-rca", "vulndb-"+module.Version), module.Version
	if _, err := os.Stat(filepath.Join(dir, "index", "db.json")); err == nil {
		return dir, version, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", "", fmt.Errorf("create the cache directory: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "vulndb-partial-")
	if err != nil {
		return "", "", fmt.Errorf("create a folder for the index: %w", err)
	}
	defer func() { _ = os.RemoveAll(partial) }()
	if _, err := run("tool", tools, "indexdb", "-out", partial, "-vulns", filepath.Join(module.Dir, "data", "osv")); err != nil {
		return "", "", fmt.Errorf("index the advisory database: %w", err)
	}
	// Another run may have finished first; its index is the same.
	if err := os.Rename(partial, dir); err != nil {
		if _, found := os.Stat(filepath.Join(dir, "index", "db.json")); found != nil {
			return "", "", fmt.Errorf("keep the index: %w", err)
		}
	}
	return dir, version, nil
}

func run(args ...string) ([]byte, error) {
	command := exec.CommandContext(context.Background(), "go", args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

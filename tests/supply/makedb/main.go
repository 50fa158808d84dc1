// Command makedb makes a database of Grype, version 6, from records in the forms that Grype's
// providers have: makedb CAPTURED PROVIDERS OUT. PROVIDERS has a directory for each provider with
// results/*.json; CAPTURED is when their data were collected.
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/OneOfOne/xxhash"
	"github.com/anchore/grype/grype/db"
	"github.com/anchore/grype/grype/db/provider"
)

const metadata = `{"provider": %q, "urls": ["https://example.invalid"], "store": "flat-file", "timestamp": %q, "version": %d,
"distribution_version": 1, "processor": "makedb", "stale": false,
"listing": {"digest": %q, "path": "checksums", "algorithm": "xxh64"},
"schema": {"version": "1.0.3", "url": "https://raw.githubusercontent.com/anchore/vunnel/main/schema/provider-workspace-state/schema-1.0.3.json"}}`

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(captured, providers, out string) error {
	dirs, err := os.ReadDir(providers)
	if err != nil {
		return err
	}
	var states provider.States
	for _, dir := range dirs {
		state, err := prepare(filepath.Join(providers, dir.Name()), dir.Name(), captured)
		if err != nil {
			return err
		}
		states = append(states, *state)
	}
	if err := db.Build(db.BuildConfig{
		SchemaVersion: 6, Directory: out, States: states, Timestamp: time.Now(), IncludeCPEParts: []string{"a"}, Hydrate: true, BatchSize: 100,
	}); err != nil {
		return err
	}
	return db.Package(out, "", "tar.gz", nil)
}

// prepare writes what a provider of Grype leaves beside its results.
func prepare(dir, name, captured string) (*provider.State, error) {
	files, err := filepath.Glob(filepath.Join(dir, "results", "*.json"))
	if err != nil {
		return nil, err
	}
	var sums bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&sums, "%s  results/%s\n", sum(content), filepath.Base(file))
	}
	if err := os.WriteFile(filepath.Join(dir, "checksums"), sums.Bytes(), 0o600); err != nil {
		return nil, err
	}
	version := 1
	if name == "github" {
		version = 2
	}
	file := filepath.Join(dir, "metadata.json")
	text := fmt.Sprintf(metadata, name, captured, version, sum(sums.Bytes()))
	if err := os.WriteFile(file, []byte(strings.TrimSpace(text)), 0o600); err != nil {
		return nil, err
	}
	return provider.ReadState(file)
}

func sum(content []byte) string {
	h := xxhash.New64()
	_, _ = h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

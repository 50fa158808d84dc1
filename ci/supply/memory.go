package supply

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Memory caches reports of programs between runs. It must be in a place where no step of the source can write. It may lose
// entries.
type Memory interface {
	// Recall returns the entry for a key, or nil.
	Recall(ctx context.Context, key string) []byte
	// Keep stores entries by key.
	Keep(ctx context.Context, found map[string][]byte) error
}

// memoryFormat is part of every key. Change it with the format of entries; a change of their meaning is covered by this
// program's digest in the key.
const memoryFormat = 1

// Limits of an entry, of a Grype report in it, and of its unpacked size.
const (
	maxEntry    = 8 << 20
	maxReport   = 32 << 20
	maxUnpacked = 1 << 30
)

// kept is an entry: reports of programs, never conclusions. Ages, exceptions and severities are judged anew in every run.
type kept[T any] struct {
	Seen  time.Time
	Found T
}

// seal encodes an entry for a key.
func seal(key string, entry any) ([]byte, error) {
	var packed bytes.Buffer
	to := gzip.NewWriter(&packed)
	if err := errors.Join(gob.NewEncoder(to).Encode(entry), to.Close()); err != nil {
		return nil, fmt.Errorf("keep what was found: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	if len(text) > maxEntry {
		return nil, nil
	}
	return []byte(checksum(key, text) + text), nil
}

// checksum returns the checksum of an entry under its key, in hex.
func checksum(key, text string) string {
	sum := sha256.Sum256([]byte(key + text))
	return hex.EncodeToString(sum[:])
}

// unseal decodes an entry. It returns false if the entry was modified or stored under another key.
func unseal(key string, content []byte, entry any) bool {
	n := hex.EncodedLen(sha256.Size)
	if len(content) < n || len(content) > maxEntry+n || checksum(key, string(content[n:])) != string(content[:n]) {
		return false
	}
	packed, err := base64.StdEncoding.DecodeString(string(content[n:]))
	if err != nil {
		return false
	}
	from, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false
	}
	return gob.NewDecoder(io.LimitReader(from, maxUnpacked)).Decode(entry) == nil
}

// recalled returns a plausible entry of an earlier run.
func recalled[T any](ctx context.Context, a *audit, key string, credible func(T) bool) (found T, ok bool) {
	if a.Memory == nil || key == "" {
		return found, false
	}
	var entry kept[T]
	content := a.Memory.Recall(ctx, key)
	if content == nil || !unseal(key, content, &entry) || entry.Seen.IsZero() || entry.Seen.After(a.Now) || !credible(entry.Found) {
		return found, false
	}
	a.recalls = append(a.recalls, entry.Seen)
	return entry.Found, true
}

// keep notes an entry for remember.
func keep[T any](a *audit, key string, found T) {
	if a.Memory != nil && key != "" {
		a.notes = append(a.notes, note{key, kept[T]{a.Now.UTC(), found}})
	}
}

// note is an entry that waits for the verdict.
type note struct {
	key   string
	entry any
}

// remember stores the noted entries, unless something could not be examined. Failing to store costs the next run time and
// nothing else.
func (a *audit) remember(ctx context.Context, stage *verdict.Stage) *verdict.Stage {
	if len(a.recalls) > 0 {
		first := slices.MinFunc(a.recalls, time.Time.Compare)
		stage.Add("reports of programs", "of an earlier run with the same input and programs, on "+first.Format("2006-01-02 15:04:05 UTC"))
	}
	unseen := func(p *verdict.Problem) bool { return p.Code.Outcome != verdict.Fail }
	if len(a.notes) == 0 || slices.ContainsFunc(a.problems, unseen) {
		return stage
	}
	found := map[string][]byte{}
	for _, n := range a.notes {
		content, err := seal(n.key, n.entry)
		if err != nil {
			stage.Add("not kept for the next run", err.Error())
			return stage
		}
		if content != nil {
			found[n.key] = content
		}
	}
	if err := a.Memory.Keep(ctx, found); err != nil {
		stage.Add("not kept for the next run", err.Error())
	}
	return stage
}

// layersSeen are the findings in the layers of an image.
type layersSeen struct {
	Sorted sorted
	// Reports are Gitleaks' reports for each part, including planted secrets.
	Reports [][]secrets.Finding
}

// imageSeen is everything found in an image that does not depend on advisories.
type imageSeen struct {
	BOM, SPDX []byte
	Layers    layersSeen
}

// credible reports whether an entry is one that this program would store: a complete examination.
func (s imageSeen) credible(digest string) bool {
	var found material
	if json.Unmarshal(s.BOM, &found) != nil || found.Metadata.Component.Version != digest || !json.Valid(s.SPDX) {
		return false
	}
	for _, report := range s.Layers.Reports {
		if _, seen := ofSource(report, copies{}); !seen {
			return false
		}
	}
	return len(s.Layers.Reports) > 0
}

// imageKey returns the key for the findings in an image. It is empty without a memory, or if what the findings depend on is
// unknown.
func (s *scan) imageKey(ctx context.Context) string {
	if s.Memory == nil || runner.Program() == "" {
		return ""
	}
	names := []string{tools.Syft, tools.Gitleaks}
	digests := make([]string, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			if program, problem := s.tool(ctx, name); problem == nil {
				digests[i], _ = program.Digest(ctx)
			}
		})
	}
	if group.Wait(); slices.Contains(digests, "") {
		return ""
	}
	return runner.Key("image", memoryFormat, runner.Program(), s.runner.Name(), s.Config.Python, s.image.Digest, digests,
		[]string{inFull.rules, inLayers.rules, byForm.rules}, planted())
}

// grypeKey returns the key for Grype's report on a bill of materials. It is empty as for imageKey, and for a database that is
// a directory, because reading all of it takes as long as using it.
func (a *audit) grypeKey(ctx context.Context, program runner.Files, file string, bom []byte) string {
	if a.Memory == nil || runner.Program() == "" {
		return ""
	}
	database, err := runner.FileSHA256(file)
	if err != nil {
		return ""
	}
	digest, err := program.Digest(ctx)
	if err != nil {
		return ""
	}
	return runner.Key("grype", memoryFormat, runner.Program(), a.runner.Name(), a.Config.Python, digest, database, checksum("", string(bom)))
}

// hasAll reports whether a Grype report has all packages that were planted for it.
func hasAll(report []byte, wanted []locks.Package) bool {
	matched, err := advisory.ReadGrype(bytes.NewReader(report))
	return err == nil && !slices.ContainsFunc(wanted, func(p locks.Package) bool {
		return !slices.ContainsFunc(matched.Findings, func(f advisory.Finding) bool { return f.Package == p.Name && f.Version == p.Version })
	})
}

// Package kerasfile inspects a .keras archive without Keras: what it is made of, and
// whether loading it could do more than build layers. Nothing of the file is executed.
//
// A .keras file is a zip of config.json (the serialised objects), metadata.json (the
// Keras version) and model.weights.h5. Loading turns config.json into Python objects, and
// the ways around Keras's safe_mode known so far (CVE-2025-1550, CVE-2025-8747,
// CVE-2025-9906, CVE-2026-1462) all name a module, class or function there that is not a
// plain layer. So everything that config.json names is held against an allow-list.
package kerasfile

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Options say what the contract allows.
type Options struct {
	// AllowLayers are further classes: "Class", "package>Class" or "module.Class".
	// Lambda, TFSMLayer and their like are refused whatever it says.
	AllowLayers []string
	// Recurrent demands at least one recurrent layer.
	Recurrent bool
	// AllowFormats are formats besides .keras that are let through unseen: "h5", "pickle".
	// Both can hold any code, which is why nothing here opens them.
	AllowFormats []string
	// Content asks for Report.Content, which reads the weights once more through a hash.
	Content bool
	// Limits bound the archive. A zero field means its default.
	Limits Limits
}

// Limits bound what an archive may hold.
type Limits struct {
	// FileBytes is the size of the archive: 4 GiB by default.
	FileBytes int64
	// UnpackedBytes is the size of all entries unpacked: 8 GiB by default.
	UnpackedBytes int64
	// ConfigBytes is the size of config.json unpacked: 16 MiB by default.
	ConfigBytes int64
	// Entries is the number of entries: 1,000 by default.
	Entries int
	// Ratio is how many times larger than packed an entry may be: 100 by default.
	// Keras itself does not compress.
	Ratio int64
	// Layers is the number of layers: 10,000 by default.
	Layers int
}

func (l Limits) withDefaults() Limits {
	fill := func(value *int64, fallback int64) {
		if *value == 0 {
			*value = fallback
		}
	}
	fill(&l.FileBytes, 4<<30)
	fill(&l.UnpackedBytes, 8<<30)
	fill(&l.ConfigBytes, 16<<20)
	fill(&l.Ratio, 100)
	if l.Entries == 0 {
		l.Entries = 1000
	}
	if l.Layers == 0 {
		l.Layers = 10_000
	}
	return l
}

// Report is what a model file holds.
type Report struct {
	// SHA256 is the file's hash in lower-case hex, Bytes its size.
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	// Unseen is the format of a file that was let through by AllowFormats without a look
	// into it; empty for a .keras archive.
	Unseen string `json:"unseen,omitempty"`
	// KerasVersion is the version that saved the file, SavedAt when, as the file says.
	KerasVersion string `json:"keras_version"`
	SavedAt      string `json:"saved_at,omitempty"`
	// OldKeras means that the version is below SafeVersion.
	OldKeras bool `json:"old_keras"`
	// Layers are all layers in the order of config.json, nested ones behind their owner.
	Layers []Layer `json:"layers"`
	// Recurrent are the classes of the recurrent layers, in the order found.
	Recurrent []string `json:"recurrent"`
	// Content is the hash of what the model is: its weights, layers and Keras version,
	// without the dates and memory addresses that each saving writes anew. Empty unless
	// Options.Content asks for it and the archive could be read.
	Content string `json:"content,omitempty"`
	// Entries are the archive's entries.
	Entries []Entry `json:"entries"`
	// Problems are all reasons to refuse the file; none of them hides another of
	// the same archive, as far as it could be read.
	Problems []*verdict.Problem `json:"-"`
}

// Layer is one layer of the model.
type Layer struct {
	// Path leads to it in config.json, Depth counts the models and wrappers around it.
	Path  string `json:"path"`
	Depth int    `json:"depth"`
	// Name is the layer's own name, Class and Module name its Python class.
	Name   string `json:"name"`
	Class  string `json:"class"`
	Module string `json:"module"`
	// Units is the layer's size: units, filters or output_dim; 0 for layers without.
	Units int `json:"units,omitempty"`
}

// Entry is one file in the archive.
type Entry struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// SafeVersion is the first Keras without a known way around safe_mode.
const SafeVersion = "3.13.2"

// OK means that the file may be loaded.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) refuse(code verdict.Code, format string, args ...any) {
	r.Problems = append(r.Problems, verdict.Problemf(code, format, args...))
}

// Inspect reads the file at path, in one opening, with bounded memory. What is wrong
// with the file is in Report.Problems; the error is for what cannot be read at all: a
// missing file, a failing disk, a cancelled context.
func Inspect(ctx context.Context, path string, opts Options) (*Report, error) {
	name := filepath.Base(path)
	report := &Report{Layers: []Layer{}, Recurrent: []string{}, Entries: []Entry{}}
	cause, err := modelfile.Open(path, func(file io.ReaderAt, size int64) error {
		if err := inspect(ctx, report, file, size, name, opts); err != nil {
			return fmt.Errorf("inspect model file %s: %w", name, err)
		}
		return nil
	})
	if cause != "" {
		report.refuse(modelfile.ArchiveInvalid, "%s %s", name, cause)
	}
	if err != nil {
		return nil, err
	}
	return report, nil
}

// InspectReader is Inspect for size bytes of any reader; name is for messages and its
// extension tells the format.
func InspectReader(ctx context.Context, r io.ReaderAt, size int64, name string, opts Options) (*Report, error) {
	report := &Report{Layers: []Layer{}, Recurrent: []string{}, Entries: []Entry{}}
	if err := inspect(ctx, report, r, size, name, opts); err != nil {
		return nil, fmt.Errorf("inspect model file %s: %w", name, err)
	}
	return report, nil
}

func inspect(ctx context.Context, report *Report, r io.ReaderAt, size int64, name string, opts Options) error {
	opts.Limits = opts.Limits.withDefaults()
	report.Bytes = size
	if size > opts.Limits.FileBytes {
		report.refuse(modelfile.ArchiveInvalid, "%s is %d bytes long, more than the limit of %d", name, size, opts.Limits.FileBytes)
		return nil
	}
	// Hash and checksums read the same open file side by side.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		hash := sha256.New()
		if _, err := modelfile.CopyContext(ctx, hash, io.NewSectionReader(r, 0, size)); err != nil {
			return fmt.Errorf("hash: %w", err)
		}
		report.SHA256 = hex.EncodeToString(hash.Sum(nil))
		return nil
	})
	group.Go(func() error {
		if !checkFormat(report, r, size, name, opts) {
			return nil
		}
		return inspectArchive(ctx, report, r, size, opts)
	})
	return group.Wait()
}

func inspectArchive(ctx context.Context, report *Report, r io.ReaderAt, size int64, opts Options) error {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		report.refuse(modelfile.ArchiveInvalid, "the archive cannot be opened: %v", err)
		return nil
	}
	entries := checkEntries(report, archive, r, size, opts.Limits)
	if !report.OK() {
		return nil // reading on could mean unpacking a bomb
	}
	contents, sums, err := readEntries(ctx, report, entries, opts)
	if err != nil {
		return err
	}
	if opts.Content && report.OK() {
		report.Content = contentHash(contents, sums)
	}
	if content, ok := contents[metadataEntry]; ok {
		readMetadata(report, content)
	}
	if content, ok := contents[configEntry]; ok {
		readConfig(report, content, opts)
	}
	return nil
}

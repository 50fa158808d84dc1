package kerasfile

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

const (
	configEntry   = "config.json"
	metadataEntry = "metadata.json"
	weightsEntry  = "model.weights.h5"
	assets        = "assets/"
)

// shard are the weight files of a model saved in parts, with model.weights.json as their index.
var shard = regexp.MustCompile(`^(model\.weights\.json|model(\.weights)?_\d{5}(\.weights)?\.h5)$`)

// checkEntries holds the archive's directory against the limits, before anything is
// unpacked. It returns the entries by name.
func checkEntries(report *Report, archive *zip.Reader, r io.ReaderAt, size int64, limits Limits) map[string]*zip.File {
	for _, f := range archive.File[:min(len(archive.File), limits.Entries)] {
		report.Entries = append(report.Entries, Entry{Name: f.Name, Bytes: int64(min(f.UncompressedSize64, 1<<62))})
	}
	entries, causes, whole := modelfile.CheckZip(archive, r, size, modelfile.ZipLimits{
		UnpackedBytes: limits.UnpackedBytes, Entries: limits.Entries, Ratio: limits.Ratio,
		Part: func(f *zip.File) string { return part(f, limits) },
	})
	for _, cause := range causes {
		report.refuse(modelfile.ArchiveInvalid, "%s", cause)
	}
	if !whole {
		return nil
	}
	for _, name := range []string{configEntry, metadataEntry} {
		if entries[name] == nil {
			report.refuse(modelfile.ArchiveInvalid, "entry %s is missing", name)
		}
	}
	if entries[weightsEntry] == nil && entries["model.weights.json"] == nil {
		report.refuse(modelfile.ArchiveInvalid, "entry %s is missing: the model has no weights", weightsEntry)
	}
	return entries
}

// part says why an entry is no part of a .keras file, or nothing.
func part(f *zip.File, limits Limits) string {
	known := f.Name == configEntry || f.Name == metadataEntry || f.Name == weightsEntry || shard.MatchString(f.Name)
	switch {
	case !known && f.Name != strings.TrimSuffix(assets, "/") && !strings.HasPrefix(f.Name, assets):
		return "is not part of a .keras file"
	case f.Mode().IsDir() && !strings.HasPrefix(f.Name, assets):
		return "is a directory"
	case (f.Name == configEntry || f.Name == metadataEntry) && f.UncompressedSize64 > uint64(limits.ConfigBytes):
		return fmt.Sprintf("is %d bytes long, more than the limit of %d", f.UncompressedSize64, limits.ConfigBytes)
	}
	return ""
}

// readEntries unpacks every entry, so that each checksum is verified, keeps the JSON
// ones and looks at the first bytes of the weights.
func readEntries(ctx context.Context, report *Report, entries map[string]*zip.File, opts Options) (
	contents map[string][]byte, sums map[string]string, err error,
) {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	contents, sums = map[string][]byte{}, map[string]string{}
	for _, name := range names {
		f := entries[name]
		if f.Mode().IsDir() {
			continue
		}
		kept := &head{limit: 8}
		if name == configEntry || name == metadataEntry {
			kept.limit = opts.Limits.ConfigBytes
		}
		into, hash := io.Writer(kept), sha256.New()
		if opts.Content {
			into = io.MultiWriter(kept, hash)
		}
		if err := modelfile.Unpack(ctx, f, into); err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			report.refuse(modelfile.ArchiveInvalid, "entry %s is damaged: %v", name, err)
			continue
		}
		sums[name] = hex.EncodeToString(hash.Sum(nil))
		switch {
		case name == configEntry || name == metadataEntry:
			contents[name] = kept.bytes
		case strings.HasSuffix(name, ".h5") && !strings.HasPrefix(name, assets) && string(kept.bytes) != "\x89HDF\r\n\x1a\n":
			report.refuse(modelfile.ArchiveInvalid, "entry %s is not an HDF5 file: first bytes %x", name, kept.bytes)
		}
	}
	return contents, sums, nil
}

// contentHash is Report.Content of an archive's entries.
func contentHash(contents map[string][]byte, sums map[string]string) string {
	var config any
	var metadata struct {
		Version string `json:"keras_version"`
	}
	if json.Unmarshal(contents[configEntry], &config) != nil || json.Unmarshal(contents[metadataEntry], &metadata) != nil {
		return ""
	}
	layers, err := json.Marshal(withoutAddresses(config))
	if err != nil {
		return ""
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n", metadata.Version, layers)
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if name != configEntry && name != metadataEntry {
			_, _ = fmt.Fprintf(h, "%d:%s %s\n", len(name), name, sums[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// withoutAddresses leaves out what Keras numbers objects by: their addresses in memory.
func withoutAddresses(value any) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "shared_object_id")
		for key := range v {
			v[key] = withoutAddresses(v[key])
		}
	case []any:
		for i := range v {
			v[i] = withoutAddresses(v[i])
		}
	}
	return value
}

// head keeps the first bytes written to it.
type head struct {
	bytes []byte
	limit int64
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - int64(len(h.bytes)); room > 0 {
		h.bytes = append(h.bytes, p[:min(int64(len(p)), room)]...)
	}
	return len(p), nil
}

package kerasfile

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

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

const (
	localHeaderLen = 30
	endRecordLen   = 22
	flagEncrypted  = 0x1
	// maxLocalExtra is far above what Python writes (20 bytes for a large file).
	maxLocalExtra = 1024
	// unicodePath is the extra field that renames an entry for those readers that know it.
	unicodePath = 0x7075
)

// checkEntries holds the archive's directory against the limits, before anything is
// unpacked. It returns the entries by name.
func checkEntries(report *Report, archive *zip.Reader, r io.ReaderAt, size int64, limits Limits) map[string]*zip.File {
	if n := len(archive.File); n > limits.Entries {
		report.refuse(modelfile.ArchiveInvalid, "the archive has %d entries, more than the limit of %d", n, limits.Entries)
		return nil
	}
	if archive.Comment != "" || !endsInEndRecord(r, size) {
		report.refuse(modelfile.ArchiveInvalid, "there are bytes behind the archive's directory")
	}
	entries, folded := map[string]*zip.File{}, map[string]string{}
	var total uint64
	for _, f := range archive.File {
		report.Entries = append(report.Entries, Entry{Name: f.Name, Bytes: int64(min(f.UncompressedSize64, 1<<62))})
		if cause := checkName(f); cause != "" {
			report.refuse(modelfile.ArchiveInvalid, "entry %q %s", f.Name, cause)
			continue
		}
		if cause := checkEntry(f, r, limits); cause != "" {
			report.refuse(modelfile.ArchiveInvalid, "entry %s %s", f.Name, cause)
		}
		key := strings.ToLower(f.Name)
		if other, twice := folded[key]; twice {
			report.refuse(modelfile.ArchiveInvalid, "entry %s is there twice (as %s)", f.Name, other)
		}
		folded[key], entries[f.Name] = f.Name, f
		if total += min(f.UncompressedSize64, 1<<62); total > uint64(limits.UnpackedBytes) {
			report.refuse(modelfile.ArchiveInvalid, "the archive unpacks to more than the limit of %d bytes", limits.UnpackedBytes)
			return nil
		}
	}
	checkOverlap(report, archive.File, size)
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

// endsInEndRecord reports whether the end record is the very end of the file. Both Go and
// Python search backwards for it, and may find different ones when something follows.
func endsInEndRecord(r io.ReaderAt, size int64) bool {
	if size < endRecordLen {
		return false
	}
	end := make([]byte, 4)
	if _, err := r.ReadAt(end, size-endRecordLen); err != nil {
		return false
	}
	return bytes.Equal(end, []byte("PK\x05\x06"))
}

// checkName says what is wrong with an entry's name, or nothing.
func checkName(f *zip.File) string {
	name := f.Name
	switch {
	case name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "has a name with control or invalid characters"
	case len(name) > 512:
		return "has a name of more than 512 bytes"
	case strings.Contains(name, `\`) || strings.Contains(name, ":"):
		return "has a name with a backslash or colon"
	case path.IsAbs(name):
		return "has an absolute path"
	case name != path.Clean(name) && name != path.Clean(name)+"/" || name == ".." || strings.HasPrefix(name, "../"):
		return "has a path that leads outside the archive"
	case name == configEntry || name == metadataEntry || name == weightsEntry || shard.MatchString(name):
		return ""
	case name == strings.TrimSuffix(assets, "/") || strings.HasPrefix(name, assets):
		return ""
	}
	return "is not part of a .keras file"
}

// checkEntry says what is wrong with an entry's header, or nothing.
func checkEntry(f *zip.File, r io.ReaderAt, limits Limits) string {
	mode := f.Mode()
	switch {
	case f.Flags&flagEncrypted != 0:
		return "is encrypted"
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Sprintf("is packed by the unknown method %d", f.Method)
	case mode&fs.ModeSymlink != 0:
		return "is a symbolic link"
	case mode.IsDir() && !strings.HasPrefix(f.Name, assets):
		return "is a directory"
	case !mode.IsDir() && !mode.IsRegular():
		return "is not a regular file"
	case f.UncompressedSize64 > uint64(limits.UnpackedBytes):
		return fmt.Sprintf("unpacks to %d bytes, more than the limit of %d", f.UncompressedSize64, limits.UnpackedBytes)
	case f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/uint64(limits.Ratio) > f.CompressedSize64:
		return fmt.Sprintf("unpacks from %d to %d bytes, more than %d times its size", f.CompressedSize64, f.UncompressedSize64, limits.Ratio)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return "is stored, but its packed and unpacked sizes differ"
	case (f.Name == configEntry || f.Name == metadataEntry) && f.UncompressedSize64 > uint64(limits.ConfigBytes):
		return fmt.Sprintf("is %d bytes long, more than the limit of %d", f.UncompressedSize64, limits.ConfigBytes)
	case hasExtra(f.Extra, unicodePath):
		return "has a second name"
	}
	return checkLocalHeader(f, r)
}

// checkLocalHeader compares the header in front of the entry with the directory's: a
// reader that goes by the one must see what a reader that goes by the other sees.
func checkLocalHeader(f *zip.File, r io.ReaderAt) string {
	offset, err := f.DataOffset()
	if err != nil {
		return fmt.Sprintf("has no valid header: %v", err)
	}
	// DataOffset has skipped name and extra field, whose lengths end the fixed part:
	// look backwards for the place where everything fits.
	block := make([]byte, min(offset, localHeaderLen+int64(len(f.Name))+maxLocalExtra))
	if _, err := r.ReadAt(block, offset-int64(len(block))); err != nil {
		return fmt.Sprintf("has no readable header: %v", err)
	}
	length := localHeaderLen + len(f.Name)
	for start := len(block) - length; start >= 0; start-- {
		header := block[start : start+length]
		extra := len(block) - length - start
		if !bytes.HasPrefix(header, []byte("PK\x03\x04")) || int(binary.LittleEndian.Uint16(header[28:])) != extra ||
			int(binary.LittleEndian.Uint16(header[26:])) != len(f.Name) {
			continue
		}
		switch {
		case string(header[localHeaderLen:]) != f.Name:
			return fmt.Sprintf("has another name in its own header: %q", header[localHeaderLen:])
		case binary.LittleEndian.Uint16(header[8:]) != f.Method:
			return "has another packing method in its own header"
		}
		return ""
	}
	return "has another name length, or a very long extra field, in its own header"
}

func hasExtra(extra []byte, id uint16) bool {
	for len(extra) >= 4 {
		if binary.LittleEndian.Uint16(extra) == id {
			return true
		}
		length := int(binary.LittleEndian.Uint16(extra[2:]))
		if len(extra) < 4+length {
			return false
		}
		extra = extra[4+length:]
	}
	return false
}

// checkOverlap refuses entries that share bytes: the way to a bomb that no ratio shows.
func checkOverlap(report *Report, files []*zip.File, size int64) {
	type span struct {
		name       string
		start, end int64
	}
	var spans []span
	for _, f := range files {
		if start, err := f.DataOffset(); err == nil {
			spans = append(spans, span{f.Name, start, start + int64(min(f.CompressedSize64, 1<<62))})
		}
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].start < spans[j].start })
	for i, s := range spans {
		if s.end > size {
			report.refuse(modelfile.ArchiveInvalid, "entry %s reaches beyond the end of the file", s.name)
		}
		// Between two entries there is at least the second one's header.
		if i > 0 && spans[i-1].end > s.start-localHeaderLen {
			report.refuse(modelfile.ArchiveInvalid, "entries %s and %s overlap", spans[i-1].name, s.name)
		}
	}
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
		if err := unpack(ctx, f, into); err != nil {
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

func unpack(ctx context.Context, f *zip.File, w io.Writer) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	// The directory's size is a promise; the limit holds whatever is unpacked.
	n, err := copyContext(ctx, w, io.LimitReader(r, int64(f.UncompressedSize64)+1))
	if err == nil && uint64(n) != f.UncompressedSize64 {
		err = fmt.Errorf("%d bytes instead of %d", n, f.UncompressedSize64)
	}
	return errors.Join(err, r.Close())
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

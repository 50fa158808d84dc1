package modelfile

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode/utf8"
)

// ZipLimits bound what a zip archive may hold.
type ZipLimits struct {
	// UnpackedBytes is the size of all entries unpacked, Entries their number.
	UnpackedBytes int64
	Entries       int
	// Ratio is how many times larger than packed an entry may be.
	Ratio int64
	// Part says why an entry is no part of such an archive, or nothing.
	Part func(f *zip.File) string
}

const (
	localHeaderLen = 30
	endRecordLen   = 22
	flagEncrypted  = 0x1
	// maxLocalExtra is far above what Python writes (20 bytes for a large file).
	maxLocalExtra = 1024
	// unicodePath is the extra field that renames an entry for those readers that know it.
	unicodePath = 0x7075
)

// CheckZip holds an archive's directory against the limits, before anything is unpacked. It
// returns the entries by name and all that is wrong with them; whole is false where it stopped
// early. Readers of the same archive must see the same: what some of them would read otherwise
// is refused.
func CheckZip(archive *zip.Reader, r io.ReaderAt, size int64, limits ZipLimits) (
	entries map[string]*zip.File, causes []string, whole bool,
) {
	refuse := func(format string, args ...any) { causes = append(causes, fmt.Sprintf(format, args...)) }
	if n := len(archive.File); n > limits.Entries {
		refuse("the archive has %d entries, more than the limit of %d", n, limits.Entries)
		return nil, causes, false
	}
	if archive.Comment != "" || !endsInEndRecord(r, size) {
		refuse("there are bytes behind the archive's directory")
	}
	entries, folded := map[string]*zip.File{}, map[string]string{}
	var total uint64
	for _, f := range archive.File {
		if cause := checkName(f); cause != "" {
			refuse("entry %q %s", f.Name, cause)
			continue
		}
		cause := limits.Part(f)
		if cause == "" {
			cause = checkEntry(f, r, limits)
		}
		if cause != "" {
			refuse("entry %s %s", f.Name, cause)
		}
		key := strings.ToLower(f.Name)
		if other, twice := folded[key]; twice {
			refuse("entry %s is there twice (as %s)", f.Name, other)
		}
		folded[key], entries[f.Name] = f.Name, f
		if total += min(f.UncompressedSize64, 1<<62); total > uint64(limits.UnpackedBytes) {
			refuse("the archive unpacks to more than the limit of %d bytes", limits.UnpackedBytes)
			return nil, causes, false
		}
	}
	return entries, append(causes, overlaps(archive.File, size)...), true
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
	}
	return ""
}

// checkEntry says what is wrong with an entry's header, or nothing.
func checkEntry(f *zip.File, r io.ReaderAt, limits ZipLimits) string {
	mode := f.Mode()
	switch {
	case f.Flags&flagEncrypted != 0:
		return "is encrypted"
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Sprintf("is packed by the unknown method %d", f.Method)
	case mode&fs.ModeSymlink != 0:
		return "is a symbolic link"
	case !mode.IsDir() && !mode.IsRegular():
		return "is not a regular file"
	case f.UncompressedSize64 > uint64(limits.UnpackedBytes):
		return fmt.Sprintf("unpacks to %d bytes, more than the limit of %d", f.UncompressedSize64, limits.UnpackedBytes)
	case f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/uint64(limits.Ratio) > f.CompressedSize64:
		return fmt.Sprintf("unpacks from %d to %d bytes, more than %d times its size", f.CompressedSize64, f.UncompressedSize64, limits.Ratio)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return "is stored, but its packed and unpacked sizes differ"
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

// overlaps finds entries that share bytes: the way to a bomb that no ratio shows.
func overlaps(files []*zip.File, size int64) (causes []string) {
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
			causes = append(causes, fmt.Sprintf("entry %s reaches beyond the end of the file", s.name))
		}
		// Between two entries there is at least the second one's header.
		if i > 0 && spans[i-1].end > s.start-localHeaderLen {
			causes = append(causes, fmt.Sprintf("entries %s and %s overlap", spans[i-1].name, s.name))
		}
	}
	return causes
}

// Unpack unpacks an entry, whatever size its header promises, and verifies its checksum.
func Unpack(ctx context.Context, f *zip.File, w io.Writer) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	// The directory's size is a promise; the limit holds whatever is unpacked.
	n, err := CopyContext(ctx, w, io.LimitReader(r, int64(f.UncompressedSize64)+1))
	if err == nil && uint64(n) != f.UncompressedSize64 {
		err = fmt.Errorf("%d bytes instead of %d", n, f.UncompressedSize64)
	}
	return errors.Join(err, r.Close())
}

package verdict

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// The names of the reports in the report directory.
const (
	ReportJSON     = "report.json"
	ReportMarkdown = "report.md"
	ReportHTML     = "report.html"
	// ReportVerdict has the verdict alone on its first line, for shells, and the summary
	// for terminals below it.
	ReportVerdict = "verdict.txt"
)

// ReportDirs returns the directories of the listed files, which are sorted, that are reports of earlier runs. The root of
// the source is none, whatever it holds.
func ReportDirs(names []string) (dirs []string) {
	for _, name := range names {
		dir, base := path.Split(name)
		if _, page := slices.BinarySearch(names, dir+ReportHTML); base == ReportJSON && dir != "" && page {
			dirs = append(dirs, path.Clean(dir))
		}
	}
	return dirs
}

// ReportVersion is the version of report.json's format: raised when a field changes its
// meaning or is removed, not when one is added.
const ReportVersion = 1

//go:embed report.schema.json
var reportSchema []byte

// ReportSchema returns the JSON schema of report.json.
func ReportSchema() []byte { return bytes.Clone(reportSchema) }

const (
	// fileLimit bounds one file of a stage, filesLimit all of them.
	fileLimit  = 256 << 20
	filesLimit = 1 << 30
	// redactLimit is the size up to which text files are searched for secrets; larger ones are
	// left out when there are secrets to mask.
	redactLimit = 64 << 20
)

// FileEntry is one file of the report directory as report.json lists it.
type FileEntry struct {
	// Path is relative to the report directory.
	Path string `json:"path"`
	// Stage is the stage that produced the file.
	Stage  string `json:"stage"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Root is the directory that the stage added, with a slash, or what precedes the file's name.
	Root string `json:"-"`
}

// WriteReport judges the run and writes its report directory: report.json, report.md,
// report.html and verdict.txt, and below them each stage's files. They are written for
// every verdict. A stage's file that cannot be copied (it is missing, escapes the directory, or
// is a link) is a warning in the report, not an error: the report itself matters more. It
// returns an error when the directory cannot be written.
//
// Files of an earlier report in the same directory are removed first if they are unchanged, so
// that nothing old is taken for new; other files stay.
func WriteReport(dir string, run *Run) error {
	run.Judge()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make report directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open report directory: %w", err)
	}
	defer func() { _ = root.Close() }() // opened for reading a path only; nothing to lose
	if err := removeEarlier(root); err != nil {
		return err
	}
	taken := map[string]bool{ReportJSON: true, ReportMarkdown: true, ReportHTML: true, ReportVerdict: true, Annotations: true}
	w := &fileWriter{root: root, clean: run.clean(), pictures: map[string][]byte{}, taken: taken}
	run.Warnings = slices.DeleteFunc(slices.Clone(run.Warnings), func(f Finding) bool { return f.Code == CodeReportFile.Name })
	for _, s := range run.all() {
		for _, f := range s.Files {
			if err := w.add(s.Name, f); err != nil {
				run.Warn(CodeReportFile, "%s: %v", s.Name, err)
			}
		}
	}
	slices.SortFunc(w.entries, func(a, b FileEntry) int { return strings.Compare(a.Path, b.Path) })

	clean := run.clean().run(run)
	var page bytes.Buffer
	pageErr := writeHTML(&page, clean, w.entries, w.pictures)
	content, jsonErr := reportJSON(clean, w.entries)
	var errs []error
	for _, f := range []struct {
		name    string
		content []byte
		err     error
	}{
		{ReportJSON, content, jsonErr}, {ReportMarkdown, []byte(markdown(clean)), nil},
		{ReportHTML, page.Bytes(), pageErr}, {ReportVerdict, []byte(verdictText(run)), nil},
	} {
		if f.err == nil {
			f.err = replace(root, f.name, f.content)
		}
		errs = append(errs, f.err)
	}
	if notes := annotations(clean); notes != "" {
		errs = append(errs, replace(root, Annotations, []byte(notes)))
	}
	return errors.Join(errs...)
}

func verdictText(run *Run) string {
	return string(run.Verdict) + "\n\n" + strings.TrimRight(Summary(run), "\n") + "\n"
}

// JSON renders the run as report.json, without a list of files.
func (r *Run) JSON() ([]byte, error) {
	r.Judge()
	return reportJSON(r.clean().run(r), nil)
}

// Markdown renders the run as report.md: under 60 KB, for a CI job summary.
func (r *Run) Markdown() string {
	r.Judge()
	return markdown(r.clean().run(r))
}

func reportJSON(clean *Run, files []FileEntry) ([]byte, error) {
	if files == nil {
		files = []FileEntry{}
	}
	content, err := json.MarshalIndent(struct {
		Schema int `json:"schema"`
		*Run
		Files []FileEntry `json:"files"`
	}{ReportVersion, clean, files}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render report.json: %w", err)
	}
	return append(content, '\n'), nil
}

// partial ends the name of a file that is being written.
const partial = ".partial"

// replace writes a file under another name and renames it, so that a reader never sees
// half a report.
func replace(root *os.Root, name string, content []byte) error {
	temporary := name + partial
	err := root.WriteFile(temporary, content, 0o644)
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		// The first error has the reason; failing to remove the rest adds nothing.
		_ = root.Remove(temporary)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// removeEarlier removes the reports, and the files that an earlier report.json lists
// with the content they have.
func removeEarlier(root *os.Root) error {
	var earlier struct {
		Files []FileEntry `json:"files"`
	}
	content, readErr := readLimited(root, ReportJSON, 16<<20)
	// The verdict first: if the rest fails, an earlier pass must not be taken for this run's.
	var errs []error
	for _, name := range []string{ReportVerdict, ReportJSON, ReportMarkdown, ReportHTML, Annotations} {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove earlier report: %w", err))
		}
	}
	if len(errs) > 0 || readErr != nil || json.Unmarshal(content, &earlier) != nil {
		return errors.Join(errs...)
	}
	for _, f := range earlier.Files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			continue
		}
		content, err := readLimited(root, f.Path, fileLimit)
		if err != nil || hash(content) != f.SHA256 {
			continue // removed or changed since
		}
		if err := root.Remove(f.Path); err != nil {
			return fmt.Errorf("remove earlier report: %w", err)
		}
	}
	return nil
}

func readLimited(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", name, limit)
	}
	return root.ReadFile(name)
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// fileWriter copies the stages' files.
type fileWriter struct {
	root    *os.Root
	clean   cleaner
	taken   map[string]bool
	total   int64
	entries []FileEntry
	// pictures are the small PNG files by path.
	pictures map[string][]byte
}

func (w *fileWriter) add(stage string, f ReportFile) error {
	if !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\\:\x00") || Line(f.Path, 1000) != f.Path {
		return fmt.Errorf("add file %q: not a plain relative path", Line(f.Path, maxName))
	}
	if f.Local == "" {
		return w.write(stage, f.Path, path.Dir(f.Path)+"/", f.Content)
	}
	info, err := os.Lstat(f.Local)
	if err != nil {
		return fmt.Errorf("add file %s: %w", f.Path, withoutPath(err))
	}
	if !info.IsDir() {
		return w.copy(stage, f.Path, path.Dir(f.Path)+"/", f.Local, info)
	}
	var errs []error
	err = filepath.WalkDir(f.Local, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(f.Local, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		target := path.Join(f.Path, filepath.ToSlash(relative))
		if !fs.ValidPath(target) || Line(target, 1000) != target {
			errs = append(errs, fmt.Errorf("add file %q: not a plain relative path", Line(target, maxName)))
			return nil
		}
		if err := w.copy(stage, target, f.Path+"/", name, info); err != nil {
			errs = append(errs, err)
		}
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("add directory %s: %w", f.Path, withoutPath(err)))
	}
	return errors.Join(errs...)
}

// withoutPath drops the local path of an error: it is useless to the reader of a report.
func withoutPath(err error) error {
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func (w *fileWriter) copy(stage, target, root, local string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("add file %s: a %s, not a regular file", target, kind(info.Mode()))
	}
	if info.Size() > fileLimit {
		return fmt.Errorf("add file %s: %d bytes are more than the %d a report may hold", target, info.Size(), int64(fileLimit))
	}
	f, err := os.Open(local)
	if err != nil {
		return fmt.Errorf("add file %s: %w", target, withoutPath(err))
	}
	content, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("add file %s: %w", target, withoutPath(err))
	}
	return w.write(stage, target, root, content)
}

func kind(mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "special file"
}

func (w *fileWriter) write(stage, target, root string, content []byte) error {
	if w.taken[target] || w.taken[strings.ToLower(target)] {
		return fmt.Errorf("add file %s: the report already has a file of this name", target)
	}
	w.total += int64(len(content))
	if int64(len(content)) > fileLimit || w.total > filesLimit {
		return fmt.Errorf("add file %s: more than the %d bytes a report may hold", target, int64(filesLimit))
	}
	if w.clean.redact != nil && utf8.Valid(content) {
		if len(content) > redactLimit {
			return fmt.Errorf("add file %s: too large to be searched for secrets (%d bytes)", target, len(content))
		}
		if path.Ext(target) == ".xml" {
			content = []byte(safetext.RedactXML(string(content), w.clean.redact))
		} else {
			content = []byte(w.clean.redact(string(content)))
		}
	}
	if dir := path.Dir(target); dir != "." {
		if err := w.root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("add file %s: %w", target, withoutPath(err))
		}
	}
	if err := replace(w.root, target, content); err != nil {
		return fmt.Errorf("add file %s: %w", target, withoutPath(err))
	}
	if path.Ext(target) == ".png" && len(content) <= pictureLimit {
		w.pictures[target] = content
	}
	w.taken[target], w.taken[strings.ToLower(target)] = true, true
	w.entries = append(w.entries, FileEntry{
		Path: target, Stage: stage, Bytes: int64(len(content)), SHA256: hash(content), Root: strings.TrimPrefix(root, "./"),
	})
	return nil
}

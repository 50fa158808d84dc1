package testrun

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pageTypes are the files of coverage.py's HTML report that are kept: pages, style and icons. Scripts are left out, because
// no script of a judged run may run where its report is read; so is everything else that a test writes there.
var pageTypes = []string{".html", ".css", ".png"}

// isPage reports whether an output belongs to the HTML report. coverage.py derives page names from module names, so a name
// with control characters, direction marks or invalid UTF-8 is not one of them.
func isPage(name string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return strings.HasPrefix(name, htmlDir+"/") && slices.Contains(pageTypes, path.Ext(name)) &&
		utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable)
}

// inert is inserted at the start of each page: a policy that makes the browser run no script, send no form, and load only the
// style and icons beside the page. It precedes everything else in the page, and a page can only restrict it further.
const inert = `<!DOCTYPE html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" ` +
	`content="default-src 'none'; style-src 'self' file: 'unsafe-inline'; img-src 'self' file: data:; form-action 'none'; base-uri 'none'">` +
	"\n"

// Limits, because each page is read into memory; coverage.py's own pages are smaller and fewer.
const (
	maxPage  = 32 << 20
	maxPages = 10_000
)

// makeInert inserts the policy into all pages below a directory. A page that is too large is removed, and is an error.
func makeInert(dir string) error {
	var errs []error
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || path.Ext(name) != ".html" {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Size() > maxPage {
			errs = append(errs, fmt.Errorf("%s has %d bytes, at most %d are taken over", entry.Name(), info.Size(), maxPage), os.Remove(name))
			return nil
		}
		content, err := os.ReadFile(name)
		if err == nil {
			// A byte order mark would be shown as text here, and no other encoding is expected.
			content = append([]byte(inert), bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))...)
			// Written under another name first: the existing file may be a hard link to the runner's own.
			err = errors.Join(os.Remove(name), os.WriteFile(name, content, 0o644))
		}
		errs = append(errs, err)
		return nil
	})
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("make pages inert: %w", err)
	}
	return nil
}

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

// pageTypes are the files of coverage.py's pages that a report takes over: the pages, their style and
// their icons. Its scripts are not among them, since no script of a judged run may run where a report is
// read, and neither is anything else that a test leaves there.
var pageTypes = []string{".html", ".css", ".png"}

// isPage reports whether an output belongs to the pages of coverage. coverage.py derives the names of its pages from module names, so a
// name with control characters, direction marks or invalid UTF-8 is not one of them.
func isPage(name string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return strings.HasPrefix(name, htmlDir+"/") && slices.Contains(pageTypes, path.Ext(name)) &&
		utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable)
}

// inert is what each page begins with: a policy under which the browser runs no script, sends no form
// and loads nothing but the style and icons beside the page. It comes before everything that the page
// says itself, and a page can only add to it.
const inert = `<!DOCTYPE html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" ` +
	`content="default-src 'none'; style-src 'self' file: 'unsafe-inline'; img-src 'self' file: data:; form-action 'none'; base-uri 'none'">` +
	"\n"

// A page is read as a whole, and each costs time; coverage.py's own are smaller and fewer.
const (
	maxPage  = 32 << 20
	maxPages = 10_000
)

// makeInert puts the policy into all pages below a directory. One that is too large is removed and is an error.
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
			// A mark of the encoding would be text here, and another encoding than this one is not meant.
			content = append([]byte(inert), bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))...)
			// Under another name first: the file may be the runner's own, linked here.
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

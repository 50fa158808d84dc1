package assembly

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Revision is what git says of a source directory. Fields that git does not know are empty.
type Revision struct {
	// Ref is the checked-out branch; empty where HEAD is detached.
	Ref string
	// Commit is HEAD in hexadecimal, Time is when it was made, in RFC 3339.
	Commit, Time string
	// Uncommitted are the files that differ from HEAD, new ones included, relative to the source.
	Uncommitted []string
}

// RevisionOf asks git for the revision of a source directory. It is empty where there is no
// repository, no commit, or no git. Files below ignored are not counted as uncommitted: a report
// is not part of the source.
func RevisionOf(ctx context.Context, source, ignored string) Revision {
	r := repository{dir: source}
	if !inRepository(source) || r.disarm(ctx) != nil {
		return Revision{}
	}
	line := func(args ...string) string {
		out, err := r.git(ctx, args...)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(out)
	}
	found := Revision{Commit: line("rev-parse", "--verify", "--quiet", "HEAD")}
	if found.Commit == "" {
		return Revision{}
	}
	found.Ref = strings.TrimPrefix(line("symbolic-ref", "--quiet", "HEAD"), "refs/heads/")
	found.Time = line("log", "-1", "--no-show-signature", "--format=%cI", "HEAD")
	// Copies and renames, which would have two names, are only found among what is staged.
	status, err := r.git(ctx, "-c", "status.renames=false", "status", "--porcelain", "-z", "--no-renames",
		"--untracked-files=normal", "--ignore-submodules=dirty", "--", ".")
	if err != nil {
		// What could not be compared is not taken for equal.
		return Revision{Ref: found.Ref}
	}
	prefix := line("rev-parse", "--show-prefix")
	for _, entry := range strings.Split(status, "\x00") {
		if len(entry) < 4 {
			continue
		}
		name := strings.TrimPrefix(entry[3:], prefix)
		if ignored == "" || !below(filepath.Join(source, name), ignored) {
			found.Uncommitted = append(found.Uncommitted, name)
		}
	}
	return found
}

// inRepository reports whether a directory or one above it has a .git. It spares the sources
// without one the start of git, which takes as long as much else of an unchanged run.
func inRepository(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	for err == nil {
		if _, missing := os.Lstat(filepath.Join(dir, ".git")); missing == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
	return true // git knows better
}

// below reports whether a path is dir or lies in it.
func below(path, dir string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return false
	}
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

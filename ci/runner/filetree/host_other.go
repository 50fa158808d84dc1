//go:build !unix

package filetree

import "io/fs"

// hasLinks takes each file for one that may have other names.
func hasLinks(fs.FileInfo) bool { return true }

// isNotDir tells a path below a file; elsewhere that is fs.ErrNotExist already.
func isNotDir(error) bool { return false }

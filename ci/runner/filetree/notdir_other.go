//go:build !unix

package filetree

// isNotDir tells a path below a file; elsewhere that is fs.ErrNotExist already.
func isNotDir(error) bool { return false }

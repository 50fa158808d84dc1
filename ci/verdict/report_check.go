package verdict

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// CheckReportDir makes the report directory and writes and removes a file in it, so that a
// report that cannot be written is detected before anything runs. An earlier report stays. A file
// that no report left is an error where a report would replace it.
func CheckReportDir(dir string) error {
	if err := CheckWritable("report directory", dir); err != nil {
		return err
	}
	for _, name := range []string{ReportJSON, ReportMarkdown, ReportHTML, ReportVerdict} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return fmt.Errorf("write in the report directory: %s is a directory", name)
		}
	}
	return foreign(dir)
}

// foreign returns the error of a directory with a file that a report would replace and none has left.
func foreign(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open report directory: %w", err)
	}
	defer func() { _ = root.Close() }() // opened for reading a path only; nothing to lose
	var earlier struct {
		Schema  int
		Verdict string
	}
	content, err := readLimited(root, ReportJSON, 16<<20)
	if err == nil && json.Unmarshal(content, &earlier) == nil && earlier.Schema > 0 && earlier.Verdict != "" {
		return nil
	}
	for _, name := range []string{ReportJSON, ReportMarkdown, ReportHTML, ReportVerdict, Annotations} {
		if _, err := root.Lstat(name); err == nil {
			return fmt.Errorf("write in the report directory: %s is there, which no report has left", filepath.Join(dir, name))
		}
	}
	return nil
}

// CheckWritable makes a directory and writes and removes a file in it. Errors call it what is given.
func CheckWritable(called, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", called, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", called, err)
	}
	defer func() { _ = root.Close() }() // opened for reading a path only; nothing to lose
	const name = ".check" + partial
	err = root.WriteFile(name, []byte("this can be written here\n"), 0o644)
	if removed := root.Remove(name); err == nil {
		err = removed
	}
	if err != nil {
		return fmt.Errorf("write in the %s: %w", called, err)
	}
	return nil
}

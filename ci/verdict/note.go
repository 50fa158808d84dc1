package verdict

import (
	"fmt"
	"path"
	"strings"
)

// Annotations is the report file that has the notes as GitHub Actions commands. A job that prints it shows the notes beside
// the lines of code.
const Annotations = "annotations.txt"

// Levels of a note.
const (
	NoteError   = "error"
	NoteWarning = "warning"
)

// Note is a remark about a line of the source.
type Note struct {
	// File is relative to the source. Line counts from 1; 0 means the whole file. EndLine is the last of several lines, or 0.
	File          string
	Line, EndLine int
	// Level is NoteError or NoteWarning.
	Level string
	// Title is what was found, Text more about it.
	Title, Text string
}

// maxNotes limits the notes of a stage, because code hosts show only ten of each level.
const maxNotes = 50

// Note adds a remark about a line of the source. It is dropped if it names no file of the source.
func (s *Stage) Note(n Note) {
	n.File = path.Clean(strings.ReplaceAll(n.File, `\`, "/"))
	if n.File == "." || path.IsAbs(n.File) || strings.HasPrefix(n.File, "..") || len(s.Notes) >= maxNotes {
		return
	}
	s.Notes = append(s.Notes, n)
}

// commandText and commandValue escape the text and the properties of a GitHub workflow command, so that nothing in them can
// start another command.
var (
	commandText  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandValue = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotations renders the notes of a cleaned run, errors first, because code hosts show only some.
func annotations(clean *Run) string {
	var b strings.Builder
	for _, level := range []string{NoteError, NoteWarning} {
		for _, s := range clean.all() {
			for _, n := range s.Notes {
				if n.Level != level {
					continue
				}
				fmt.Fprintf(&b, "::%s file=%s", level, commandValue.Replace(n.File))
				if n.Line > 0 {
					fmt.Fprintf(&b, ",line=%d", n.Line)
				}
				if n.EndLine > n.Line {
					fmt.Fprintf(&b, ",endLine=%d", n.EndLine)
				}
				fmt.Fprintf(&b, ",title=%s::%s\n", commandValue.Replace(n.Title), commandText.Replace(n.Text))
			}
		}
	}
	return b.String()
}

// AnnotationsOf returns the notes of a run as GitHub Actions commands, or an empty string.
func AnnotationsOf(r *Run) string { return annotations(r.clean().run(r)) }

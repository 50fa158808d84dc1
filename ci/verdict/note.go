package verdict

import (
	"fmt"
	"path"
	"strings"
)

// Annotations is the file of the report with the notes as commands of GitHub Actions: a job that prints
// it shows them beside the lines of the code.
const Annotations = "annotations.txt"

// The levels of a note.
const (
	NoteError   = "error"
	NoteWarning = "warning"
)

// Note is a remark about a line of the source.
type Note struct {
	// File is relative to the source, Line counts from 1; 0 is the whole file. EndLine is the last line
	// of several, 0 for one.
	File          string
	Line, EndLine int
	// Level is NoteError or NoteWarning.
	Level string
	// Title is what was found, Text more about it.
	Title, Text string
}

// maxNotes bounds the notes of a stage: code hosts show ten of a kind.
const maxNotes = 50

// Note adds a remark about a line of the source. One that names no file of the source is left out.
func (s *Stage) Note(n Note) {
	n.File = path.Clean(strings.ReplaceAll(n.File, `\`, "/"))
	if n.File == "." || path.IsAbs(n.File) || strings.HasPrefix(n.File, "..") || len(s.Notes) >= maxNotes {
		return
	}
	s.Notes = append(s.Notes, n)
}

// commandText and commandValue are the escapes of GitHub's workflow commands, for what follows the
// second :: and for a property. With them, nothing in the text can begin another command.
var (
	commandText  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandValue = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotations renders the notes of a cleaned run: errors first, because only some are shown.
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

// AnnotationsOf are the notes of a run as commands of GitHub Actions; empty without any.
func AnnotationsOf(r *Run) string { return annotations(r.clean().run(r)) }

package verdict

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func noted(notes ...Note) *Run {
	stage := Stage{Name: Test}
	for _, n := range notes {
		stage.Note(n)
	}
	stage.Judge()
	return &Run{Stages: []Stage{stage}, Redact: Redact("hunter2hunter2")}
}

func TestNotesAreCommandsOfGitHub(t *testing.T) {
	run := noted(
		Note{File: "a.py", Line: 3, EndLine: 4, Level: NoteWarning, Title: "not executed", Text: "lines 3-4"},
		Note{File: "t/test_a.py", Line: 7, Level: NoteError, Title: "test_a failed", Text: "assert 1 == 2\nmore, 50%"},
		Note{File: "b.py", Level: NoteError, Title: "t", Text: "x"},
	)
	assert.Equal(t, "::error file=t/test_a.py,line=7,title=test_a failed::assert 1 == 2%0Amore, 50%25\n"+
		"::error file=b.py,title=t::x\n"+
		"::warning file=a.py,line=3,endLine=4,title=not executed::lines 3-4\n", AnnotationsOf(run))
	assert.Empty(t, AnnotationsOf(noted()))
	dir := t.TempDir()
	require.NoError(t, WriteReport(dir, run))
	written, err := os.ReadFile(filepath.Join(dir, Annotations))
	require.NoError(t, err)
	assert.Equal(t, AnnotationsOf(run), string(written))
	require.NoError(t, WriteReport(dir, noted()))
	assert.NoFileExists(t, filepath.Join(dir, Annotations), "that of an earlier run")
}

// TestNoTextBeginsACommand: what tests print must not be able to set outputs, add paths or hide text.
func TestNoTextBeginsACommand(t *testing.T) {
	command := regexp.MustCompile(`^::(?:error|warning) file=[^:,]+(?:,line=\d+)?,title=[^:,]*::`)
	for _, evil := range []string{
		"x\n::set-output name=a::b", "x\r::add-path::/evil", "x\u2028::stop-commands::a", "::error::x", "a,line=9,title=b::c", "%0A::warning::x",
		"\x1b[0m::add-mask::*", "x##[command]y", "hunter2hunter2", strings.Repeat("y", 100000), "\xff\xfe", "",
	} {
		run := noted(Note{File: "a.py", Line: 1, Level: NoteError, Title: evil, Text: evil}, Note{File: evil, Line: 1, Level: NoteError,
			Title: "t", Text: "t"})
		text := AnnotationsOf(run)
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\n\r\u2028\u2029\u0085\v\f", r) }) {
			assert.Regexp(t, command, line)
			assert.Less(t, len(line), 8000)
		}
		assert.NotContains(t, text, "hunter2")
		assert.NotContains(t, text, "\x1b")
	}
	assert.Empty(t, AnnotationsOf(noted(Note{File: "../x.py", Level: NoteError}, Note{File: "/etc/passwd", Level: NoteError},
		Note{Level: NoteError})))
}

package coverage

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Changed are the lines that a change added or altered, by file, with their numbers after it.
type Changed map[string]map[int32]bool

// errPatch means that a text is no unified difference, or not all of one.
var errPatch = errors.New("not a whole unified difference")

// ParsePatch reads a difference as git writes it. Files that were removed, or are not text, have no lines.
func ParsePatch(patch string) (Changed, error) {
	changed := Changed{}
	var file map[int32]bool
	var number int32
	var old, left int // how many lines of the hunk are still to come, before and after the change
	for at, line := range strings.Split(patch, "\n") {
		bad := func() (Changed, error) { return nil, fmt.Errorf("%w: line %d", errPatch, at+1) }
		if old > 0 || left > 0 {
			switch {
			case strings.HasPrefix(line, "+"):
				if file != nil {
					file[number] = true
				}
				number, left = number+1, left-1
			case strings.HasPrefix(line, "-"):
				old--
			case strings.HasPrefix(line, " "), line == "" && left > 0 && old > 0: // some programs strip the blank of an empty line
				number, old, left = number+1, old-1, left-1
			case strings.HasPrefix(line, `\`): // no newline at the end of the file
			default:
				return bad()
			}
			if old < 0 || left < 0 {
				return bad()
			}
			continue
		}
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- "):
			file = nil
		case strings.HasPrefix(line, "+++ "):
			name, ok := patched(line[4:])
			if !ok {
				return bad()
			}
			if file = nil; name != "" {
				if changed[name] == nil {
					changed[name] = map[int32]bool{}
				}
				file = changed[name]
			}
		case strings.HasPrefix(line, "@@ "):
			var ok bool
			if number, old, left, ok = hunk(line); !ok {
				return bad()
			}
		}
	}
	if old > 0 || left > 0 {
		return nil, fmt.Errorf("%w: it ends in the middle", errPatch)
	}
	return changed, nil
}

// patched is the name of a file in a difference; empty for one that is no more.
func patched(text string) (string, bool) {
	text, _, _ = strings.Cut(text, "\t") // some programs write the time after it
	if strings.HasPrefix(text, `"`) {
		plain, err := strconv.Unquote(text)
		if err != nil {
			return "", false
		}
		text = plain
	}
	if text == "/dev/null" {
		return "", true
	}
	name, prefixed := strings.CutPrefix(text, "b/")
	return path.Clean(name), prefixed && name != ""
}

// hunk reads "@@ -1,2 +3,4 @@": where the lines begin after the change, and how many there were and are.
func hunk(line string) (first int32, old, now int, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[3] != "@@" {
		return 0, 0, 0, false
	}
	count := func(text, sign string) (int, int, bool) {
		text, signed := strings.CutPrefix(text, sign)
		start, length, counted := strings.Cut(text, ",")
		if !counted {
			length = "1"
		}
		from, err := strconv.ParseInt(start, 10, 31)
		n, bad := strconv.ParseInt(length, 10, 31)
		return int(from), int(n), signed && err == nil && bad == nil && from >= 0 && n >= 0
	}
	_, old, fine := count(fields[1], "-")
	from, now, right := count(fields[2], "+")
	return int32(from), old, now, fine && right //nolint:gosec // of 31 bits
}

// Of are the report's executable lines among the changed ones: their totals are the coverage of the change.
// Files without any are left out.
func (c Changed) Of(r *Report) *Report {
	part := &Report{Timestamp: r.Timestamp}
	for _, f := range r.Files {
		wanted := c[f.Path]
		one := &File{Path: f.Path}
		for _, l := range f.Lines {
			if wanted[l.Number] {
				one.Lines = append(one.Lines, l)
			}
		}
		if len(one.Lines) > 0 {
			part.Files = append(part.Files, one)
		}
	}
	return part
}

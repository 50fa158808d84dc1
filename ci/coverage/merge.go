package coverage

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Merge unites the reports of several runs over the same source, such as shards: a line
// counts as executed when one of them executed it. Branches are united exactly where
// the reports name the targets that were missed, as coverage.py does; elsewhere the
// better of the runs counts, which never claims too much.
func Merge(reports ...*Report) *Report {
	merged := &Report{}
	files := map[string]*File{}
	for _, r := range reports {
		for _, source := range r.Sources {
			if !slices.Contains(merged.Sources, source) {
				merged.Sources = append(merged.Sources, source)
			}
		}
		if r.Timestamp.After(merged.Timestamp) {
			merged.Timestamp = r.Timestamp
		}
		merged.Version = r.Version
		for _, f := range r.Files {
			files[f.Path] = unite(files[f.Path], f)
		}
	}
	for _, f := range files {
		merged.Files = append(merged.Files, f)
	}
	sort.Slice(merged.Files, func(i, j int) bool { return merged.Files[i].Path < merged.Files[j].Path })
	return merged
}

// unite makes a new file of two with ascending lines; a may be nil.
func unite(a, b *File) *File {
	if a == nil {
		a = &File{}
	}
	out := &File{Path: b.Path, Lines: make([]Line, 0, max(len(a.Lines), len(b.Lines))), missing: map[int32][]string{}}
	i, j := 0, 0
	for i < len(a.Lines) || j < len(b.Lines) {
		switch {
		case j == len(b.Lines) || i < len(a.Lines) && a.Lines[i].Number < b.Lines[j].Number:
			out.take(a.Lines[i], a.missing[a.Lines[i].Number])
			i++
		case i == len(a.Lines) || b.Lines[j].Number < a.Lines[i].Number:
			out.take(b.Lines[j], b.missing[b.Lines[j].Number])
			j++
		default:
			out.take(uniteLines(a, b, a.Lines[i], b.Lines[j]))
			i, j = i+1, j+1
		}
	}
	return out
}

func (f *File) take(l Line, missing []string) {
	f.Lines = append(f.Lines, l)
	if len(missing) > 0 {
		f.missing[l.Number] = missing
	}
}

func uniteLines(a, b *File, x, y Line) (Line, []string) {
	l := either(x, y)
	if x.Branches != y.Branches {
		return l, nil
	}
	missA, missB := a.missing[x.Number], b.missing[y.Number]
	namedA := len(missA) == int(x.Branches-x.Taken)
	namedB := len(missB) == int(y.Branches-y.Taken)
	if !namedA || !namedB {
		return l, nil
	}
	var both []string
	for _, target := range missA {
		if slices.Contains(missB, target) {
			both = append(both, target)
		}
	}
	l.Taken = l.Branches - uint16(len(both))
	return l, both
}

// Write writes the report as Cobertura XML.
func (r *Report) Write(w io.Writer) error {
	e := xml.NewEncoder(w)
	e.Indent("", "\t")
	out := &writer{e: e}
	t := r.Totals()
	out.emit(xml.ProcInst{Target: "xml", Inst: []byte(`version="1.0" encoding="utf-8"`)})
	root := []string{"version", r.Version,
		"lines-valid", strconv.Itoa(t.Lines), "lines-covered", strconv.Itoa(t.Covered), "line-rate", share(t.LineRate()),
		"branches-valid", strconv.Itoa(t.Branches), "branches-covered", strconv.Itoa(t.Taken), "branch-rate", share(t.BranchRate()),
		"complexity", "0"}
	if !r.Timestamp.IsZero() {
		root = append(root, "timestamp", strconv.FormatInt(r.Timestamp.UnixMilli(), 10))
	}
	out.element("coverage", root, func() {
		out.element("sources", nil, func() {
			for _, source := range r.Sources {
				out.element("source", nil, func() { out.emit(xml.CharData(source)) })
			}
		})
		out.element("packages", nil, func() { r.writePackages(out) })
	})
	if err := errors.Join(out.err, e.Flush()); err != nil {
		return fmt.Errorf("write coverage report: %w", err)
	}
	return nil
}

func (r *Report) writePackages(out *writer) {
	for _, p := range r.Packages() {
		name := strings.ReplaceAll(p.Name, "/", ".")
		attrs := []string{"name", name, "line-rate", share(p.LineRate()), "branch-rate", share(p.BranchRate()), "complexity", "0"}
		out.element("package", attrs, func() {
			out.element("classes", nil, func() {
				for _, f := range r.Files {
					if path.Dir(f.Path) == p.Name {
						f.write(out)
					}
				}
			})
		})
	}
}

func (f *File) write(out *writer) {
	t := f.Totals()
	attrs := []string{"name", path.Base(f.Path), "filename", f.Path, "complexity", "0", "line-rate", share(t.LineRate()), "branch-rate",
		share(t.BranchRate())}
	out.element("class", attrs, func() {
		out.element("methods", nil, func() {})
		out.element("lines", nil, func() {
			for _, l := range f.Lines {
				hits := "0"
				if l.Hit {
					hits = "1"
				}
				attrs := []string{"number", strconv.Itoa(int(l.Number)), "hits", hits}
				if l.Branches > 0 {
					attrs = append(attrs, "branch", "true", "condition-coverage",
						fmt.Sprintf("%d%% (%d/%d)", int(l.Taken)*100/int(l.Branches), l.Taken, l.Branches))
					if missing := f.missing[l.Number]; len(missing) > 0 {
						attrs = append(attrs, "missing-branches", strings.Join(missing, ","))
					}
				}
				out.element("line", attrs, func() {})
			}
		})
	})
}

// share is a rate as Cobertura writes it: 1 for nothing to cover, as coverage.py has it.
func share(r Rate) string {
	if r.Whole == 0 {
		return "1"
	}
	n := int64(r.Part) * 10000 / int64(r.Whole)
	return strconv.FormatFloat(float64(n)/10000, 'f', -1, 64)
}

// writer collects the first error of many writes.
type writer struct {
	e   *xml.Encoder
	err error
}

func (w *writer) emit(t xml.Token) {
	if w.err == nil {
		w.err = w.e.EncodeToken(t)
	}
}

func (w *writer) element(name string, attrs []string, body func()) {
	start := xml.StartElement{Name: xml.Name{Local: name}}
	for i := 0; i+1 < len(attrs); i += 2 {
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: attrs[i]}, Value: attrs[i+1]})
	}
	w.emit(start)
	body()
	w.emit(start.End())
}

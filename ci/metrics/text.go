package metrics

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Text renders families in Prometheus's text format, version 0.0.4, with the target's labels on every
// sample.
func Text(families []Family, target []Label) string {
	var b strings.Builder
	for _, f := range families {
		kind := "gauge"
		if f.Counter {
			kind = "counter"
		}
		b.WriteString("# HELP " + f.Name + " " + escapeHelp(f.Help) + "\n# TYPE " + f.Name + " " + kind + "\n")
		for _, s := range f.Samples {
			b.WriteString(f.Name + labels(target, s.Labels) + " " + number(s.Value))
			if !s.Time.IsZero() {
				b.WriteString(" " + strconv.FormatInt(s.Time.UnixMilli(), 10))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Open renders families in the format of OpenMetrics 1.0. Samples of one series follow each other by
// their time, as it demands.
func Open(families []Family, target []Label) string {
	var b strings.Builder
	for _, f := range families {
		name, kind := f.Name, "gauge"
		if f.Counter {
			name, kind = strings.TrimSuffix(f.Name, "_total"), "counter"
		}
		b.WriteString("# TYPE " + name + " " + kind + "\n")
		if f.Unit != "" && strings.HasSuffix(name, "_"+f.Unit) {
			b.WriteString("# UNIT " + name + " " + f.Unit + "\n")
		}
		b.WriteString("# HELP " + name + " " + escapeValue(f.Help) + "\n")
		samples := slices.Clone(f.Samples)
		slices.SortStableFunc(samples, func(x, y Sample) int {
			return cmp.Or(cmp.Compare(key(x.Labels), key(y.Labels)), x.Time.Compare(y.Time))
		})
		for _, s := range samples {
			b.WriteString(f.Name + labels(target, s.Labels) + " " + number(s.Value))
			if !s.Time.IsZero() {
				b.WriteString(" " + strconv.FormatFloat(unix(s.Time), 'f', 3, 64))
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("# EOF\n")
	return b.String()
}

func labels(target, own []Label) string {
	var pairs []string
	for _, l := range slices.Concat(target, own) {
		if l.Value != "" {
			pairs = append(pairs, l.Name+`="`+escapeValue(l.Value)+`"`)
		}
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

var (
	valueEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// escapeValue is a label's value; what is no UTF-8, or a control character, would make the whole file
// invalid for one of its readers.
func escapeValue(s string) string {
	printable := strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	return valueEscapes.Replace(printable)
}

func escapeHelp(s string) string { return helpEscapes.Replace(s) }

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

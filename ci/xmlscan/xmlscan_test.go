package xmlscan

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func drain(in string, limits Limits, roots ...string) (int, error) {
	s := New(strings.NewReader(in), limits, roots...)
	for n := 0; ; n++ {
		if _, err := s.Next(); err != nil {
			return n, err
		}
	}
}

func TestNextRefuses(t *testing.T) {
	const bomb = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>`
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"an empty document":                          {"", ErrEmpty},
		"only a prologue":                            {`<?xml version="1.0" encoding="utf-8"?>`, ErrEmpty},
		"a document cut between tags":                {"<a><b/>", ErrTruncated},
		"a document cut within a tag":                {"<a><b x='1", ErrTruncated},
		"a document cut within the root tag":         {"<a", ErrTruncated},
		"more bytes than allowed":                    {"<a>" + strings.Repeat("<b>"+strings.Repeat("x", 30)+"</b>", 40) + "</a>", ErrTooLarge},
		"one text longer than allowed":               {"<a>" + strings.Repeat("x", 150) + "</a>", ErrTooLong},
		"one attribute longer than allowed":          {"<a b='" + strings.Repeat("x", 150) + "'/>", ErrTooLong},
		"elements nested deeper than allowed":        {"<a><a><a><a><a><a/></a></a></a></a></a>", ErrTooDeep},
		"more elements than allowed":                 {"<a>" + strings.Repeat("<b/>", 60) + "</a>", ErrTooMany},
		"an entity bomb":                             {bomb, ErrEntity},
		"another root than expected":                 {"<html></html>", ErrRoot},
		"a second root":                              {"<a/><a/>", ErrOutside},
		"text before the root":                       {"hello <a/>", ErrOutside},
		"text behind the root":                       {"<a/> hello", ErrOutside},
		"a document that goes on after its root end": {"<a></a><", nil},
		"an element closed by another's end":         {"<a><b></a></b>", nil},
		"an end without a start":                     {"</a>", nil},
		"an undefined entity":                        {"<a>&nope;</a>", nil},
		"a control character":                        {"<a>\x00</a>", nil},
		"binary":                                     {"\x1f\x8b\x08\x00\x00", nil},
		"text that is not UTF-8":                     {"<a>\xff\xfe</a>", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := drain(c.in, Limits{Bytes: 1000, Token: 120, Depth: 5, Elements: 50}, "a")
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF)
			var at *Error
			require.ErrorAs(t, err, &at)
			assert.LessOrEqual(t, at.Offset, int64(1001))
			if c.want != nil {
				assert.ErrorIs(t, err, c.want)
			}
			assert.Contains(t, err.Error(), "byte ")
		})
	}
}

func TestNextReadsADocument(t *testing.T) {
	in := "<?xml version='1.0'?>\n<!DOCTYPE a SYSTEM \"x.dtd\"><!-- c --><a x='1 &lt; 2'>t<b/></a>\n"
	s := New(strings.NewReader(in), Limits{}, "z", "a")
	var seen []string
	for {
		_, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		seen = append(seen, strings.Join(s.Path(), "/"))
	}
	assert.Equal(t, []string{"a", "a", "a/b", "a", ""}, seen)
	assert.Zero(t, s.Depth())
}

func TestNextPassesOnAReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	s := New(io.MultiReader(strings.NewReader("<a>"), failing{broken}), Limits{}, "a")
	_, err := s.Next()
	require.NoError(t, err)
	_, err = s.Next()
	assert.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestClip(t *testing.T) {
	assert.Equal(t, "abc", Clip("abc", 3))
	assert.Equal(t, "ab…", Clip("abc", 2))
	assert.True(t, utf8.ValidString(Clip("aé…漢字", 4)), "a character is not cut in two")
}

func TestReadHandsOutOneByte(t *testing.T) {
	g := New(strings.NewReader("<a/>"), Limits{}).guard
	n, err := g.Read(make([]byte, 9))
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	n, err = g.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Empty(t, func() string { v, _ := Attr(xmlStart(), "missing"); return v }())
}

func xmlStart() xml.StartElement { return xml.StartElement{Name: xml.Name{Local: "a"}} }

package safetext

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mask replaces a secret.
const Mask = "***"

// ShortestMasked is the length in bytes below which a value is not masked: masking every "on"
// or "1" of a report reveals more than it hides.
const ShortestMasked = 4

// Masks reports whether Redact masks the value at all.
func Masks(value string) bool { return len(strings.TrimSpace(value)) >= ShortestMasked }

// Redact returns a function that replaces the given values wherever they occur in a
// string: unchanged, without surrounding white space, line by line, and in the forms
// in which programs print them (base64 at each alignment, URL, hexadecimal, JSON, HTML,
// quoted). A value that could be a word or a number of a report is replaced only where it
// stands alone: a password "pass" does not change "3 passed". Values shorter than
// ShortestMasked are left alone. The function is safe for concurrent use; with nothing to mask
// it returns its input.
func Redact(secrets ...string) func(string) string {
	forms, words := map[string]bool{}, map[string]bool{}
	for _, secret := range secrets {
		for _, value := range parts(secret) {
			for _, form := range spellings(value) {
				switch {
				case len(form) < ShortestMasked:
				case wordlike(form):
					words[form] = true
				default:
					forms[form] = true
				}
			}
		}
	}
	hide := func(s string) string { return s }
	if len(forms) > 0 {
		pairs := make([]string, 0, 2*len(forms))
		for _, form := range longestFirst(forms) {
			pairs = append(pairs, form, Mask)
		}
		hide = strings.NewReplacer(pairs...).Replace
	}
	if len(words) == 0 {
		return hide
	}
	alone := regexp.MustCompile(`\b(?:` + strings.Join(longestFirst(words), "|") + `)\b`)
	return func(s string) string { return alone.ReplaceAllLiteralString(hide(s), Mask) }
}

// wordlike reports whether a value could be a word, a name or a number that a report has for
// another reason.
func wordlike(value string) bool {
	letters, digits := 0, 0
	for i := range len(value) {
		switch c := value[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
			letters++
		case c >= '0' && c <= '9':
			digits++
		default:
			return false
		}
	}
	return len(value) < 8 || len(value) < 20 && (letters == 0 || digits == 0)
}

// longestFirst orders values so that a part is not masked before the whole it belongs to.
func longestFirst(values map[string]bool) []string {
	ordered := slices.Collect(maps.Keys(values))
	slices.SortFunc(ordered, func(a, b string) int {
		if n := len(b) - len(a); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return ordered
}

// parts are the value, its trimmed form, and its lines where each is long enough to be
// recognised: a private key is often logged line by line.
func parts(secret string) []string {
	all := []string{secret, strings.TrimSpace(secret)}
	if lines := strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= 2*ShortestMasked {
				all = append(all, line)
			}
		}
		all = append(all, strings.Join(strings.Fields(secret), " "))
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < ShortestMasked })
}

func spellings(value string) []string {
	all := []string{
		value,
		html.EscapeString(value),
		url.QueryEscape(value), url.PathEscape(value),
		lowerPercent(url.QueryEscape(value)), lowerPercent(url.PathEscape(value)), percentAll(value),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		inner(strconv.Quote(value)), inner(strconv.QuoteToASCII(value)),
		strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), `'`, `\'`),
	}
	for _, escape := range []bool{true, false} {
		all = append(all, jsonForm(value, escape))
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		all = append(all, encoding.EncodeToString([]byte(value)), encoding.WithPadding(base64.NoPadding).EncodeToString([]byte(value)))
		all = append(all, aligned(value, encoding.WithPadding(base64.NoPadding))...)
	}
	return all
}

// aligned are the characters that any base64 text with the value inside must contain, such as user:password of basic authentication.
func aligned(value string, encoding *base64.Encoding) []string {
	var all []string
	for shift := range 3 {
		encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
		// The first characters also encode what precedes the value, the last ones what follows it.
		start := []int{0, 2, 3}[shift]
		end := len(encoded)
		if (shift+len(value))%3 != 0 {
			end--
		}
		// A short core would match text at random.
		if end-start >= 2*ShortestMasked {
			all = append(all, encoded[start:end])
		}
	}
	return all
}

func jsonForm(value string, escapeHTML bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(escapeHTML)
	// A string can always be encoded; if not, the other forms remain.
	if err := encoder.Encode(value); err != nil {
		return value
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

func percentAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
	}
	return b.String()
}

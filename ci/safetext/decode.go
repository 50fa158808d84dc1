package safetext

import (
	"bytes"
	"strings"
	"unicode/utf16"
)

// Decode makes UTF-8 of a text file, without the mark that it may begin with: Windows PowerShell redirects into UTF-16.
func Decode(content []byte) string {
	var order func(a, b byte) uint16
	switch {
	case bytes.HasPrefix(content, []byte{0xFF, 0xFE}):
		order = func(a, b byte) uint16 { return uint16(b)<<8 | uint16(a) }
	case bytes.HasPrefix(content, []byte{0xFE, 0xFF}):
		order = func(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }
	default:
		return strings.TrimPrefix(string(content), "\ufeff")
	}
	units := make([]uint16, 0, len(content)/2)
	for i := 2; i+1 < len(content); i += 2 {
		units = append(units, order(content[i], content[i+1]))
	}
	return string(utf16.Decode(units))
}

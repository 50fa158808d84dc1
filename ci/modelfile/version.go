package modelfile

import (
	"regexp"
	"strconv"
	"strings"
)

// versionText has the characters of versions (PEP 440) and nothing that could end a line
// or begin an option or a comment in a requirements file.
var versionText = regexp.MustCompile(`^[0-9A-Za-z.+!-]{1,64}$`)

// ValidVersion reports whether a text can be the version of a package: what comes from a
// model's own data becomes a line of the environment that the registry hands out.
func ValidVersion(text string) bool { return versionText.MatchString(text) }

// ParseVersion reads the first three numbers of "3.13.2" or "3.14.0rc1". A text that is no
// version is refused as a whole: it ends in a requirements file.
func ParseVersion(text string) ([3]int, bool) {
	var numbers [3]int
	parts := strings.SplitN(text, ".", 4)
	if !ValidVersion(text) || len(parts) < 2 {
		return numbers, false
	}
	for i := range min(len(parts), 3) {
		digits := parts[i]
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return numbers, false
		}
		numbers[i] = n
	}
	return numbers, true
}

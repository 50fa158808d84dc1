package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Canaries are the secrets of one case, by the name of their variable. No two cases have one in common,
// so that a sighting says whose it is.
type Canaries map[string]string

// placed is the canary that is in no variable by itself: {{canary}} in a case puts it where the case wants it.
const placed = "canary"

// newCanaries makes secrets with everything in them that programs escape: quotes, a line break, what
// URLs and XML replace. The token is what a header can hold.
func newCanaries(random *rand.Rand) Canaries {
	mark := func() string { return fmt.Sprintf("%016x", random.Uint64()) }
	return Canaries{
		"AWS_SECRET_ACCESS_KEY":    "canary-\"a'&<" + mark() + ">/+=%\nsecond-line-" + mark(),
		"AWS_SESSION_TOKEN":        "canary/B+" + mark() + "==",
		"MLFLOW_TRACKING_PASSWORD": `canary "c%rd\` + mark() + `+>`,
		placed:                     "canary" + mark(),
	}
}

// forms are the ways in which a secret may show: as it is and by line; as JSON, URL and hexadecimal text;
// as base64, wherever it begins in what was encoded.
func forms(secret string) [][]byte {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	hexadecimal := hex.EncodeToString([]byte(secret))
	all := []string{secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret), hexadecimal, strings.ToUpper(hexadecimal)}
	all = append(all, strings.Split(secret, "\n")...)
	for shift := range 3 {
		// The first and the last group of four also encode what is around the secret.
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), secret...))
			all = append(all, text[4:len(text)-4])
		}
	}
	slices.Sort(all)
	var found [][]byte
	for _, form := range slices.Compact(all) {
		if len(form) >= 8 {
			found = append(found, []byte(form))
		}
	}
	return found
}

// search looks for canaries, prepared once for many places.
type search struct {
	names    []string
	patterns [][]byte
	longest  int
}

func (c Canaries) search() *search {
	s := &search{}
	for name, secret := range c {
		for _, form := range forms(secret) {
			s.names, s.patterns = append(s.names, name), append(s.patterns, form)
			s.longest = max(s.longest, len(form))
		}
	}
	return s
}

// in names the canaries that the content shows.
func (s *search) in(content []byte) (seen []string) {
	for i, pattern := range s.patterns {
		if !slices.Contains(seen, s.names[i]) && bytes.Contains(content, pattern) {
			seen = append(seen, s.names[i])
		}
	}
	return seen
}

// maxSearched bounds how much of a file is searched: a sparse one of many gigabytes costs no more.
const maxSearched = 32 << 20

// inFile names the canaries that a regular file shows.
func (s *search) inFile(path string) ([]string, error) {
	file, err := os.Open(path) //nolint:gosec // the campaign's own directories
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	content, err := io.ReadAll(io.LimitReader(file, maxSearched))
	if err != nil {
		return nil, err
	}
	return s.in(content), nil
}

// below names the canaries in files below a directory that are not older than since, each as "NAME in PATH".
// What cannot be read is not searched: the campaign runs as the user whose files they are.
func (s *search) below(dir string, since time.Time, skip ...string) (seen []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone, or not ours
		}
		if entry.IsDir() && slices.Contains(skip, entry.Name()) {
			return fs.SkipDir
		}
		for _, name := range s.in([]byte(entry.Name())) {
			seen = append(seen, name+" in the name of "+path)
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(since) {
			return nil //nolint:nilerr // gone meanwhile
		}
		found, err := s.inFile(path)
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		for _, name := range found {
			seen = append(seen, name+" in "+path)
		}
		return nil
	})
	return seen
}

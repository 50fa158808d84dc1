package testrun

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sealLine matches the last line that the plugin prints: the digests of the reports. A test process can overwrite a report
// after the run, but it cannot take back what was printed.
var sealLine = regexp.MustCompile(`(?m)^openstack-rca: sealed ((?:\S+=[0-9a-f]{32} ?)+)$`)

// seal has the digests that a run printed for its reports, by name. It is nil if nothing was printed. twice is set if several
// were printed, so that none can be trusted.
type seal struct {
	digests map[string]string
	twice   bool
}

func readSeal(stdout string) *seal {
	found := sealLine.FindAllStringSubmatch(strings.ReplaceAll(stdout, "\r\n", "\n"), -1)
	if len(found) == 0 {
		return nil
	}
	s := &seal{digests: map[string]string{}, twice: len(found) > 1}
	for _, pair := range strings.Fields(found[len(found)-1][1]) {
		name, digest, _ := strings.Cut(pair, "=")
		s.digests[name] = digest
	}
	return s
}

// unsealed returns an output for people, without the seal.
func unsealed(output string) string { return sealLine.ReplaceAllString(output, "") }

// check returns what is wrong with fetched reports that differ from what the run wrote.
func (s *seal) check(p *part, names ...string) []string {
	var wrong []string
	for _, name := range names {
		if name == htmlDir || !p.has(name) || p.refused[name] != nil {
			continue
		}
		digest, err := digestOf(filepath.Join(p.dir, name))
		switch want, known := s.digests[name]; {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
		case !known:
			wrong = append(wrong, name+" was not there when the run ended")
		case digest != want:
			wrong = append(wrong, name+" was changed after the run ended")
		}
	}
	return wrong
}

// digestOf returns the start of a file's SHA-256, as in the seal.
func digestOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// judgeSeal requires that the reports of a complete run of pytest match the seal.
func (j *testJudge) judgeSeal(of *part) {
	mark := of.seal
	pytest := slices.ContainsFunc(j.in.Config.Test.Command, isPytest)
	switch {
	case mark == nil && pytest:
		j.problem(EventsMissing, "%sthe run did not record its events to the end, so its reports prove nothing", of.prefix()).Details =
			tail(of.ran, 10)
	case of.eventsErr != nil && pytest:
		j.fail(EventsMissing, "%s%v", of.prefix(), of.eventsErr)
	case mark == nil && of.events.seen:
		j.Stage.Warn(EventsMissing, "%sthe output of the command does not hold the digests of its reports", of.prefix())
	case mark == nil:
		j.Stage.Warn(EventsMissing, "%sthere is no record of the run's events", of.prefix())
	case mark.twice && pytest:
		j.fail(ReportDisagrees, "%sthe run said twice what its reports are: something ran pytest again, or pretends to", of.prefix())
	case len(of.changed) > 0:
		j.fail(ReportDisagrees, "%s%s", of.prefix(), strings.Join(of.changed, "; "))
	}
}

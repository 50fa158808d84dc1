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

// sealLine is what the plugin prints last: the digests of the reports that it left. A test can write
// a report again after the run; what it printed it cannot take back.
var sealLine = regexp.MustCompile(`(?m)^openstack-rca: sealed ((?:\S+=[0-9a-f]{32} ?)+)$`)

// seal is what a run printed of its reports: their digests by name. It is nil for a run that printed
// none, and for one that printed several, of which none can be believed, twice is set.
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

// unsealed takes the seal out of an output, which is for people.
func unsealed(output string) string { return sealLine.ReplaceAllString(output, "") }

// check says what is wrong with fetched reports: those that are not what the run left.
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

// digestOf is the beginning of a file's SHA-256, as the seal has it.
func digestOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// judgeSeal demands of a complete run of pytest that its reports are what it said they are.
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

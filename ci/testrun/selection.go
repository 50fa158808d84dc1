package testrun

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
)

// selection is what the plugin tells of what it selected.
type selection struct {
	Changes *selectedFiles `json:"changes"`
	Shard   *struct {
		// Files are the numbers of tests in the files that the shard loaded: all, and its own.
		Files map[string][2]int `json:"files"`
		// Ignored are the files that belong to other shards alone.
		Ignored []string `json:"ignored"`
	} `json:"shard"`
}

// selectedFiles says how many test files a change can affect. Everything is the reason
// why that is all of them, or empty.
type selectedFiles struct {
	Files      int    `json:"files"`
	Of         int    `json:"of"`
	Everything string `json:"everything"`
}

func readSelected(r io.Reader) (*selection, error) {
	found := &selection{}
	if err := json.NewDecoder(io.LimitReader(r, maxDurationBytes)).Decode(found); err != nil {
		return nil, err
	}
	return found, nil
}

// readSelection takes over what was selected by changes: the same in each shard.
func (s *session) readSelection() {
	for _, p := range s.parts {
		if p.selected != nil && p.selected.Changes != nil {
			s.selected = p.selected.Changes
		}
	}
	if s.plan.changes != nil && s.selected == nil {
		s.selected = &selectedFiles{Everything: "the run did not tell what it selected"}
	}
}

// selective reports whether a part of the suite ran.
func (s *session) selective() bool {
	return s.in.Selective() || s.selected != nil && s.selected.Everything == "" && s.selected.Files < s.selected.Of
}

// selection describes the part that ran.
func (s *session) selection() string {
	var how []string
	if s.in.Selective() {
		how = append(how, fmt.Sprintf("paths %q, keyword %q, marker %q, category %q", s.in.Paths, s.in.Keyword, s.in.Marker, s.in.Category))
	}
	if s.selected != nil && s.selected.Everything == "" {
		how = append(how, fmt.Sprintf("%d of %d test files: those that by their imports can reach what changed since %s", s.selected.Files,
			s.selected.Of, s.in.Changes.Since))
	}
	return strings.Join(how, "; ")
}

// changedCoverage are the changed files that were measured.
func (s *session) changedCoverage() []*coverage.File {
	if s.in.Changes == nil || s.result.Coverage == nil {
		return nil
	}
	var found []*coverage.File
	for _, f := range s.result.Coverage.Files {
		if slices.Contains(s.in.Changes.Changed, f.Path) {
			found = append(found, f)
		}
	}
	return found
}

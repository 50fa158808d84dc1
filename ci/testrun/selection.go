package testrun

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// selection is what the plugin reported about its selection.
type selection struct {
	Changes *selectedFiles `json:"changes"`
	Shard   *struct {
		// Files are the numbers of tests in all files and in the files that the shard loaded.
		Files map[string][2]int `json:"files"`
		// Ignored are the files that only other shards load.
		Ignored []string `json:"ignored"`
	} `json:"shard"`
}

// selectedFiles returns how many test files a change can affect. Everything is the reason why that is all of them, or empty.
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

// selectedBy describes the selection by changes, which is the same in each shard.
func selectedBy(parts []*part, planned *plan) (found *selectedFiles) {
	for _, p := range parts {
		if p.selected != nil && p.selected.Changes != nil {
			found = p.selected.Changes
		}
	}
	if planned.changes != nil && found == nil {
		return &selectedFiles{Everything: "the run did not tell what it selected"}
	}
	return found
}

// some reports whether a part of the test files was selected.
func (s *selectedFiles) some() bool { return s != nil && s.Everything == "" && s.Files < s.Of }

// selectionWords describes the part of the suite that ran.
func selectionWords(in Input, by *selectedFiles) string {
	var how []string
	for _, given := range in.Paths {
		how = append(how, fmt.Sprintf("--path %q", given))
	}
	for _, given := range [][2]string{{"keyword", in.Keyword}, {"marker", in.Marker}, {"category", in.Category}} {
		if given[1] != "" {
			how = append(how, fmt.Sprintf("--%s %q", given[0], given[1]))
		}
	}
	if by != nil && by.Everything == "" {
		how = append(how, fmt.Sprintf("%d of %d test files: those that by their imports can reach what changed since %s", by.Files,
			by.Of, in.Changes.Since))
	}
	return strings.Join(how, ", ")
}

package scaffold

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

const header = "# yaml-language-server: $schema=https://raw.githubusercontent.com/openstack-rca/openstack-rca/" +
	"main/ci/config/pipeline.schema.json\n" + `# What differs from the defaults; every key: docs/configuration.md of openstack-rca.
`

// Config returns the text of pipeline.yaml.
func (p *Proposal) Config() string {
	var b strings.Builder
	b.WriteString(header)
	if len(p.Settings) == 0 {
		b.WriteString("# Nothing differs.\n")
		return b.String()
	}
	// Settings of one section are adjacent, in whatever order they were found.
	settings := slices.Clone(p.Settings)
	slices.SortStableFunc(settings, func(a, b Setting) int { return sectionOf(a.Key) - sectionOf(b.Key) })
	var open []string
	for _, s := range settings {
		keys := s.path()
		shared := 0
		for shared < len(open) && shared < len(keys)-1 && open[shared] == keys[shared] {
			shared++
		}
		if shared == 0 {
			b.WriteString("\n")
		}
		for depth := shared; depth < len(keys)-1; depth++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), scalar(keys[depth]))
		}
		open = keys[:len(keys)-1]
		indent := strings.Repeat("  ", len(open))
		fmt.Fprintf(&b, "%s# %s\n%s%s: %s\n", indent, sentence(s.Why), indent, scalar(keys[len(keys)-1]), value(s.Value))
	}
	return b.String()
}

var sections = []string{"name", "python", "test", "train", "publish", "image", "policy"}

func sectionOf(key string) int {
	first, _, _ := strings.Cut(key, ".")
	return slices.Index(sections, first)
}

// sentence formats a reason as a one-line comment.
func sentence(why string) string {
	why = safetext.Line(why, 120)
	if first, _, _ := strings.Cut(why, " "); !strings.ContainsAny(first, "./_") { // a file name stays as it is
		why = strings.ToUpper(why[:1]) + why[1:]
	}
	return strings.TrimSuffix(why, ".") + "."
}

// plainScalar matches text that YAML reads unquoted as a string.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

func scalar(text string) string {
	if plainScalar.MatchString(text) && !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"},
		strings.ToLower(text)) ||
		text == "-m" || text == "-v" {
		return text
	}
	quoted, err := json.Marshal(text) // its strings are valid YAML, too
	if err != nil {
		return `""`
	}
	return string(quoted)
}

// asYAML is a value that is YAML already.
type asYAML string

func value(v any) string {
	switch v := v.(type) {
	case []string:
		words := make([]string, len(v))
		for i, word := range v {
			words[i] = scalar(word)
		}
		return "[" + strings.Join(words, ", ") + "]"
	case string:
		return scalar(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// Missing returns the proposed settings that an existing pipeline.yaml lacks, by key.
func (p *Proposal) Missing(existing string) (missing []Setting) {
	var document yaml.Node
	if yaml.Unmarshal([]byte(existing), &document) != nil {
		return nil // every run reports what is wrong with it
	}
	for _, s := range p.Settings {
		if !hasKey(&document, s.path()) && (s.unless == "" || !hasKey(&document, strings.Split(s.unless, "."))) {
			missing = append(missing, s)
		}
	}
	return missing
}

func hasKey(node *yaml.Node, keys []string) bool {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if len(keys) == 0 {
		return true
	}
	if node.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == keys[0] {
			return hasKey(node.Content[i+1], keys[1:])
		}
	}
	return false
}

// File is one file of a proposal, compared with the existing one.
type File struct {
	// Path is relative to the repository.
	Path, Content string
	// New is set for a missing file, which init writes. Same is set for an existing file with this content, Again for one
	// that init wrote and now extends. If none is set, somebody else wrote the file, and it is kept.
	New, Same, Again bool
}

// Files returns the files of the proposal. existing reads a file of the repository and returns false if it is missing.
func (p *Proposal) Files(existing func(path string) (string, bool)) []File {
	files := []File{{Path: config.FileName, Content: p.Config()}}
	if p.CIPath != "" {
		files = append(files, File{Path: p.CIPath, Content: p.CIFile})
	}
	for i := range files {
		content, there := existing(files[i].Path)
		files[i].New, files[i].Same = !there, there && content == files[i].Content
	}
	return files
}

// Text describes what was found, what is written, and what to add by hand. existing is as for Files.
func (p *Proposal) Text(files []File, existing func(path string) (string, bool)) string {
	var b strings.Builder
	for _, f := range files {
		switch {
		case f.New:
			fmt.Fprintf(&b, "new        %s\n", f.Path)
		case f.Again:
			fmt.Fprintf(&b, "again      %s, as init wrote it and nobody changed it\n", f.Path)
		case f.Same:
			fmt.Fprintf(&b, "unchanged  %s\n", f.Path)
		default:
			fmt.Fprintf(&b, "kept       %s is yours and stays as it is\n", f.Path)
		}
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n", title)
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", safetext.Line(line, 300))
		}
	}
	list("Found:", p.Found)
	var settings, unknown []string
	title := "Settings that differ from the defaults:"
	chosen := p.Settings
	answered := func(Unknown) bool { return false }
	if text, there := existing(config.FileName); there {
		var document yaml.Node
		if yaml.Unmarshal([]byte(text), &document) == nil {
			answered = func(u Unknown) bool {
				return slices.ContainsFunc(u.keys, func(key string) bool { return hasKey(&document, strings.Split(key, ".")) })
			}
		}
		title, chosen = "Not set in your pipeline.yaml, and found in the source:", p.Missing(text)
	}
	for _, s := range chosen {
		settings = append(settings, fmt.Sprintf("%s: %s (%s)", s.Key, value(s.Value), s.Why))
	}
	list(title, settings)
	for _, u := range slices.DeleteFunc(slices.Clone(p.Unknown), answered) {
		unknown = append(unknown, u.What, "  -> "+u.Next)
	}
	list("Could not be found out:", unknown)
	return b.String()
}

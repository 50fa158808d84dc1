// Package locks reads which packages a project's lock files pin, for a bill of materials. Package pyenv decides what is
// installed.
package locks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// Package is one pinned package.
type Package struct {
	// Name is normalised as on PyPI, such as scikit-learn.
	Name, Version string
	// File and Line are where it is pinned; the line is 0 if the format has no lines.
	File string
	Line int
	// Hashed is set if its content is pinned too.
	Hashed bool
}

// Loose is a requirement that does not pin a version.
type Loose struct {
	// Text is the requirement without credentials.
	Text, File string
	Line       int
}

// Content is the content of one file.
type Content struct {
	Packages []Package
	Loose    []Loose
	// Nameless entries pin content but no version: a repository at a commit, or an archive without a version in its name.
	// They cannot be compared with advisories.
	Nameless []Loose
	// Includes are the files that it includes, relative to the source.
	Includes []string
	// Counted is the number of packages by a second, simpler parser. It is at least the number in Packages; if it is larger,
	// something was not understood.
	Counted int
}

var (
	separators = regexp.MustCompile(`[-_.]+`)
	// pip accepts several options per line, and abbreviated option names.
	include = regexp.MustCompile(`(?:^|\s)(?:-r|--r(?:e(?:q(?:u(?:i(?:r(?:e(?:m(?:e(?:n(?:t)?)?)?)?)?)?)?)?)?)?(?:\s|=))(?:\s*|=)([^\s=]\S*)`)
	pinned  = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*([^\s;,*]+)\s*(?:;.*|\s--.*)?$`)
	counted = regexp.MustCompile(`(?m)^\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]\n]*\])?\s*={2,3}`)
	// limits matches a requirement with several or inexact versions.
	limits = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*` +
		`[=<>!~]=?=?\s*[^\s;,=<>!~]+(?:\s*,\s*[=<>!~]=?=?\s*[^\s;,=<>!~]+)*\s*(?:;.*|\s--.*)?$`)
	// archive matches a file name of a wheel or sdist, with name and version.
	archive = regexp.MustCompile(`(?:^|[/\\])([A-Za-z0-9][A-Za-z0-9._]*?(?:-[A-Za-z][A-Za-z0-9._]*)*)-(v?[0-9][A-Za-z0-9.!+_]*?)` +
		`(?:(?:-[0-9][A-Za-z0-9_]*)?-[^-/\s]+-[^-/\s]+-[^-/\s]+\.whl|\.tar\.gz|\.tar\.bz2|\.tgz|\.zip)$`)
	// A password may contain an @; a query often contains a signature.
	login    = regexp.MustCompile(`://[^/\s]*@`)
	query    = regexp.MustCompile(`\?[^\s#]*`)
	commit   = regexp.MustCompile(`@[0-9a-f]{40}(?:[#\s;]|$)`)
	editable = regexp.MustCompile(`(?:^|\s)(?:-e|--ed(?:i(?:t(?:a(?:b(?:l(?:e)?)?)?)?)?)?(?:\s|=))(?:\s*|=)([^\s=].*)`)
	header   = regexp.MustCompile(`(?m)^\s*\[\[\s*packages?\s*\]\]`)
)

// lineEnds matches everything that ends a line for pip.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\x1c", "\n", "\x1d", "\n", "\x1e", "\n",
	"\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// Normal returns a package's name as normalised by PyPI.
func Normal(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// Read parses one file by its name, or as requirements if the environment uses it as such. The error says what cannot be
// read.
func Read(name string, content []byte, asRequirements bool) (Content, error) {
	switch base := path.Base(name); {
	case asRequirements:
	case base == "Pipfile.lock":
		return pipfile(name, content)
	case base == "uv.lock", base == "poetry.lock", base == "pdm.lock", strings.HasPrefix(base, "pylock.") && strings.HasSuffix(base, ".toml"):
		return tables(name, content)
	}
	return requirements(name, safetext.Decode(content)), nil
}

// requirements parses pip's format.
func requirements(name, text string) Content {
	text = lineEnds.Replace(text)
	found := Content{Counted: len(counted.FindAllString(text, -1))}
	for _, line := range joined(text) {
		if strings.HasPrefix(line.text, "-") {
			for _, m := range include.FindAllStringSubmatch(line.text, -1) {
				if strings.Contains(m[1], "://") { // its content may change tomorrow
					found.loose(name, line)
					continue
				}
				found.Includes = append(found.Includes, path.Join(path.Dir(name), strings.Trim(m[1], `"'`)))
			}
			if m := editable.FindStringSubmatch(line.text); m == nil || local(m[1]) {
				continue // An option of pip, or a directory of the source.
			}
		}
		m := pinned.FindStringSubmatch(line.text)
		switch {
		case m != nil:
			found.Packages = append(found.Packages, Package{
				Name: Normal(m[1]), Version: m[2], File: name, Line: line.number, Hashed: strings.Contains(line.text, "--hash="),
			})
		case local(line.text), commit.MatchString(line.text), strings.Contains(line.text, "://") &&
			(strings.Contains(line.text, "--hash=") || strings.Contains(line.text, "#sha256=")):
			found.content(name, line)
		default:
			found.loose(name, line)
			if limits.MatchString(line.text) && counted.MatchString(line.text) {
				found.Counted-- // understood and reported
			}
		}
	}
	return found
}

// content records what is pinned by its content. The name of an archive identifies the package.
func (c *Content) content(name string, line numbered) {
	title, where, named := strings.Cut(line.text, " @ ")
	if !named {
		title, where = "", line.text
	}
	where, _, _ = strings.Cut(strings.Fields(where)[0], "#")
	where, _, _ = strings.Cut(where, "?")
	if unescaped, err := url.PathUnescape(where); err == nil {
		where = unescaped
	}
	title, _, _ = strings.Cut(title, "[")
	switch m := archive.FindStringSubmatch(where); {
	case m != nil:
		if title == "" {
			title = m[1]
		}
		c.Counted++
		c.Packages = append(c.Packages, Package{Name: Normal(strings.TrimSpace(title)), Version: m[2], File: name, Line: line.number,
			Hashed: true})
	case strings.Contains(line.text, "://") || ends(where, archives...):
		c.Nameless = append(c.Nameless, Loose{Text: shown(line.text), File: name, Line: line.number})
	}
}

// archives are the file name extensions of installable files.
var archives = []string{".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"}

// repository records a package from a repository at a revision.
func (c *Content) repository(file, title, address string) {
	line := numbered{text: title + " @ " + address}
	if commit.MatchString(line.text) {
		c.content(file, line)
		return
	}
	c.loose(file, line)
}

func ends(text string, endings ...string) bool {
	return slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(text, ending) })
}

// shown returns a requirement without hashes and credentials.
func shown(text string) string {
	text, _, _ = strings.Cut(text, " --")
	if strings.Contains(text, "://") {
		text = query.ReplaceAllString(login.ReplaceAllString(text, "://"), "")
	}
	return text
}

func (c *Content) loose(name string, line numbered) {
	c.Loose = append(c.Loose, Loose{Text: shown(line.text), File: name, Line: line.number})
}

// local reports whether a requirement is a path: ./x, name @ file:x.
func local(text string) bool {
	_, where, named := strings.Cut(text, "@")
	if where = strings.TrimSpace(where); named && strings.HasPrefix(where, "file:") {
		return true
	}
	first, _, _ := strings.Cut(text, " ")
	return strings.HasPrefix(first, ".") || strings.HasPrefix(first, "file:") ||
		ends(first, archives...) && !strings.Contains(first, "://")
}

// numbered is a line with its number in the file.
type numbered struct {
	text   string
	number int
}

// joined returns the lines without comments, with lines that end in a backslash joined to the next.
func joined(text string) []numbered {
	var lines []numbered
	open := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if at := strings.Index(" "+line, " #"); at >= 0 {
			line = line[:max(0, at)]
		}
		more := strings.HasSuffix(line, `\`)
		line = strings.TrimSpace(strings.TrimSuffix(line, `\`))
		if open && len(lines) > 0 {
			lines[len(lines)-1].text = strings.TrimSpace(lines[len(lines)-1].text + " " + line)
		} else {
			lines = append(lines, numbered{line, i + 1})
		}
		open = more
	}
	return slices.DeleteFunc(lines, func(l numbered) bool { return l.text == "" })
}

// tables parses the formats of uv, Poetry, PDM and PEP 751, which are tables of packages.
func tables(name string, content []byte) (found Content, err error) {
	defer func() {
		// A committed file must not stop the pipeline without a message.
		if r := recover(); r != nil {
			err = fmt.Errorf("read %s: not valid TOML: %v", name, r)
		}
	}()
	var lock struct {
		Package, Packages []map[string]any
	}
	if err := toml.Unmarshal(content, &lock); err != nil {
		return Content{}, fmt.Errorf("read %s: %w", name, err)
	}
	entries := slices.Concat(lock.Package, lock.Packages)
	if found.Counted = len(header.FindAll(content, -1)); found.Counted == 0 {
		found.Counted = len(entries) // in one array
	}
	for _, entry := range entries {
		title, _ := entry["name"].(string)
		version, _ := entry["version"].(string)
		switch {
		case title == "":
			return Content{}, fmt.Errorf("read %s: a package has no name", name)
		case ofSource(path.Base(name), entry):
			found.Counted--
		case version == "" && found.fixed(name, title, entry):
			found.Counted--
		case version == "":
			found.Loose = append(found.Loose, Loose{Text: title, File: name})
			found.Counted--
		default:
			found.Packages = append(found.Packages, Package{Name: Normal(title), Version: version, File: name, Hashed: true})
		}
	}
	return found, nil
}

// fixed records a package without a version whose content PEP 751 pins: a commit, or an archive with its hash. It reports
// whether the package is one.
func (c *Content) fixed(file, title string, entry map[string]any) bool {
	text := func(from, key string) string {
		table, _ := entry[from].(map[string]any)
		value, _ := table[key].(string)
		return value
	}
	address := cmp.Or(text("vcs", "url"), text("vcs", "path"))
	if line := title + " @ " + address + "@" + text("vcs", "commit-id"); address != "" && commit.MatchString(line) {
		c.Nameless = append(c.Nameless, Loose{Text: shown(line), File: file})
		return true
	}
	archive, _ := entry["archive"].(map[string]any)
	hashes, _ := archive["hashes"].(map[string]any)
	if where := cmp.Or(text("archive", "url"), text("archive", "path")); where != "" && len(hashes) > 0 {
		c.content(file, numbered{text: title + " @ " + where})
		return true
	}
	return false
}

// ofSource reports whether a package is in the source: the project itself, or a member of its workspace.
//
// Each format marks this in its own way. A mark of another format has no meaning; such a package is installed from an index.
func ofSource(file string, entry map[string]any) bool {
	source, _ := entry["source"].(map[string]any)
	has := func(object map[string]any, keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { _, is := object[key]; return is })
	}
	switch {
	case file == "uv.lock":
		return has(source, "editable", "directory", "virtual") && !has(source, "registry", "git", "url", "path")
	case file == "poetry.lock":
		return source["type"] == "directory"
	case strings.HasPrefix(file, "pylock."):
		return has(entry, "directory") && !has(entry, "sdist", "wheels", "archive", "vcs")
	}
	return false
}

// pipfile parses Pipenv's format.
func pipfile(name string, content []byte) (Content, error) {
	var lock map[string]json.RawMessage
	if err := json.Unmarshal(content, &lock); err != nil {
		return Content{}, fmt.Errorf("read %s: %w", name, err)
	}
	var found Content
	for _, section := range []string{"default", "develop"} {
		// A map, because a struct would accept Version for version.
		var entries map[string]map[string]any
		if len(lock[section]) == 0 {
			continue
		}
		if err := json.Unmarshal(lock[section], &entries); err != nil {
			return Content{}, fmt.Errorf("read %s: %s: %w", name, section, err)
		}
		for _, title := range slices.Sorted(maps.Keys(entries)) {
			entry := entries[title]
			text := func(key string) string { value, _ := entry[key].(string); return value }
			version := strings.TrimLeft(text("version"), "=")
			_, hashed := entry["hashes"].([]any)
			where := text("file") + text("path")
			_, git := entry["git"]
			switch {
			case git:
				// Its version, if there is one, is not what gets installed.
				found.repository(name, title, "git+"+text("git")+"@"+text("ref"))
			case where != "" && (strings.Contains(where, "://") || ends(where, archives...)):
				found.content(name, numbered{text: title + " @ " + where})
			case where != "":
				// A directory of the source.
			case !strings.HasPrefix(text("version"), "==") || strings.ContainsAny(version, "*,<>=!~ "):
				found.Loose = append(found.Loose, Loose{Text: title + text("version"), File: name})
			default:
				found.Packages = append(found.Packages, Package{Name: Normal(title), Version: version, File: name, Hashed: hashed})
			}
		}
	}
	found.Counted = len(found.Packages)
	return found, nil
}

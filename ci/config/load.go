package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

const (
	// maxBytes bounds the file, maxDepth its nesting.
	maxBytes = 1 << 20
	maxDepth = 20
)

// The environments that need not be declared.
const (
	Sandbox    = spec.Sandbox
	Staging    = spec.Staging
	Production = spec.Production
)

// Environments lists the environments that need not be declared.
func Environments() []string { return []string{Sandbox, Staging, Production} }

// Load reads pipeline.yaml over Default and then the overlay environments.<environment>,
// which has the same keys. Maps are merged, lists are replaced. Empty content means the
// defaults; an empty environment means the sandbox. Every overlay of the file is checked,
// not only the one asked for.
//
// The error is an *Errors with every problem found: unknown keys, wrong types, impossible
// values, each with file, line, column and key.
func Load(content []byte, environment string) (Config, error) {
	if environment == "" {
		environment = Sandbox
	}
	root, problem := parse(content)
	if problem != nil {
		return Config{}, &Errors{Problems: []Problem{*problem}}
	}
	doc := &document{places: map[string]place{}}
	base := Default()
	overlays := doc.readBase(root, &base)
	names := append(slices.Collect(maps.Keys(overlays)), Environments()...)
	slices.Sort(names)
	names = slices.Compact(names)
	if !slices.Contains(names, environment) {
		doc.problems = append(doc.problems, Problem{File: FileName, Message: fmt.Sprintf("there is no environment %q%s; there are %s",
			environment, didYouMean(environment, names), strings.Join(names, ", "))})
	}

	chosen, chosenPlaces := base, doc.places
	doc.problems = append(doc.problems, validate(base, doc.places)...)
	for _, name := range names {
		merged := base.clone()
		places := maps.Clone(doc.places)
		if node := overlays[name]; node != nil {
			overlay := &document{places: places}
			overlay.prefix = "environments." + name + "."
			overlay.decode(node, structValue(&merged), "", 0)
			doc.problems = append(doc.problems, overlay.problems...)
			doc.problems = append(doc.problems, validate(merged, places)...)
		}
		if name == environment {
			chosen, chosenPlaces = merged, places
			_, chosen.PythonSet = places["python"]
			_, chosen.NameSet = places["name"]
			_, chosen.FloorSet = places["test.coverage.total"]
			for _, one := range namedAfter {
				if _, set := places[one.key]; set {
					chosen.set = append(chosen.set, one.key)
				}
			}
			for _, k := range keys {
				if _, set := places[k.path]; set && rolloutKey(k.path) && !slices.Contains(chosen.set, k.path) {
					chosen.set = append(chosen.set, k.path)
				}
			}
		}
	}
	doc.unknownEnvironments(chosen.Notify, names)
	if len(doc.problems) > 0 {
		return Config{}, sorted(doc.problems)
	}
	chosen.Environment = environment
	chosen.applyName()
	chosen.seeMakefile(chosenPlaces)
	return chosen, nil
}

// seeMakefile shows the Makefile to a command that runs make. By default the training and the image do not see it.
func (c *Config) seeMakefile(set map[string]place) {
	for _, one := range []struct {
		key     string
		command []string
		exclude *[]string
	}{
		{"train.inputs.exclude", c.Train.Command, &c.Train.Inputs.Exclude},
		{"image.inputs.exclude", c.Image.Command, &c.Image.Inputs.Exclude},
	} {
		if _, own := set[one.key]; !own && slices.ContainsFunc(one.command, runsMake.MatchString) {
			*one.exclude = slices.DeleteFunc(slices.Clone(*one.exclude), func(glob string) bool { return glob == "Makefile" })
		}
	}
}

// runsMake finds make in a word of a command, also in that of a shell.
var runsMake = regexp.MustCompile(`(?:^|[\s;&|/])make(?:$|[\s;&|])`)

// unknownEnvironments refuses channels for environments that do not exist: they would never be told anything.
func (d *document) unknownEnvironments(n Notify, names []string) {
	for i, c := range n.Channels {
		for k, name := range c.Environments {
			if slices.Contains(names, name) {
				continue
			}
			key := at(at("notify.channels", i)+".environments", k)
			where := d.places[key]
			d.problems = append(d.problems, Problem{File: FileName, Line: where.line, Column: where.column, Key: key,
				Message: fmt.Sprintf("there is no environment %q%s; there are %s", name, didYouMean(name, names), strings.Join(names, ", "))})
		}
	}
}

// Digest identifies the configuration: equal configurations have equal digests, and an
// empty list equals an absent one.
func (c Config) Digest() string {
	content := encode(canonical(reflect.ValueOf(c)))
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonical makes nil and empty lists and maps equal.
func canonical(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			fields[name] = canonical(v.Field(i))
		}
		return fields
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, canonical(v.Index(i)))
		}
		return list
	case reflect.Map:
		entries := map[string]any{}
		for _, key := range v.MapKeys() {
			entries[key.String()] = canonical(v.MapIndex(key))
		}
		return entries
	default:
		return v.Interface()
	}
}

// Show renders the effective configuration as YAML that Load reads back. It holds no
// secret: a configuration has no key for one, and Load refuses values that look like one.
func Show(c Config) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	// Config consists of strings, numbers, lists and maps, which can always be encoded.
	if err := errors.Join(encoder.Encode(c), encoder.Close()); err != nil {
		panic(fmt.Sprintf("show configuration: %v", err))
	}
	if c.Environment == "" {
		return b.Bytes()
	}
	return append([]byte("# environment: "+c.Environment+"\n"), b.Bytes()...)
}

// clone copies the configuration so that an overlay does not write into the base.
func (c Config) clone() Config {
	c.Test.Vars, c.Train.Vars = maps.Clone(c.Test.Vars), maps.Clone(c.Train.Vars)
	c.Image.Vars = maps.Clone(c.Image.Vars)
	c.Rollout.Vars, c.Rollout.Secrets = maps.Clone(c.Rollout.Vars), maps.Clone(c.Rollout.Secrets)
	c.Policy, c.Security.Severity = maps.Clone(c.Policy), maps.Clone(c.Security.Severity)
	return c
}

// parse turns the content into the root mapping; nil for an empty file.
func parse(content []byte) (*yaml.Node, *Problem) {
	fault := func(line int, format string, args ...any) *Problem {
		return &Problem{File: FileName, Line: line, Message: fmt.Sprintf(format, args...)}
	}
	if len(content) > maxBytes {
		return nil, fault(0, "%d bytes are more than the %d a configuration may have", len(content), maxBytes)
	}
	if bytes.HasPrefix(content, []byte{0xFE, 0xFF}) || bytes.HasPrefix(content, []byte{0xFF, 0xFE}) {
		return nil, fault(0, "the file is UTF-16; save it as UTF-8")
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	if !utf8.Valid(content) {
		return nil, fault(invalidLine(content), "not valid UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	if err := decode(decoder, &document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxProblem(content, err)
	}
	if err := decode(decoder, &second); err == nil {
		return nil, fault(second.Line, "a second document starts here; a configuration is one document")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(content, err)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	return document.Content[0], nil
}

// decode turns a panic of the parser, into an error: a committed
// file must not be able to stop the pipeline without a message.
func decode(decoder *yaml.Decoder, node *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: cannot be parsed: %v", r)
		}
	}()
	return decoder.Decode(node)
}

func invalidLine(content []byte) int {
	line := 1
	for len(content) > 0 {
		r, size := utf8.DecodeRune(content)
		if r == utf8.RuneError && size == 1 {
			return line
		}
		if r == '\n' {
			line++
		}
		content = content[size:]
	}
	return line
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)`)

func syntaxProblem(content []byte, err error) *Problem {
	p := &Problem{File: FileName, Message: "not valid YAML: " + strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			p.Line, p.Message = line, "not valid YAML: "+m[2]
		}
	}
	for i, line := range bytes.Split(content, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.ContainsRune(indent, '\t') && len(bytes.TrimSpace(line)) > 0 {
			p.Line, p.Column = i+1, bytes.IndexByte(line, '\t')+1
			p.Message = "not valid YAML: a tab in the indentation; YAML indents with spaces"
			break
		}
	}
	return p
}

// encode renders a value as JSON as it is, without the escapes for HTML. Only strings, numbers, lists and
// maps of them come here, which can always be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return bytes.TrimSpace(b.Bytes())
}

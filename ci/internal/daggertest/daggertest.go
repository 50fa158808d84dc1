// Package daggertest tests code that builds Dagger graphs without an engine: a
// recording connection answers the SDK's queries from a script, and what was asked is
// printed in a form that can be compared with a golden file.
//
//	engine := daggertest.New(t)
//	engine.Answer("stdout", "hello\n")
//	client := engine.Client(t)
//	... code under test ...
//	daggertest.Golden(t, "testdata/build.graphql", engine.Queries())
//
// A query is a chain of fields such as container.from.withExec.stdout; an answer is
// looked up by its last field, or by the end of the chain ("withExec.stdout"). IDs are
// answered by themselves, from the chain that leads to them, so that the same graph has
// the same ID in every run.
package daggertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Call is one query of the code under test.
type Call struct {
	// Path are the fields of the chain, "container.from.stdout". A chain that goes on
	// from an ID starts with the chain behind that ID.
	Path string
	// Query is the whole query, normalised.
	Query string
	// Context is that of the request: a scripted answer may wait for its end.
	Context context.Context
}

// ExecError is a scripted failure of a command, as the engine reports one.
type ExecError struct {
	Cmd            []string
	ExitCode       int
	Stdout, Stderr string
}

// Error implements error.
func (e *ExecError) Error() string { return fmt.Sprintf("exit code: %d", e.ExitCode) }

type answer struct {
	suffix string
	reply  func(Call) (any, error)
}

// Engine is a recording, scripted stand-in for an engine. It is safe for concurrent use.
type Engine struct {
	t testing.TB

	mu      sync.Mutex
	answers []answer
	calls   []Call
	paths   map[string]string // by ID
	masked  *regexp.Regexp
	mask    string
}

// New returns an engine without a script.
func New(t testing.TB) *Engine {
	t.Helper()
	return &Engine{t: t, paths: map[string]string{}}
}

// Mask replaces what differs from run to run by intention, such as random names, before
// anything is recorded. Call it before the first query.
func (e *Engine) Mask(differs *regexp.Regexp, replacement string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.masked, e.mask = differs, replacement
}

// Answer scripts a value for every query whose chain ends in suffix. An error is sent
// as the engine would send it; *ExecError arrives as *dagger.ExecError. Of several that
// match, the longest suffix counts, then the one scripted last.
func (e *Engine) Answer(suffix string, value any) {
	e.AnswerFunc(suffix, func(Call) (any, error) {
		if err, ok := value.(error); ok {
			return nil, err
		}
		return value, nil
	})
}

// AnswerFunc is Answer with a value made for each query.
func (e *Engine) AnswerFunc(suffix string, reply func(Call) (any, error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers = append(e.answers, answer{suffix: suffix, reply: reply})
}

// Client connects the SDK to this engine.
func (e *Engine) Client(t testing.TB) *dagger.Client {
	t.Helper()
	client, err := dagger.Connect(context.Background(), dagger.WithConn(conn{e}))
	require.NoError(t, err, "connect to the recording engine")
	return client
}

// Calls returns what was asked so far.
func (e *Engine) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Call(nil), e.calls...)
}

// Queries is what was asked so far, normalised, one query after another. The SDK asks for
// the IDs of a chain's arguments side by side; those are sorted.
func (e *Engine) Queries() string {
	var queries, ids []string
	flush := func() {
		slices.Sort(ids)
		queries, ids = append(queries, ids...), nil
	}
	for _, call := range e.Calls() {
		if strings.HasSuffix(call.Path, ".id") || strings.HasSuffix(call.Path, ".stop") {
			ids = append(ids, call.Query)
			continue
		}
		flush()
		queries = append(queries, call.Query)
	}
	flush()
	return strings.Join(queries, "\n")
}

// Counts is how often the engine was asked for what, a line each: the last field of a query says
// what it costs, such as a sync, an export or the contents of a file. Commands are those that were
// part of any query, each once however often a chain names it.
func (e *Engine) Counts() string {
	asked, commands := map[string]int{}, map[string]bool{}
	calls := e.Calls()
	for _, call := range calls {
		asked[call.Path[strings.LastIndexByte(call.Path, '.')+1:]]++
		for _, command := range execs.FindAllString(call.Query, -1) {
			commands[command] = true
		}
	}
	lines := make([]string, 0, len(asked))
	for field, n := range asked {
		lines = append(lines, fmt.Sprintf("  %s %d\n", field, n))
	}
	slices.Sort(lines)
	return fmt.Sprintf("queries %d, different commands %d\n%s", len(calls), len(commands), strings.Join(lines, ""))
}

// execs finds the arguments of commands in a normalised query.
var execs = regexp.MustCompile(`withExec\(args: \[(?:"(?:[^"\\]|\\.)*"(?:, ?)?)*\]`)

// conn is the engineconn.EngineConn.
type conn struct{ e *Engine }

func (c conn) Host() string { return "daggertest" }
func (c conn) Close() error { return nil }

func (c conn) Do(request *http.Request) (*http.Response, error) {
	var body struct {
		Query string `json:"query"`
	}
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		return nil, fmt.Errorf("decode query: %w", err)
	}
	data, err := c.e.execute(request.Context(), body.Query)
	reply := map[string]any{"data": data}
	if err != nil {
		failure := map[string]any{"message": err.Error()}
		if exec := (*ExecError)(nil); errors.As(err, &exec) {
			failure["extensions"] = map[string]any{"_type": "EXEC_ERROR", "cmd": exec.Cmd, "exitCode": exec.ExitCode, "stdout": exec.Stdout, "stderr": exec.Stderr}
		}
		reply = map[string]any{"data": nil, "errors": []any{failure}}
	}
	encoded, err := json.Marshal(reply)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Request: request,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(encoded)),
	}, nil
}

// execute answers one query and records it.
func (e *Engine) execute(ctx context.Context, query string) (any, error) {
	doc, parseErr := parser.ParseQuery(&ast.Source{Input: query})
	if parseErr != nil {
		return nil, fmt.Errorf("parse query: %w", parseErr)
	}
	if len(doc.Operations) != 1 {
		return nil, fmt.Errorf("parse query: %d operations, want 1", len(doc.Operations))
	}
	e.mu.Lock()
	w := walker{e: e}
	keys := w.chain(doc.Operations[0].SelectionSet)
	normal := e.normalise(doc)
	call := Call{Path: strings.Join(w.path, "."), Query: normal, Context: ctx}
	e.calls = append(e.calls, call)
	reply := e.lookup(call.Path)
	e.mu.Unlock()

	value, err := e.leaf(call, reply, w.leaves)
	if err != nil {
		return nil, err
	}
	for i := len(keys) - 1; i >= 0; i-- {
		value = map[string]any{keys[i]: value}
	}
	return value, nil
}

// leaf is the value at the end of the chain.
func (e *Engine) leaf(call Call, reply func(Call) (any, error), leaves []string) (any, error) {
	var value any
	switch field := call.Path[strings.LastIndexByte(call.Path, '.')+1:]; {
	case reply != nil:
		var err error
		if value, err = reply(call); err != nil {
			return nil, err
		}
	case field == "id" || field == "sync" || field == "start" || field == "stop":
	case len(leaves) > 0: // a list nobody scripted is empty
		value = []any{}
	default:
		e.t.Errorf("daggertest: no answer for %s", call.Path)
		return nil, fmt.Errorf("daggertest: no answer for %s", call.Path)
	}
	if value == nil {
		return e.identify(call), nil
	}
	if len(leaves) > 0 {
		return e.objects(call, value, leaves)
	}
	return value, nil
}

// objects turns a scripted list of maps into what the SDK expects of a list of objects.
func (e *Engine) objects(call Call, value any, leaves []string) (any, error) {
	items, ok := value.([]map[string]any)
	if !ok {
		if list, isList := value.([]any); isList && len(list) == 0 {
			return list, nil
		}
		return nil, fmt.Errorf("daggertest: answer for %s is %T, want []map[string]any", call.Path, value)
	}
	out := make([]any, len(items))
	for i, item := range items {
		object := map[string]any{}
		for _, leaf := range leaves {
			object[leaf] = item[leaf]
		}
		element := Call{Path: fmt.Sprintf("%s[%d]", call.Path, i), Query: call.Query + fmt.Sprint(i)}
		if _, given := item["id"]; !given {
			object["id"] = e.identify(element)
		}
		for name, field := range item {
			e.Answer(fmt.Sprintf("%s[%d].%s", call.Path, i, name), field)
		}
		out[i] = object
	}
	return out, nil
}

// identify is the ID of what a chain leads to: the same for the same query.
func (e *Engine) identify(call Call) string {
	path := call.Path
	for _, last := range []string{".id", ".sync"} {
		path = strings.TrimSuffix(path, last)
	}
	sum := sha256.Sum256([]byte(call.Query))
	// Named by what it is, not by its order: the SDK resolves the IDs of a call's arguments
	// side by side.
	id := fmt.Sprintf("<%s %s>", path[strings.LastIndexByte(path, '.')+1:], hex.EncodeToString(sum[:3]))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paths[id] = path
	return id
}

// lookup finds the answer scripted for a chain.
func (e *Engine) lookup(path string) func(Call) (any, error) {
	var best *answer
	for i := range e.answers {
		a := &e.answers[i]
		if a.suffix != path && !strings.HasSuffix(path, "."+a.suffix) {
			continue
		}
		if best == nil || len(a.suffix) >= len(best.suffix) {
			best = a
		}
	}
	if best == nil {
		return nil
	}
	return best.reply
}

// walker follows the one chain that a query of the SDK is.
type walker struct {
	e      *Engine
	path   []string
	leaves []string
}

// chain returns the keys under which the answer is nested.
func (w *walker) chain(set ast.SelectionSet) []string {
	var keys []string
	for len(set) > 0 {
		if len(set) > 1 {
			w.fields(set)
			return keys
		}
		switch s := set[0].(type) {
		case *ast.Field:
			name := s.Name
			// A list of objects is asked for as list{id}: its elements are the answer.
			if len(w.path) > 0 && name == "id" && isList(w.path[len(w.path)-1]) {
				w.fields(set)
				return keys
			}
			key := s.Alias
			if key == "" {
				key = name
			}
			keys = append(keys, key)
			if name == "node" || strings.HasPrefix(name, "load") {
				if known := w.e.paths[argument(s, "id")]; known != "" {
					w.path = strings.Split(known, ".")
					set = s.SelectionSet
					continue
				}
			}
			w.path = append(w.path, name)
			set = s.SelectionSet
		case *ast.InlineFragment:
			set = s.SelectionSet
		default:
			return keys
		}
	}
	return keys
}

func (w *walker) fields(set ast.SelectionSet) {
	for _, s := range set {
		if field, ok := s.(*ast.Field); ok {
			w.leaves = append(w.leaves, field.Name)
		}
	}
}

// isList names the SDK's fields that are lists of objects.
func isList(field string) bool {
	switch field {
	case "envVariables", "labels", "exposedPorts", "ports", "search":
		return true
	}
	return false
}

func argument(f *ast.Field, name string) string {
	for _, a := range f.Arguments {
		if a.Name == name && a.Value != nil {
			return a.Value.Raw
		}
	}
	return ""
}

package pyenv

import (
	"cmp"
	"context"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// TestCommand is which tests a project's own tool runs, as arguments of pytest.
type TestCommand struct {
	// Options select and configure tests, such as --doctest-modules. Paths are files and directories of the source.
	Options, Paths []string
	// Vars are variables set on the command line, as NAME=value.
	Vars []string
	// Measured is what coverage measures, and Floor what it requires in percent; empty and 0 if not set.
	Measured []string
	Floor    float64
	// From is the place that was read, or empty.
	From string
	// Unread is the first place that runs tests in a way that a single call of pytest cannot replace. It is only set if From
	// is empty.
	Unread string
}

// ReadTestCommand reads how tox, Hatch, PDM, Rye, poe, taskipy, Pipenv, make, nox or a GitHub workflow run the tests with a
// Python version such as "3.12". It takes the first that calls pytest, or unittest's discover, once and with existing paths.
// Options for reports are dropped.
func ReadTestCommand(ctx context.Context, source runner.Files, python string) (TestCommand, error) {
	t, err := readTree(ctx, source)
	if err != nil {
		return TestCommand{}, err
	}
	unread := ""
	for _, place := range (toolFiles{t, python}).testCommands() {
		found, ok := (calls{t}).oneCall(place.commands)
		if ok {
			found.From = place.from
			return found, t.err
		}
		if slices.ContainsFunc(place.commands, func(words []string) bool { return runnerAt(words) >= 0 }) {
			unread = cmp.Or(unread, place.from)
		}
	}
	return TestCommand{Unread: unread}, t.err
}

// runners are programs and modules that run tests.
var runners = []string{"pytest", "py.test", "unittest", "testtools", "testtools.run", "stestr", "nose2", "nosetests", "trial",
	"zope-testrunner"}

// calls reads the commands by which a project runs its tests.
type calls struct{ *tree }

// oneCall returns the only test call among some commands, which may be repeated. Several different calls cannot be replaced
// by one.
func (t calls) oneCall(all [][]string) (found TestCommand, ok bool) {
	for _, words := range all {
		at := runnerAt(words)
		if at < 0 {
			continue
		}
		call, is := t.pytestCall(path.Base(words[at]), words[at+1:])
		for _, word := range words[:at] {
			if source, measured := strings.CutPrefix(word, "--source="); measured && !strings.ContainsAny(source, "{}$") {
				call.Measured = append(call.Measured, strings.Split(source, ",")...)
			} else if prefixed.MatchString(word) {
				call.Vars = append(call.Vars, word)
			}
		}
		if !is || words[0] == "cd" || ok && !reflect.DeepEqual(call, found) {
			return TestCommand{}, false
		}
		found, ok = call, true
	}
	return found, ok
}

// prefixed matches a variable set for one command, without anything that a shell would expand.
var prefixed = regexp.MustCompile(`^[A-Za-z_]\w*=[\w./:@,+-]*$`)

// installing are options of uv that are followed by what it installs.
var installing = []string{"--with", "--group", "--only-group", "--extra"}

// runnerAt returns the index of the program that runs tests in a command's words, or -1.
func runnerAt(words []string) int {
	at := -1
	for i, word := range words {
		if at < 0 && slices.Contains(runners, path.Base(word)) && (i == 0 || !slices.Contains(installing, words[i-1])) {
			at = i
		}
	}
	if at >= 0 && slices.ContainsFunc(words[:at], func(w string) bool { return strings.Contains(w, "install") }) {
		return -1
	}
	return at
}

// commandPlace is a place with commands, each split into words.
type commandPlace struct {
	from     string
	commands [][]string
}

func (f toolFiles) testCommands() (found []commandPlace) {
	add := func(from string, commands [][]string) {
		var separated [][]string
		for _, words := range commands {
			separated = append(separated, separate(words)...)
		}
		if len(separated) > 0 {
			found = append(found, commandPlace{from, separated})
		}
	}
	for _, tox := range []struct {
		root         table
		prefix, file string
	}{{f.table("tox.toml"), "", "tox.toml"}, {f.toml.sub("tool", "tox"), "tool.tox.", "pyproject.toml"}} {
		env, section := f.toxTable(tox.root)
		list, _ := env["commands"].([]any)
		var commands [][]string
		for _, command := range list {
			commands = append(commands, wordsOf(command))
		}
		add("["+tox.prefix+section+"] of "+tox.file, commands)
	}
	for _, tox := range []struct{ text, base, file string }{
		{f.text("tox.ini"), "testenv", "tox.ini"}, {f.text("setup.cfg"), "tox:testenv", "setup.cfg"},
		{f.toml.sub("tool", "tox").str("legacy_tox_ini"), "testenv", "legacy_tox_ini of pyproject.toml"},
	} {
		sections, section := f.toxSection(tox.text, tox.base)
		text, is := sections[section]["commands"]
		if !is {
			text = sections[tox.base]["commands"]
		}
		var commands [][]string
		for _, line := range lines(text) {
			if m := factor.FindStringSubmatch(line); m != nil {
				if !f.factors(m[1]) {
					continue
				}
				line = m[2]
			}
			commands = append(commands, splitWords(line))
		}
		add("["+section+"] of "+tox.file, commands)
	}
	names := []string{"test", "tests", "run", "cov", "_test"}
	for _, hatch := range []struct {
		envs         table
		prefix, file string
	}{
		{f.table("hatch.toml").sub("envs"), "envs.", "hatch.toml"},
		{f.toml.sub("tool", "hatch", "envs"), "tool.hatch.envs.", "pyproject.toml"},
	} {
		for _, env := range hatchNames {
			scripts := hatch.envs.sub(env, "scripts")
			for _, name := range names {
				add("["+hatch.prefix+env+".scripts] of "+hatch.file, commandsOf(scripts[name]))
			}
		}
	}
	for _, place := range [][]string{{"pdm", "scripts"}, {"rye", "scripts"}, {"poe", "tasks"}, {"taskipy", "tasks"}} {
		tasks := f.toml.sub(append([]string{"tool"}, place...)...)
		for _, name := range names[:2] {
			add("[tool."+strings.Join(place, ".")+"] of pyproject.toml", commandsOf(tasks[name]))
		}
	}
	for _, name := range names[:2] {
		add("[scripts] of Pipfile", commandsOf(f.table("Pipfile").sub("scripts")[name]))
	}
	if m := makeTests.FindStringSubmatch(f.text("Makefile")); m != nil {
		var commands [][]string
		for _, line := range lines(m[1]) {
			commands = append(commands, splitWords(strings.TrimLeft(line, "@-")))
		}
		add("Makefile", commands)
	}
	add("noxfile.py", f.noxCommands())
	add(f.workflows())
	return found
}

// makeTests returns the recipe of the make target for tests.
var makeTests = regexp.MustCompile(`(?m)^tests?:[^\n=]*\n((?:\t[^\n]*(?:\n|$))+)`)

var (
	// collecting are pytest's options that select tests, and which of them take a value.
	collecting = []string{"--doctest-modules", "--doctest-continue-on-failure", "--pyargs"}
	// ofPlugins are those of plugins.
	ofPlugins = []string{"--asyncio-mode", "--ds", "--dc", "--hypothesis-profile"}
	withValue = []string{"-k", "-m", "-c", "-p", "-o", "-W", "--ignore", "--ignore-glob", "--deselect", "--doctest-glob", "--import-mode"}
	// skipped are other options with a value, which would otherwise be taken for a path.
	skipped = []string{"-n", "--numprocesses", "--durations", "--junitxml", "--junit-xml", "--basetemp", "--confcutdir", "--rootdir", "--tb",
		"--color", "--cov-report", "--cov-config", "--cov-context", "--maxfail", "--timeout", "--dist", "--reruns", "--html",
		"--log-level", "--log-cli-level", "--rcfile", "-r", "--show-capture"}
)

// pytestCall parses the arguments of a test runner. It returns false if pytest cannot replace it or if it names missing
// paths.
func (t calls) pytestCall(program string, rest []string) (found TestCommand, ok bool) {
	switch program {
	case "pytest", "py.test":
	case "unittest":
		return t.discovery(rest)
	default:
		return found, false
	}
	for i := 0; i < len(rest); i++ {
		option, value, joined := strings.Cut(rest[i], "=")
		separate := !joined && i+1 < len(rest)
		if separate {
			value = rest[i+1]
		}
		switch {
		case option == "--cov-fail-under":
			if floor, err := strconv.ParseFloat(value, 64); err == nil {
				found.Floor = floor
			}
			if separate {
				i++
			}
		case option == "--cov":
			if own := value != "" && !strings.HasPrefix(value, "-"); own && separate {
				i++
			} else if !own {
				continue
			}
			if !strings.ContainsAny(value, "{}$") {
				found.Measured = append(found.Measured, value)
			}
		case slices.Contains(collecting, option), slices.Contains(ofPlugins, option), t.ownOption(option):
			found.Options = append(found.Options, rest[i])
		case slices.Contains(withValue, option) && separate:
			i++
			switch { // in one word: the flag --path must not replace it
			case strings.HasPrefix(option, "--"):
				found.Options = append(found.Options, option+"="+rest[i])
			case option == "-c":
				found.Options = append(found.Options, option+rest[i])
			default:
				found.Options = append(found.Options, option, rest[i])
			}
		case slices.Contains(withValue, option) || len(option) > 2 && slices.Contains([]string{"-W", "-p", "-k", "-m"}, option[:2]):
			found.Options = append(found.Options, rest[i])
		case slices.Contains(skipped, option) && separate && !strings.HasPrefix(rest[i+1], "-"):
			i++
		case strings.HasPrefix(option, "-") || strings.ContainsAny(option, "{}$"):
		default:
			place := t.placed(rest[i])
			if place == "" {
				return TestCommand{}, false
			}
			found.Paths = append(found.Paths, place)
		}
	}
	return found, !slices.ContainsFunc(found.Options, func(o string) bool { return strings.ContainsAny(o, "{}$") })
}

// ownOption reports whether a conftest.py of the project declares an option.
func (t calls) ownOption(option string) bool {
	return strings.HasPrefix(option, "--") && slices.ContainsFunc(t.names, func(name string) bool {
		return path.Base(name) == "conftest.py" && strings.Contains(t.text(name), strconv.Quote(option))
	})
}

// discovering are the options of unittest's discover that take a value.
var discovering = []string{"-s", "-p", "-t", "--start-directory", "--pattern", "--top-level-directory"}

// discovery converts unittest's discover to pytest's options. pytest's default file names cover unittest's.
func (t calls) discovery(words []string) (found TestCommand, ok bool) {
	if len(words) == 0 || words[0] != "discover" {
		return found, false
	}
	found.Options = []string{"-o", "python_functions="} // it only runs methods of classes
	for i := 1; i < len(words); i++ {
		option, value, joined := strings.Cut(words[i], "=")
		if !joined && i+1 < len(words) && slices.Contains(discovering, option) {
			i++
			value = words[i]
		}
		switch option {
		case "-s", "--start-directory":
			if value = t.placed(value); value == "" {
				return TestCommand{}, false
			}
			found.Paths = []string{value}
		case "-p", "--pattern":
			found.Options = append(found.Options, "-o", "python_files="+value)
		}
	}
	return found, true
}

// placed returns a path of the source, also for a path below src that is given as installed. It returns an empty string for a
// missing one.
func (t calls) placed(name string) string {
	for _, place := range []string{path.Clean(name), path.Join("src", name)} {
		if place == "." || t.has(place) || slices.ContainsFunc(t.names, func(n string) bool { return strings.HasPrefix(n, place+"/") }) {
			return place
		}
	}
	return ""
}

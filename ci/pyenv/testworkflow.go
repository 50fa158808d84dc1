package pyenv

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	// noxTests matches the sessions for tests with their bodies; noxRun matches a call in one, with its arguments.
	noxTests = regexp.MustCompile(`(?m)^def tests?\([^\n]*\n((?:[ \t][^\n]*(?:\n|$)|\n)+)`)
	noxRun   = regexp.MustCompile(`session\.run(?:_always)?\(([^()]*(?:\([^()]*\)[^()]*)*)\)`)
	noxWord  = regexp.MustCompile(`"([^"\n]*)"|'([^'\n]*)'|(\*?[\w.]+)(\s*=)?`)
)

// noxCommands returns the commands of nox's test sessions. What Python computes becomes a variable, except the arguments that
// the caller can add.
func (f toolFiles) noxCommands() (all [][]string) {
	for _, session := range noxTests.FindAllStringSubmatch(f.text("noxfile.py"), -1) {
		for _, call := range noxRun.FindAllStringSubmatch(session[1], -1) {
			var words []string
			for _, m := range noxWord.FindAllStringSubmatch(call[1], -1) {
				if m[4] != "" { // an argument of nox itself, and all that follow
					break
				}
				if m[3] == "" {
					words = append(words, m[1]+m[2])
				} else if m[3] != "*session.posargs" {
					words = append(words, "-k", "$"+m[3]) // which tests it selects is unknown
				}
			}
			all = append(all, words)
		}
	}
	return all
}

// workflow is the part of a GitHub workflow that is read.
type workflow struct {
	name string
	On   yaml.Node            `yaml:"on"`
	Env  map[string]yaml.Node `yaml:"env"`
	Jobs map[string]job       `yaml:"jobs"`
}

type job struct {
	Env      map[string]yaml.Node `yaml:"env"`
	Services map[string]yaml.Node `yaml:"services"`
	Defaults struct {
		Run struct {
			Folder string `yaml:"working-directory"`
		} `yaml:"run"`
	} `yaml:"defaults"`
	Steps []struct {
		Env    map[string]yaml.Node `yaml:"env"`
		Run    string               `yaml:"run"`
		Folder string               `yaml:"working-directory"`
	} `yaml:"steps"`
}

// commands returns the lines of all steps.
func (j job) commands() (all []string) {
	for _, step := range j.Steps {
		all = append(all, lines(step.Run)...)
	}
	return all
}

// runsTests matches a command that runs tests, by its program or by a task's name.
var runsTests = regexp.MustCompile(`\b(?:py\.?test|unittest|nosetests|tox|nox|coverage run)\b|` +
	`\b(?:make|just|task|hatch|pdm|poetry|poe|rye|uv|inv|invoke|pixi|pipenv|bash|sh)\s(?:[^;&|]*[\s/_:-])?(?:tests?|check|ci|cov(?:erage)?)\b`)

var betweenCommands = regexp.MustCompile(`[\n;&|]+`)

// tests reports whether the job runs tests. Others check style, build an image or deploy.
func (j job) tests() bool {
	return slices.ContainsFunc(betweenCommands.Split(strings.Join(j.commands(), "\n"), -1), func(command string) bool {
		return runsTests.MatchString(command) && !strings.Contains(command, "install")
	})
}

// pushed returns the workflows that run for a push or a pull request.
func pushed(t *tree) (found []workflow) {
	for _, name := range t.names {
		if path.Dir(name) != ".github/workflows" || path.Ext(name) != ".yml" && path.Ext(name) != ".yaml" {
			continue
		}
		file := workflow{name: name}
		if yaml.Unmarshal([]byte(t.text(name)), &file) != nil {
			continue
		}
		triggers := append([]*yaml.Node{&file.On}, file.On.Content...)
		if slices.ContainsFunc(triggers, func(n *yaml.Node) bool { return n.Value == "push" || n.Value == "pull_request" }) {
			found = append(found, file)
		}
	}
	return found
}

// Surroundings is what GitHub workflows provide to the tests besides packages: Services by name, and Vars with literal
// values, both from the jobs that run tests. From is the file, preferably the one with the services. Commands are the lines
// of these jobs by file name.
type Surroundings struct {
	From     string
	Services []string
	Vars     map[string]string
	Commands map[string][]string
}

// plainValue matches a literal value that is no address with credentials.
var plainValue = regexp.MustCompile(`^[\w./-]+$`)

func surroundings(t *tree) Surroundings {
	found := Surroundings{Vars: map[string]string{}, Commands: map[string][]string{}}
	add := func(vars map[string]yaml.Node) {
		for name, value := range vars {
			if plainValue.MatchString(value.Value) {
				found.Vars[name] = value.Value
			}
		}
	}
	for _, file := range pushed(t) {
		for _, name := range slices.Sorted(maps.Keys(file.Jobs)) {
			job := file.Jobs[name]
			if !job.tests() {
				continue
			}
			found.From = cmp.Or(found.From, file.name)
			found.Commands[file.name] = append(found.Commands[file.name], job.commands()...)
			add(file.Env)
			add(job.Env)
			for _, step := range job.Steps {
				add(step.Env)
			}
			for _, name := range slices.Sorted(maps.Keys(job.Services)) {
				if len(found.Services) == 0 {
					found.From = file.name
				}
				if !slices.Contains(found.Services, name) {
					found.Services = append(found.Services, name)
				}
			}
		}
	}
	slices.Sort(found.Services)
	return found
}

// ServicesNext returns the remedy for tests that need the services, or an empty string.
func (s Surroundings) ServicesNext() string {
	if len(s.Services) == 0 {
		return ""
	}
	return fmt.Sprintf("%s starts %s beside the tests, and the pipeline does not: give these tests a stand-in, or mark them and leave them "+
		`out: test.command: [python, -m, pytest, -v, -m, "not integration"]`, s.From, strings.Join(s.Services, ", "))
}

// VarsNext returns the configuration that sets variables as the workflow does, or an empty string.
func (s Surroundings) VarsNext(names []string, key string) string {
	var set []string
	for _, name := range names {
		if value, is := s.Vars[name]; is {
			set = append(set, name+": "+strconv.Quote(value))
		}
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s sets it, so write %s: {%s}", s.From, key, strings.Join(set, ", "))
}

// workflows returns the commands of all workflows that run for a push or a pull request together, because tests can be in
// several. It is named after the first file that runs tests. Commands in another directory belong to another project.
func (f toolFiles) workflows() (from string, commands [][]string) {
	for _, file := range pushed(f.tree) {
		for _, job := range file.Jobs {
			for _, step := range job.Steps {
				if step.Folder != "" || job.Defaults.Run.Folder != "" {
					continue
				}
				// The lines share a shell, so "cd" applies to those after it.
				var words []string
				for _, line := range lines(step.Run) {
					words = append(append(words, splitWords(line)...), ";")
				}
				for _, one := range separate(words) {
					if len(one) == 0 || one[0] == "cd" {
						continue
					}
					if commands = append(commands, one); from == "" && runnerAt(one) >= 0 {
						from = file.name
					}
				}
			}
		}
	}
	return from, commands
}

var (
	// ofTests matches the name of a file or directory that contains the word test.
	ofTests = regexp.MustCompile(`(?i:(?:^|[_-])tests?(?:[_-]|$))|^Test[A-Z]|[a-z0-9]Tests?$`)
	helpers = []string{"__init__.py", "__main__.py", "conftest.py", "setup.py"}
)

// OtherTests returns files that look like tests by name or directory but are not loaded by pytest.
func OtherTests(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		stem, is := strings.CutSuffix(name, ".py")
		return !is || slices.Contains(helpers, path.Base(name)) || !slices.ContainsFunc(strings.Split(stem, "/"), ofTests.MatchString)
	})
}

// OtherTestsNext returns the command that loads them, or an empty string.
func OtherTestsNext(names []string) string {
	found := OtherTests(names)
	if len(found) == 0 {
		return ""
	}
	var places []string
	for _, name := range found {
		place := path.Dir(name)
		if place == "." {
			place = name
		}
		if !slices.Contains(places, place) && len(places) < 5 {
			places = append(places, place)
		}
	}
	return fmt.Sprintf(`%s looks like tests: pytest loads other names by test.command: [python, -m, pytest, -v, -o, "python_files=*.py", %s]`,
		found[0], strings.Join(places, ", "))
}

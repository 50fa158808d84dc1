package pyenv

import (
	"path"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

var (
	// noxTests are the sessions for tests, each with its body; noxRun is a call in one, with its arguments.
	noxTests = regexp.MustCompile(`(?m)^def tests?\([^\n]*\n((?:[ \t][^\n]*(?:\n|$)|\n)+)`)
	noxRun   = regexp.MustCompile(`session\.run(?:_always)?\(([^()]*(?:\([^()]*\)[^()]*)*)\)`)
	noxWord  = regexp.MustCompile(`"([^"\n]*)"|'([^'\n]*)'|(\*?[\w.]+)(\s*=)?`)
)

// noxCommands are the commands of nox's sessions for tests. What Python computes is left as a variable, but for the arguments
// that the caller can add.
func (f toolFiles) noxCommands() (all [][]string) {
	for _, session := range noxTests.FindAllStringSubmatch(f.text("noxfile.py"), -1) {
		for _, call := range noxRun.FindAllStringSubmatch(session[1], -1) {
			var words []string
			for _, m := range noxWord.FindAllStringSubmatch(call[1], -1) {
				if m[4] != "" { // an argument of nox itself, and all after it
					break
				}
				if m[3] == "" {
					words = append(words, m[1]+m[2])
				} else if m[3] != "*session.posargs" {
					words = append(words, "-k", "$"+m[3]) // which tests it selects is not known
				}
			}
			all = append(all, words)
		}
	}
	return all
}

// workflows are the commands of GitHub's workflows that run for a push or a pull request, all together: tests can be in several. It
// is named after the first file that runs tests. What runs in another folder is of another project.
func (f toolFiles) workflows() (from string, commands [][]string) {
	for _, name := range f.names {
		if path.Dir(name) != ".github/workflows" || path.Ext(name) != ".yml" && path.Ext(name) != ".yaml" {
			continue
		}
		var file struct {
			On   yaml.Node `yaml:"on"`
			Jobs map[string]struct {
				Defaults struct {
					Run struct {
						Folder string `yaml:"working-directory"`
					} `yaml:"run"`
				} `yaml:"defaults"`
				Steps []struct {
					Run    string `yaml:"run"`
					Folder string `yaml:"working-directory"`
				} `yaml:"steps"`
			} `yaml:"jobs"`
		}
		if yaml.Unmarshal([]byte(f.text(name)), &file) != nil {
			continue
		}
		triggers := append([]*yaml.Node{&file.On}, file.On.Content...)
		if !slices.ContainsFunc(triggers, func(n *yaml.Node) bool { return n.Value == "push" || n.Value == "pull_request" }) {
			continue
		}
		for _, job := range file.Jobs {
			for _, step := range job.Steps {
				if step.Folder != "" || job.Defaults.Run.Folder != "" {
					continue
				}
				// The lines share a shell, so that "cd" holds for those after it.
				var words []string
				for _, line := range lines(step.Run) {
					words = append(append(words, splitWords(line)...), ";")
				}
				for _, one := range separate(words) {
					if len(one) == 0 || one[0] == "cd" {
						continue
					}
					if commands = append(commands, one); from == "" && runnerAt(one) >= 0 {
						from = name
					}
				}
			}
		}
	}
	return from, commands
}

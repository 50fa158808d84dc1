package scaffold

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// container is what a Dockerfile or a compose file says about the application.
type container struct {
	name   string
	port   int
	health string
	// entrypoint and command start it, as words; nil for what needs a shell. alone is set for an entrypoint that takes no
	// command. started is whether there is anything.
	entrypoint, command []string
	alone, started      bool
	// user reports whether a Dockerfile ends as a user other than root.
	user bool
}

var (
	exposed   = regexp.MustCompile(`^(\d{1,5})(?:/tcp)?$`)
	askedPath = regexp.MustCompile(`https?://[^/\s"']+(/[A-Za-z0-9_./-]*)`)
	published = regexp.MustCompile(`(?:^|:)(\d{1,5})(?:/tcp)?$`)
)

// dockerfileName is the Dockerfile of the application; empty if there is none.
func (t *tree) dockerfileName() string {
	for _, name := range []string{"Dockerfile", "docker/Dockerfile", "deploy/Dockerfile", "Dockerfile.prod"} {
		if t.has(name) {
			return name
		}
	}
	return ""
}

var heredoc = regexp.MustCompile(`(?:^|[^<])<<-?["']?(\w+)["']?`)

// instructions are the lines of a Dockerfile, continued ones joined, without the files that are
// written out in it: a line of those may begin like an instruction.
func (t *tree) instructions(name string) (lines []string) {
	text := strings.ReplaceAll(t.text(name), "\r\n", "\n")
	end := ""
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if end != "" {
			if strings.TrimLeft(line, "\t") == end {
				end = ""
			}
			continue
		}
		if m := heredoc.FindStringSubmatch(line); m != nil {
			end = m[1]
		}
		lines = append(lines, line)
	}
	return lines
}

// dockerfile reads the last stage of the Dockerfile, with what it inherits from the stages it is made from.
func (s serving) dockerfile() container {
	found := container{name: s.tree.dockerfileName()}
	if found.name == "" {
		return found
	}
	stages := map[string]container{}
	stage := ""
	env := map[string]string{}
	own := false // whether the stage has a CMD: ENTRYPOINT drops an inherited one
	for _, line := range s.tree.instructions(found.name) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), fields[0]))
		switch strings.ToUpper(fields[0]) {
		case "FROM":
			stages[stage] = found
			from := fromLine(fields[1:])
			name := found.name
			found = stages[from.stage()] // nothing for an image of elsewhere
			found.name, stage = name, from.as
			own = false
		case "EXPOSE":
			if m := exposed.FindStringSubmatch(fields[1]); m != nil {
				found.port = portOf(m[1])
			}
		case "USER":
			user, _, _ := strings.Cut(fields[1], ":")
			found.user = user != "root" && strings.Trim(user, "0") != ""
		case "HEALTHCHECK":
			if m := askedPath.FindStringSubmatch(rest); m != nil {
				found.health = m[1]
			}
		case "ENV", "ARG":
			if !strings.Contains(fields[1], "=") && len(fields) > 2 { // the older form, of one variable
				env[fields[1]] = strings.Join(fields[2:], " ")
				continue
			}
			for _, word := range fields[1:] {
				key, value, _ := strings.Cut(word, "=")
				env[key] = strings.Trim(value, `"'`)
			}
		case "ENTRYPOINT":
			found.entrypoint, found.alone = commandWords(rest, env)
			found.started = true
			if !own {
				found.command = nil
			}
		case "CMD":
			found.command, _ = commandWords(rest, env)
			found.started, own = true, true
		}
	}
	return found
}

// from is a FROM line: the image or stage, and the name of the stage that begins.
type from struct{ image, as string }

func (f from) stage() string { return strings.ToLower(f.image) }

func fromLine(fields []string) (f from) {
	for len(fields) > 0 && strings.HasPrefix(fields[0], "--") {
		fields = fields[1:]
	}
	if len(fields) > 0 {
		f.image = fields[0]
	}
	if len(fields) > 2 && strings.EqualFold(fields[1], "as") {
		f.as = strings.ToLower(fields[2])
	}
	return f
}

var (
	pythonImage = regexp.MustCompile(`(?:^|/)python:(3\.\d+)(?:[.-]|$|@)`)
	argument    = regexp.MustCompile(`\$\{?(\w+)\}?`)
	setupPython = regexp.MustCompile(`(?m)^\s*python-version\s*:\s*\[?\s*["']?(3\.\d+)`)
)

// usedPython is the Python that the project runs on where it says so only by using it: the
// official image that its Dockerfile ends on, or the version that its workflows set up.
func (t *tree) usedPython() (version, where string) {
	if name := t.dockerfileName(); name != "" {
		arguments := map[string]string{}
		for _, line := range t.instructions(name) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			switch strings.ToUpper(fields[0]) {
			case "ARG":
				key, value, _ := strings.Cut(fields[1], "=")
				arguments[key] = strings.Trim(value, `"'`)
			case "FROM":
				image := argument.ReplaceAllStringFunc(fromLine(fields[1:]).image, func(word string) string {
					return arguments[argument.FindStringSubmatch(word)[1]]
				})
				if m := pythonImage.FindStringSubmatch(image); m != nil {
					version, where = m[1], "FROM "+image+" in "+name
				}
			}
		}
	}
	for _, name := range t.names {
		if version != "" {
			break
		}
		if path.Dir(name) != ".github/workflows" {
			continue
		}
		if m := setupPython.FindStringSubmatch(t.text(name)); m != nil {
			version, where = m[1], "python-version in "+name
		}
	}
	return version, where
}

// useDockerfile takes the Dockerfile when the pipeline would accept what it makes; it adds a health check itself, and a port that is
// known otherwise.
func (s serving) useDockerfile(file container, port int) {
	if file.name == "" {
		return
	}
	lacks := "USER other than root"
	switch {
	case file.user && (file.port != 0 || port != 0):
		s.set("image.dockerfile", file.name, "it ends with a user other than root")
		return
	case file.user:
		lacks = "EXPOSE"
	}
	s.found("%s has no %s, so the pipeline builds the image itself; add it and write `image.dockerfile: %s` to use the file",
		file.name, lacks, file.name)
}

// volumes leaves out the usual volumes when one would hide code of the application.
func (s serving) volumes() {
	kept := slices.Clone(config.Default().Image.Volumes)
	var hidden []string
	kept = slices.DeleteFunc(kept, func(volume string) bool {
		dir := strings.TrimPrefix(volume, "/app/") // where the pipeline's own image has the source
		if !slices.ContainsFunc(s.tree.code, func(name string) bool { return strings.HasPrefix(name, dir+"/") }) {
			return false
		}
		hidden = append(hidden, dir)
		return true
	})
	if hidden != nil {
		s.set("image.volumes", kept, "code in %s, which a volume there would hide", strings.Join(hidden, " and "))
	}
}

// compose reads the service of a compose file that is built from this repository.
func (s serving) compose() container {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
		if !s.tree.has(name) {
			continue
		}
		var file struct {
			Services map[string]struct {
				Build       yaml.Node `yaml:"build"`
				Command     yaml.Node `yaml:"command"`
				Ports       yaml.Node `yaml:"ports"`
				Healthcheck struct {
					Test yaml.Node `yaml:"test"`
				} `yaml:"healthcheck"`
			} `yaml:"services"`
		}
		if yaml.Unmarshal([]byte(s.tree.text(name)), &file) != nil {
			return container{}
		}
		found := container{}
		built := 0
		for _, service := range file.Services {
			if service.Build.Kind == 0 {
				continue
			}
			built++
			found = container{name: name, command: nodeWords(service.Command)}
			for _, port := range service.Ports.Content {
				if m := published.FindStringSubmatch(port.Value); m != nil {
					found.port = portOf(m[1])
				}
			}
			for _, word := range append([]*yaml.Node{&service.Healthcheck.Test}, service.Healthcheck.Test.Content...) {
				if m := askedPath.FindStringSubmatch(word.Value); m != nil {
					found.health = path.Clean(m[1])
				}
			}
		}
		if built == 1 {
			return found
		}
		return container{} // which of several is the application, it does not say
	}
	return container{}
}

// nodeWords are the words of a command in YAML: a list, or text without anything that needs a shell.
func nodeWords(node yaml.Node) (words []string) {
	if node.Kind == yaml.ScalarNode {
		return shellWords(node.Value, nil)
	}
	for _, word := range node.Content {
		words = append(words, word.Value)
	}
	return words
}

// portOf is a port, or 0 for a number that is none.
func portOf(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

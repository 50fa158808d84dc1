package scaffold

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// portWord is the placeholder for the port that the pipeline chooses.
const portWord = "{{port}}"

var (
	variable = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})`)
	// startWord matches a word that means the same without a shell.
	startWord = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+()\[\]{}*-]+$`)
	object    = regexp.MustCompile(`^([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(\))?$`)
	number    = regexp.MustCompile(`(\d{2,5}|\{\{port\}\})$`)
	namesPort = regexp.MustCompile(`^(?:-p|--(?:[\w.-]+[.-])?port)$`)
	namesHost = regexp.MustCompile(`^(?:-b|--bind|--listen)$`)
)

// servers are the programs that start applications, with their default port and the arguments that set it. If file is set the
// application is given as a file, otherwise as an object of a module.
var servers = map[string]struct {
	port     int
	host, to []string
	file     bool
}{
	"uvicorn":   {port: 8000, host: []string{"--host", "0.0.0.0"}, to: []string{"--port", portWord}},
	"hypercorn": {port: 8000, to: []string{"--bind", "0.0.0.0:" + portWord}},
	"gunicorn":  {port: 8000, to: []string{"--bind", "0.0.0.0:" + portWord}},
	"granian":   {port: 8000, host: []string{"--host", "0.0.0.0"}, to: []string{"--port", portWord}},
	"fastapi":   {port: 8000, to: []string{"--port", portWord}, file: true},
	"bentoml":   {port: 3000, host: []string{"--host", "0.0.0.0"}, to: []string{"--port", portWord}},
	"streamlit": {port: 8501, to: []string{"--server.port=" + portWord}, file: true},
	"python":    {file: true},
}

// startedBy returns the application that a Dockerfile or compose file starts, or nil if the command needs a shell or starts
// nothing of the source.
func (s serving) startedBy(c container) *app {
	words := unwrapped(slices.Concat(c.entrypoint, c.command))
	if c.alone {
		words = unwrapped(c.entrypoint)
	}
	if len(words) < 2 {
		return nil
	}
	name := path.Base(words[0])
	if name == "python3" {
		name = "python"
	}
	words[0] = name
	if name == "python" && words[1] == "-m" && len(words) > 2 && servers[words[2]].to != nil {
		name = words[2]
	}
	server, known := servers[name]
	if !known {
		return nil
	}
	file := s.scriptOf(words)
	if !server.file {
		file, words = s.objectOf(name, words)
	}
	if file == "" {
		return nil
	}
	found := &app{name: c.name, why: "the command of " + c.name, health: s.healthRoute(), page: s.rootPage()}
	found.command, found.port = chosenPort(words)
	if !slices.ContainsFunc(found.command, func(word string) bool { return strings.Contains(word, portWord) }) {
		found.command, found.port = append(found.command, server.to...), server.port
	}
	if len(server.host) > 0 && !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, server.host[0]) }) {
		found.command = append(found.command, server.host...)
	}
	switch name {
	case "streamlit":
		d := config.Default().Image
		found.health, found.page = d.Health, d.Page
	case "uvicorn", "gunicorn", "hypercorn", "granian":
		s.needs(name)
	}
	return found
}

// objectOf returns the file of the served object module:name. If the file is in a directory that the Dockerfile makes the
// working directory, the command is adapted.
func (s serving) objectOf(server string, words []string) (file string, command []string) {
	at := slices.IndexFunc(words, object.MatchString)
	if at < 0 {
		return "", words
	}
	module := strings.ReplaceAll(object.FindStringSubmatch(words[at])[1], ".", "/")
	folder := map[string]string{"uvicorn": "--app-dir", "gunicorn": "--chdir"}[server]
	in := "."
	for _, option := range []string{folder, "--pythonpath"} {
		if i := slices.Index(words, option); option != "" && i >= 0 && i+1 < len(words) {
			in = words[i+1]
		}
	}
	var elsewhere []string
	for _, name := range s.tree.code {
		for _, ending := range []string{module + ".py", module + "/__init__.py"} {
			if name == path.Join(in, ending) {
				return name, words
			}
			if dir, is := strings.CutSuffix(name, "/"+ending); is {
				file, elsewhere = name, append(elsewhere, dir)
			}
		}
	}
	if len(elsewhere) != 1 || folder == "" || in != "." {
		return "", words
	}
	if server == "gunicorn" && elsewhere[0] == "src" {
		folder = "--pythonpath" // modules in src are installed, and file paths are relative to the root
	}
	return file, slices.Insert(slices.Clone(words), at, folder, elsewhere[0])
}

// chosenPort replaces a command's port by the placeholder.
func chosenPort(words []string) (command []string, port int) {
	command = slices.Clone(words)
	for i, word := range command {
		option, value, joined := strings.Cut(word, "=")
		if !joined && i > 0 {
			option, value = command[i-1], word
		}
		at := number.FindStringIndex(value)
		switch {
		case at == nil:
		case namesPort.MatchString(option) && at[0] == 0, namesHost.MatchString(option) && at[0] > 0 && value[at[0]-1] == ':':
			port = portOf(value[at[0]:]) // 0 if it is the placeholder already
			command[i] = strings.TrimSuffix(word, value[at[0]:]) + portWord
		}
	}
	return command, port
}

// unwrapped strips programs that only start another one.
func unwrapped(words []string) []string {
	words = slices.Clone(words)
	for len(words) > 1 {
		if strings.HasSuffix(words[0], ".sh") { // as an entrypoint it prepares, and runs the rest
			words = words[1:]
			continue
		}
		switch path.Base(words[0]) {
		case "tini", "dumb-init", "exec", "catchsegv":
			words = words[1:]
			for len(words) > 1 && strings.HasPrefix(words[0], "-") {
				words = words[1:]
			}
		case "uv", "poetry", "pdm", "pipenv", "hatch":
			if words[1] != "run" {
				return words
			}
			words = words[2:]
			for len(words) > 1 && strings.HasPrefix(words[0], "--") {
				words = words[1:]
			}
		default:
			return words
		}
	}
	return words
}

// commandWords returns the words of a CMD or ENTRYPOINT in either form, or nil if it needs a shell. shell is set for the form
// that takes no further arguments.
func commandWords(text string, env map[string]string) (words []string, shell bool) {
	if json.Unmarshal([]byte(text), &words) != nil {
		return shellWords(text, env), true
	}
	shells, options := []string{"sh", "bash", "ash"}, []string{"-c", "-lc"}
	if len(words) == 3 && slices.Contains(shells, path.Base(words[0])) && slices.Contains(options, words[1]) {
		return shellWords(words[2], env), true
	}
	return words, false
}

func shellWords(text string, env map[string]string) []string {
	unset := false
	text = variable.ReplaceAllStringFunc(text, func(reference string) string {
		m := variable.FindStringSubmatch(reference)
		name := m[1] + m[2]
		switch {
		case env[name] != "":
			return env[name]
		case m[3] != "":
			return m[3]
		case strings.Contains(strings.ToUpper(name), "PORT"):
			return portWord
		}
		unset = true
		return ""
	})
	words := strings.Fields(text)
	for i, word := range words {
		if bare := strings.Trim(word, `"'`); len(word)-len(bare) == 0 || len(word)-len(bare) == 2 {
			words[i] = bare
		}
		unquoted := words[i] == word
		if !startWord.MatchString(words[i]) || unquoted && strings.ContainsAny(words[i], "()[]*") || strings.Contains(words[i], "*") {
			unset = true
		}
	}
	if unset {
		return nil
	}
	return words
}

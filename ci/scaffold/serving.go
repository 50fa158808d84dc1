package scaffold

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

var (
	accuracy     = regexp.MustCompile(`\baccuracy`)
	useStreamlit = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+streamlit\b`)
	litServe     = regexp.MustCompile(`\bLitServer\(`)
	litPort      = regexp.MustCompile(`\.run\([^)]*\bport\s*=\s*(\d+)`)
	bentoObject  = regexp.MustCompile(`(?m)^(\w+)\s*=\s*bentoml\.Service\(`)
	bentoClass   = regexp.MustCompile(`(?m)^@(?:bentoml\.)?service\b(?:\([^@]*?\))?\s*\n(?:@[^\n]*\n)*class (\w+)`)
	useBento     = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+bentoml\b`)
	useGradio    = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+gradio\b`)
	launches     = regexp.MustCompile(`\.launch\(`)
	ownPort      = regexp.MustCompile(`server_port\s*=\s*(\d+)`)
	fastAPI      = regexp.MustCompile(`(?m)^(\w+)(?:\s*:\s*FastAPI)?\s*=\s*(?:fastapi\.)?FastAPI\(`)
	flask        = regexp.MustCompile(`(?m)^(\w+)(?:\s*:\s*Flask)?\s*=\s*(?:flask\.)?Flask\(`)
	function     = regexp.MustCompile(`(?m)^(?:async )?def (\w+)\(([^)]*)\)([^\n]*)\n((?:[ \t][^\n]*\n?|\n)*)`)
	route        = regexp.MustCompile(`@\w+\.(?:get|route|api_route)\(\s*["']([^"']{1,100})["']`)
	health       = regexp.MustCompile(`(?i)^/(?:[\w-]+/)*(?:healthz?|health-?check|_health|heartbeat|ping|readyz?|readiness|` +
		`live(?:z|ness)?|alive|status|up)/?$`)
	noOpenAPI     = regexp.MustCompile(`openapi_url\s*=\s*None`)
	useDjango     = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+django\b`)
	serverPackage = regexp.MustCompile(`(?i)\b(uvicorn|gunicorn|hypercorn|granian|fastapi\[(?:standard|all)[^\]]*\])`)
)

// app is an application that serves requests.
type app struct {
	command []string
	// health is empty if no health route is known; otherwise is a path that then exists.
	health, otherwise string
	page, why, name   string
	port              int
}

// serving finds the application that uses the model, from code, Dockerfile and compose file.
type serving struct{ *survey }

// find adds it to the proposal.
func (s serving) find() {
	composed := s.tree.compose()
	file := s.dockerfile(composed)
	said := slices.Concat(file.entrypoint, file.command, composed.command)
	found := s.app(said)
	for _, c := range []container{file, composed} {
		if found == nil {
			found = s.startedBy(c)
		}
	}
	if found == nil {
		s.withoutApp(file)
		return
	}
	s.serves = true
	defaults := config.Default().Image
	if !slices.Equal(found.command, defaults.Command) {
		s.set("image.command", found.command, "%s", found.why)
	}
	for _, port := range []int{file.port, composed.port, found.port, portIn(slices.Concat(file.entrypoint, file.command))} {
		if port != 0 && port != defaults.Port {
			s.set("image.port", port, "the port that %s has", s.portFrom(port, file, composed, found))
			break
		}
	}
	path, why := found.health, "the route that answers without a model or a login"
	if path == "" && file.health == "" && composed.health == "" {
		path, why = cmp.Or(found.otherwise, "/"), "no route is known that says how it is"
		s.unknown("image.health", "add a route such as /health, and write `image.health: /health`",
			"a path that says whether the application is well: none is called health; %s is asked", path)
	}
	if file.health != "" {
		path, why = file.health, "HEALTHCHECK of "+file.name
	} else if composed.health != "" {
		path, why = composed.health, "healthcheck of "+composed.name
	}
	if path != defaults.Health {
		s.set("image.health", path, "%s", why)
	}
	if found.page != defaults.Page {
		s.set("image.page", found.page, "no page at / to draw")
	}
	s.useDockerfile(file, cmp.Or(composed.port, found.port, portIn(slices.Concat(file.entrypoint, file.command))))
	s.volumes(file, composed, s.modelDir())
	s.told(file, composed)
}

// portIn returns the port that a command listens on according to its arguments, or 0.
func portIn(words []string) int {
	_, port := chosenPort(words)
	return port
}

// modelDir returns where the application opens the model: as its own code says, or else where the training writes it.
func (s serving) modelDir() string {
	base, usual := path.Base(s.model.pattern), config.Default().Image.ModelDir
	if s.model.pattern == "" || strings.Contains(base, "*") {
		return usual
	}
	dir, from, inRoot := path.Dir(s.model.pattern), s.model.in, ""
	for _, l := range s.literals("", modelFile, boosterFile) {
		if path.Base(l.pattern) != base || l.in == s.trainFile {
			continue
		}
		if !strings.Contains(l.pattern, "*") && path.Dir(l.pattern) != "." {
			dir, from, inRoot = path.Dir(l.pattern), l.in, ""
			break
		}
		if strings.TrimPrefix(l.pattern, "**/") == base && opens.MatchString(l.before) {
			inRoot = cmp.Or(inRoot, l.in)
		}
	}
	if inRoot != "" {
		s.unknown("image.model_dir", "open "+path.Join(usual, base)+" there, or the file in the folder that `image.model_dir` names",
			"how %s finds the model: it opens %s in the root, and the pipeline puts the model into a folder", inRoot, base)
	}
	if dir == "." || dir == usual || strings.Contains(dir, "*") {
		return usual
	}
	s.set("image.model_dir", dir, "%s opens the model there", from)
	return dir
}

func (s serving) portFrom(port int, file, composed container, found *app) string {
	switch port {
	case file.port:
		return "EXPOSE of " + file.name
	case composed.port:
		return composed.name
	case found.port:
		return found.name
	}
	return "the command of " + file.name
}

func (s serving) withoutApp(file container) {
	if !s.trains {
		return
	}
	what := "an application: no Streamlit, Gradio, FastAPI, Flask, BentoML or LitServe was found"
	switch {
	case s.tree.uses(useDjango):
		what = "how the application is started: it is Django's"
	case file.started:
		what = "which application " + file.name + " starts: neither its command nor the code tells"
	}
	s.unknown("image.command image.dockerfile",
		"write `image.command: [...]` with {{port}} for the port, and `image.health`; until then neither image nor deployment is made",
		"%s", what)
}

// app returns the first kind of application found in the code.
func (s serving) app(said []string) *app {
	if d := config.Default().Image; s.tree.has(d.Command[2]) {
		return &app{command: d.Command, health: d.Health, page: d.Page, name: d.Command[2]}
	}
	for _, find := range []func([]string) *app{s.bentoml, s.litserve, s.fastapi, s.flask, s.streamlit, s.gradio} {
		if found := find(said); found != nil {
			return found
		}
	}
	return nil
}

// preferred returns the most likely start file of several: one that a command names, or else one with a usual name.
func (s serving) preferred(said, names []string) string {
	for _, name := range names {
		if slices.ContainsFunc(said, func(word string) bool {
			module := strings.TrimPrefix(s.tree.importable(name), "src.")
			return path.Clean(word) == name || strings.HasPrefix(strings.TrimPrefix(word, "src."), module+":")
		}) {
			return name
		}
	}
	for _, base := range []string{"streamlit_app.py", "app.py", "Home.py", "main.py", "api.py", "server.py", "dashboard.py", "chatbot.py",
		"ui.py"} {
		for _, name := range names {
			if path.Base(name) == base {
				return name
			}
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

func (s serving) streamlit(said []string) *app {
	names := slices.DeleteFunc(s.tree.mentions(useStreamlit), func(name string) bool {
		return path.Base(path.Dir(name)) == "pages" || strings.HasPrefix(path.Base(name), "_")
	})
	name := s.preferred(said, names)
	if name == "" {
		return nil
	}
	d := config.Default().Image
	command := slices.Clone(d.Command)
	command[2] = name
	return &app{command: command, health: d.Health, page: d.Page, why: "Streamlit: " + name, name: name}
}

func (s serving) gradio(said []string) *app {
	names := slices.DeleteFunc(s.tree.mentions(useGradio), func(name string) bool { return !launches.MatchString(s.tree.text(name)) })
	name := s.preferred(said, names)
	if name == "" {
		return nil
	}
	found := &app{health: "/", page: "/", why: "Gradio, which takes its port from these variables: " + name, name: name}
	found.command = slices.Concat([]string{"env", "GRADIO_SERVER_NAME=0.0.0.0", "GRADIO_SERVER_PORT={{port}}"}, s.tree.script(name))
	if m := ownPort.FindStringSubmatch(s.tree.text(name)); m != nil {
		found.port, _ = strconv.Atoi(m[1]) // digits
		s.unknown("image.command", "leave server_port out of launch(), so that the pipeline can choose the port",
			"whether the port can be chosen: %s fixes it at %s", name, m[1])
	}
	return found
}

// litserve finds a LitServe server: the script that runs it, and its port.
func (s serving) litserve(said []string) *app {
	name := s.preferred(said, s.tree.mentions(litServe))
	if name == "" {
		return nil
	}
	found := &app{command: s.tree.script(name), health: "/health", why: "LitServe: " + name, name: name, port: 8000}
	if m := litPort.FindStringSubmatch(s.tree.text(name)); m != nil {
		found.port = portOf(m[1])
	}
	return found
}

// bentoml finds a BentoML service, as an object (older versions) or a class.
func (s serving) bentoml(said []string) *app {
	for _, pattern := range []*regexp.Regexp{bentoObject, bentoClass} {
		names := slices.DeleteFunc(s.tree.mentions(pattern), func(name string) bool { return !useBento.MatchString(s.tree.text(name)) })
		name := s.preferred(said, names)
		if name == "" {
			continue
		}
		target := s.tree.importable(name) + ":" + pattern.FindStringSubmatch(s.tree.text(name))[1]
		return &app{command: []string{"bentoml", "serve", target, "--host", "0.0.0.0", "--port", portWord}, health: "/livez", page: "/",
			why: "BentoML: " + name, name: name, port: servers["bentoml"].port}
	}
	return nil
}

func (s serving) fastapi(said []string) *app {
	name, target, called := s.object(said, fastAPI, "FastAPI")
	if name == "" {
		return nil
	}
	found := &app{health: s.healthRoute(), page: s.rootPage(), why: "FastAPI: " + name, name: name}
	found.command = slices.Concat([]string{"uvicorn"}, s.appDir(name), []string{s.tree.importable(name) + ":" + target})
	if called {
		found.command = append(found.command, "--factory")
	}
	found.command = append(found.command, "--host", "0.0.0.0", "--port", portWord)
	if !s.tree.uses(noOpenAPI) {
		found.otherwise = "/openapi.json"
	}
	s.needs("uvicorn")
	return found
}

func (s serving) flask(said []string) *app {
	name, target, called := s.object(said, flask, "Flask")
	if name == "" {
		return nil
	}
	if called {
		target += "()"
	}
	found := &app{health: s.healthRoute(), page: s.rootPage(), why: "Flask: " + name, name: name}
	module := s.tree.importable(name)
	if !s.declares("gunicorn") {
		if s.tree.inSrc(name) {
			module = name
		}
		found.command = []string{"flask", "--app", module + ":" + target, "run", "--host", "0.0.0.0", "--port", portWord}
		s.unknown("image.command", "add gunicorn to what the application needs, and `image.command: [gunicorn, ...]`",
			"a server for production: no file declares gunicorn, so Flask's own is started")
		return found
	}
	found.command = []string{"gunicorn", "--bind", "0.0.0.0:{{port}}"}
	if s.tree.inSrc(name) {
		// Not --chdir, because the paths of the model and of other files are relative to the root.
		found.command = append(found.command, "--pythonpath", "src")
	}
	found.command = append(found.command, module+":"+target)
	return found
}

// object finds the module-level variable that holds the application. If only a function creates it, called is set and target
// is that function.
func (s serving) object(said []string, assigned *regexp.Regexp, class string) (name, target string, called bool) {
	if name = s.preferred(said, s.tree.mentions(assigned)); name != "" {
		return name, assigned.FindStringSubmatch(s.tree.text(name))[1], false
	}
	makes := regexp.MustCompile(`(?:^|[^\w])` + class + `\(`)
	returns := regexp.MustCompile(`->\s*["']?(?:\w+\.)?` + class + `\b`)
	factories := map[string]string{}
	for _, file := range s.tree.code {
		for _, m := range function.FindAllStringSubmatch(s.tree.text(file), -1) {
			if !makes.MatchString(m[4]) && !returns.MatchString(m[3]) {
				continue
			}
			given := regexp.MustCompile(`(?m)^(\w+)(?:\s*:\s*[\w.]+)?\s*=\s*(?:\w+\.)*` + m[1] + `\(`)
			if name = s.preferred(said, s.tree.mentions(given)); name != "" {
				return name, given.FindStringSubmatch(s.tree.text(name))[1], false
			}
			if _, earlier := factories[file]; !earlier && needsNothing(m[2]) {
				factories[file] = m[1]
			}
		}
	}
	if name = s.preferred(said, slices.Sorted(maps.Keys(factories))); name == "" {
		return "", "", false
	}
	return name, factories[name], true
}

// needsNothing reports whether a function with these parameters can be called without arguments.
func needsNothing(parameters string) bool {
	for _, parameter := range strings.Split(parameters, ",") {
		if p := strings.TrimSpace(parameter); p != "" && !strings.Contains(p, "=") && !strings.HasPrefix(p, "*") {
			return false
		}
	}
	return true
}

// appDir returns the uvicorn options for modules in a src layout.
func (s serving) appDir(name string) []string {
	if s.tree.inSrc(name) {
		return []string{"--app-dir", "src"}
	}
	return nil
}

// routes returns the paths that the application serves.
func (s serving) routes() (all []string) {
	for _, name := range s.tree.code {
		for _, m := range route.FindAllStringSubmatch(s.tree.text(name), -1) {
			all = append(all, m[1])
		}
	}
	return all
}

func (s serving) healthRoute() string {
	for _, found := range s.routes() {
		if health.MatchString(found) {
			return found
		}
	}
	return ""
}

func (s serving) rootPage() string {
	if slices.Contains(s.routes(), "/") {
		return "/"
	}
	return ""
}

// needs adds that the server is not among the declared packages.
func (s serving) needs(server string) {
	if !s.declares(server) {
		s.unknown("image.requirements", "add "+server+" to what the application needs",
			"where %s comes from: no file declares it, and the command above starts it",
			server)
	}
}

// declares reports whether a file that declares packages names the server.
func (s serving) declares(server string) bool {
	for _, name := range s.tree.names {
		declares := strings.Contains(path.Base(name), "requirements") || slices.Contains([]string{"pyproject.toml", "setup.cfg", "setup.py",
			"Pipfile"}, name) ||
			strings.HasPrefix(name, "requirements/")
		if !declares {
			continue
		}
		for _, m := range serverPackage.FindAllString(s.tree.text(name), -1) {
			if strings.EqualFold(m, server) || server == "uvicorn" && strings.Contains(m, "[") {
				return true
			}
		}
	}
	return false
}

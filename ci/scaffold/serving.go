package scaffold

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

var (
	accuracy      = regexp.MustCompile(`\baccuracy`)
	useStreamlit  = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+streamlit\b`)
	useGradio     = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+gradio\b`)
	launches      = regexp.MustCompile(`\.launch\(`)
	ownPort       = regexp.MustCompile(`server_port\s*=\s*(\d+)`)
	fastAPI       = regexp.MustCompile(`(?m)^(\w+)(?:\s*:\s*FastAPI)?\s*=\s*(?:fastapi\.)?FastAPI\(`)
	flask         = regexp.MustCompile(`(?m)^(\w+)(?:\s*:\s*Flask)?\s*=\s*(?:flask\.)?Flask\(`)
	flaskFactory  = regexp.MustCompile(`(?m)^def (create_app|make_app)\(`)
	flaskInside   = regexp.MustCompile(`(?m)^\s+\w+\s*=\s*(?:flask\.)?Flask\(`)
	route         = regexp.MustCompile(`@\w+\.(?:get|route|api_route)\(\s*["']([^"']{1,100})["']`)
	health        = regexp.MustCompile(`(?i)^/(?:[\w-]+/)*(?:healthz?|health-?check|_health|ping|readyz?|livez?|status|up)/?$`)
	noOpenAPI     = regexp.MustCompile(`openapi_url\s*=\s*None`)
	useDjango     = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+django\b`)
	serverPackage = regexp.MustCompile(`(?i)\b(uvicorn|gunicorn|fastapi\[(?:standard|all)[^\]]*\])`)
)

// app is an application that answers requests.
type app struct {
	command      []string
	health, page string
	why, name    string
	port         int
}

// serving finds the application that uses the model, in the code, the Dockerfile and the compose file.
type serving struct{ *survey }

// find adds it to the proposal.
func (s serving) find() {
	found := s.app()
	file := s.dockerfile()
	composed := s.compose()
	if found == nil {
		s.withoutApp(file)
		return
	}
	s.serves = true
	defaults := config.Default().Image
	if !slices.Equal(found.command, defaults.Command) {
		s.set("image.command", found.command, "%s", found.why)
	}
	for _, port := range []int{file.port, composed.port, found.port} {
		if port != 0 && port != defaults.Port {
			s.set("image.port", port, "the port that %s has", s.portFrom(port, file, composed, found))
			break
		}
	}
	path, why := found.health, "the route that answers without a model or a login"
	if file.health != "" {
		path, why = file.health, "HEALTHCHECK of "+file.name
	} else if composed.health != "" {
		path, why = composed.health, "healthcheck of "+composed.name
	}
	if path != defaults.Health {
		s.set("image.health", path, "%s", why)
	}
	if found.page != defaults.Page {
		s.set("image.page", found.page, "no page for people at /: nothing to draw")
	}
	if !s.useDockerfile(file) {
		s.volumes()
	}
}

func (s serving) portFrom(port int, file, composed container, found *app) string {
	switch port {
	case file.port:
		return "EXPOSE of " + file.name
	case composed.port:
		return composed.name
	}
	return found.name
}

func (s serving) withoutApp(file container) {
	if !s.trains {
		return
	}
	what := "an application: no Streamlit, Gradio, FastAPI or Flask was found"
	switch {
	case s.tree.uses(useDjango):
		what = "how the application is started: it is Django's"
	case file.name != "" && len(file.command) > 0:
		what = "which application " + file.name + " starts"
	}
	s.unknown("write `image.command: [...]` with {{port}} for the port, and `image.health`; until then neither image nor deployment is made",
		"%s", what)
}

// app is the first kind of application that the code has.
func (s serving) app() *app {
	if d := config.Default().Image; s.tree.has(d.Command[2]) {
		return &app{command: d.Command, health: d.Health, page: d.Page, name: d.Command[2]}
	}
	for _, find := range []func() *app{s.fastapi, s.flask, s.streamlit, s.gradio} {
		if found := find(); found != nil {
			return found
		}
	}
	return nil
}

// preferred is the file that people start, of several.
func preferred(names []string) string {
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

func (s serving) streamlit() *app {
	names := slices.DeleteFunc(s.tree.mentions(useStreamlit), func(name string) bool {
		return path.Base(path.Dir(name)) == "pages" || strings.HasPrefix(path.Base(name), "_")
	})
	name := preferred(names)
	if name == "" {
		return nil
	}
	d := config.Default().Image
	command := slices.Clone(d.Command)
	command[2] = name
	return &app{command: command, health: d.Health, page: d.Page, why: "Streamlit: " + name, name: name}
}

func (s serving) gradio() *app {
	names := slices.DeleteFunc(s.tree.mentions(useGradio), func(name string) bool { return !launches.MatchString(s.tree.text(name)) })
	name := preferred(names)
	if name == "" {
		return nil
	}
	found := &app{health: "/", page: "/", why: "Gradio, which takes its port from these variables: " + name, name: name}
	found.command = slices.Concat([]string{"env", "GRADIO_SERVER_NAME=0.0.0.0", "GRADIO_SERVER_PORT={{port}}"}, s.tree.script(name))
	if m := ownPort.FindStringSubmatch(s.tree.text(name)); m != nil {
		found.port, _ = strconv.Atoi(m[1]) // digits
		s.unknown("leave server_port out of launch(), so that the pipeline can choose the port",
			"whether the port can be chosen: %s fixes it at %s", name, m[1])
	}
	return found
}

func (s serving) fastapi() *app {
	names := s.tree.mentions(fastAPI)
	name := preferred(names)
	if name == "" {
		return nil
	}
	object := fastAPI.FindStringSubmatch(s.tree.text(name))[1]
	found := &app{health: s.healthRoute(), why: "FastAPI: " + name, name: name}
	found.command = slices.Concat([]string{"uvicorn"}, appDir(name), []string{importable(name) + ":" + object, "--host", "0.0.0.0",
		"--port", "{{port}}"})
	if found.health == "" {
		found.health = "/openapi.json"
		if s.tree.uses(noOpenAPI) {
			found.health = "/"
		}
		s.unknown("add a route such as /health, and write `image.health: /health`",
			"a path that says whether the application is well: none is called health; %s is asked", found.health)
	}
	found.page = s.rootPage()
	s.needs("uvicorn")
	return found
}

func (s serving) flask() *app {
	target, name := "", ""
	if names := s.tree.mentions(flask); len(names) > 0 {
		name = preferred(names)
		target = flask.FindStringSubmatch(s.tree.text(name))[1]
	} else {
		names = slices.DeleteFunc(s.tree.mentions(flaskFactory), func(n string) bool { return !flaskInside.MatchString(s.tree.text(n)) })
		if name = preferred(names); name == "" {
			return nil
		}
		target = flaskFactory.FindStringSubmatch(s.tree.text(name))[1] + "()"
	}
	found := &app{health: s.healthRoute(), page: s.rootPage(), why: "Flask: " + name, name: name}
	module := importable(name)
	found.command = []string{"gunicorn", "--bind", "0.0.0.0:{{port}}"}
	if strings.HasPrefix(name, "src/") {
		found.command = append(found.command, "--chdir", "src")
	}
	found.command = append(found.command, module+":"+target)
	if found.health == "" {
		found.health = "/"
		s.unknown("add a route such as /health, and write `image.health: /health`",
			"a path that says whether the application is well: none is called health; / is asked")
	}
	s.needs("gunicorn")
	return found
}

// appDir tells uvicorn where the modules of a src layout are.
func appDir(name string) []string {
	if strings.HasPrefix(name, "src/") {
		return []string{"--app-dir", "src"}
	}
	return nil
}

// routes are the paths that the application answers.
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

// needs says that the server is not among the packages that the project declares.
func (s serving) needs(server string) {
	for _, name := range s.tree.names {
		declares := strings.Contains(path.Base(name), "requirements") || slices.Contains([]string{"pyproject.toml", "setup.cfg", "setup.py",
			"Pipfile"}, name) ||
			strings.HasPrefix(name, "requirements/")
		if !declares {
			continue
		}
		for _, m := range serverPackage.FindAllString(s.tree.text(name), -1) {
			if strings.EqualFold(m, server) || server == "uvicorn" && strings.Contains(m, "[") {
				return
			}
		}
	}
	s.unknown("add "+server+" to what the application needs", "where %s comes from: no file declares it, and the command above starts it",
		server)
}

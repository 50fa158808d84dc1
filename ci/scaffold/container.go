package scaffold

import (
	"cmp"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// container is what a Dockerfile or a compose file says about the application.
type container struct {
	name   string
	port   int
	health string
	// entrypoint and command start it, split into words; nil if they need a shell. alone is set for an entrypoint that takes
	// no command. started is set if there is either.
	entrypoint, command []string
	alone, started      bool
	// user is set if a Dockerfile ends with a user other than root.
	user bool
	// target is the Dockerfile stage to build, unless it is the last one; file is the Dockerfile that a compose file names.
	target, file string
	// volumes are absolute paths of volumes, including those relative to the working directory; vars are the variables that
	// are set.
	volumes []string
	workdir string
	vars    []string
}

var (
	exposed   = regexp.MustCompile(`^(\d{1,5})(?:/tcp)?$`)
	askedPath = regexp.MustCompile(`https?://[^/\s"']+(/[A-Za-z0-9_./-]*)`)
)

// dockerfileName is the path of the application's Dockerfile, or empty.
func (t *tree) dockerfileName() string {
	for _, name := range []string{t.compose().file, "Dockerfile", "docker/Dockerfile", "deploy/Dockerfile", "Dockerfile.prod"} {
		if t.has(name) {
			return name
		}
	}
	return ""
}

var heredoc = regexp.MustCompile(`(?:^|[^<])<<-?["']?(\w+)["']?`)

// instructions returns a Dockerfile's lines with continuation lines joined, without the content of heredocs, whose lines may
// look like instructions.
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

// expand replaces variables by their values. Variables without a value stay.
func expand(text string, env map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(reference string) string {
		m := variable.FindStringSubmatch(reference)
		return cmp.Or(env[m[1]+m[2]], m[3], reference)
	})
}

// ofTools matches variables of Python and of package installers.
var ofTools = regexp.MustCompile(`^(?:PATH|VIRTUAL_ENV|LANG|LC_ALL|TZ|DEBIAN_FRONTEND|(?:PYTHON|PIP_|UV_|POETRY_|PDM_|HF_|STREAMLIT_)\w*)$`)

// forWork matches the names of stages that are not deployed.
var forWork = []string{"test", "tests", "testing", "dev", "develop", "development", "debug", "lint", "docs", "ci"}

// dockerfile reads the Dockerfile stage that is deployed, with what it inherits from earlier stages: the stage that the
// compose file names, or else the last one that is not for development.
func (s serving) dockerfile(composed container) container {
	found := container{name: s.tree.dockerfileName()}
	if found.name == "" {
		return found
	}
	stages := map[string]container{}
	var order []string
	stage := ""
	env := map[string]string{}
	own := false // whether the stage has a CMD: ENTRYPOINT resets an inherited one
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
			found = stages[from.stage()] // nothing for an external image
			found.name, stage = name, from.as
			order, own = append(order, stage), false
		case "WORKDIR":
			found.workdir = path.Join("/", found.workdir, expand(fields[1], env))
			if to := expand(fields[1], env); path.IsAbs(to) {
				found.workdir = to
			}
		case "VOLUME":
			var paths []string
			if json.Unmarshal([]byte(rest), &paths) != nil {
				paths = fields[1:]
			}
			found.volumes = slices.Clone(found.volumes) // earlier stages keep theirs
			for _, volume := range paths {
				if volume = expand(volume, env); !path.IsAbs(volume) {
					volume = path.Join("/", found.workdir, volume)
				}
				found.volumes = append(found.volumes, path.Clean(volume))
			}
		case "EXPOSE":
			if m := exposed.FindStringSubmatch(expand(fields[1], env)); m != nil {
				found.port = portOf(m[1])
			}
		case "USER":
			user, _, _ := strings.Cut(expand(fields[1], env), ":")
			found.user = user != "root" && strings.Trim(user, "0") != ""
		case "HEALTHCHECK":
			if m := askedPath.FindStringSubmatch(expand(rest, env)); m != nil {
				found.health = m[1]
			}
		case "ENV", "ARG":
			if !strings.Contains(fields[1], "=") && len(fields) > 2 { // the older form with one variable
				env[fields[1]] = strings.Join(fields[2:], " ")
				continue
			}
			for _, word := range fields[1:] {
				key, value, _ := strings.Cut(word, "=")
				if fields[0] == "ENV" && !ofTools.MatchString(key) {
					found.vars = append(slices.Clone(found.vars), key)
				}
				env[key] = expand(strings.Trim(value, `"'`), env)
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
	deployed := func(name string) bool { return !slices.Contains(forWork, name) && stages[name].started }
	stages[stage] = found
	target := strings.ToLower(composed.target)
	if target == "" && slices.Contains(forWork, stage) {
		for _, name := range order {
			if name != "" && deployed(name) {
				target = name
			}
		}
	}
	if inside, is := stages[target]; is && target != "" && target != stage {
		found = inside
		found.target = target
	}
	return found
}

// from is a FROM line: the image or stage, and the new stage's name.
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

// usedPython returns the Python that a project uses without declaring it: that of the official image in its Dockerfile, or
// the version that its workflows install.
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

// useDockerfile proposes the project's own Dockerfile if the pipeline would accept its image. The pipeline can add a health
// check and a port.
func (s serving) useDockerfile(file container, port int) {
	if file.name == "" {
		return
	}
	lacks := "USER other than root"
	switch {
	case file.user && (file.port != 0 || port != 0):
		s.set("image.dockerfile", file.name, "it ends with a user other than root")
		if file.target != "" {
			s.set("image.target", file.target, "the stage that is deployed, by its name or the compose file")
		}
		return
	case file.user:
		lacks = "EXPOSE"
	}
	s.found("%s has no %s, so the pipeline builds the image itself; add it and write `image.dockerfile: %s` to use the file",
		file.name, lacks, file.name)
}

// volumes proposes the volumes of Dockerfile and compose file, or else the usual ones, without those that would hide the
// application's code or the model.
func (s serving) volumes(file, composed container, modelDir string) {
	usual := config.Default().Image.Volumes
	declared, why := slices.Concat(file.volumes, composed.volumes), "the volumes of "+cmp.Or(file.name, composed.name)
	if len(file.volumes) == 0 {
		why = "the volumes of " + composed.name
	}
	root := "/app" // where the pipeline's own image has the source
	switch {
	case len(declared) == 0:
		declared, why = usual, "the usual volumes"
	case s.p.proposes("image.dockerfile"):
		root = cmp.Or(file.workdir, root)
	}
	kept, hidden := []string{}, []string{}
	for _, volume := range declared {
		for _, from := range []string{file.workdir, "/app"} { // an image built by the pipeline has the source elsewhere
			if dir, inside := strings.CutPrefix(volume, from+"/"); inside && from != "" {
				volume = root + "/" + dir
				break
			}
		}
		dir, inside := strings.CutPrefix(volume+"/", root+"/")
		above := strings.HasPrefix(root+"/", volume+"/")
		hides := func(name string) bool { return above || inside && strings.HasPrefix(name+"/", dir) }
		switch {
		case slices.ContainsFunc(s.tree.code, hides):
			hidden = append(hidden, "code in "+strings.Trim(cmp.Or(dir, volume), "/"))
		case hides(modelDir) || inside && strings.HasPrefix(dir, modelDir+"/"):
			hidden = append(hidden, "the model in "+modelDir)
		case !slices.Contains(kept, volume):
			kept = append(kept, volume)
		}
	}
	if len(hidden) > 0 {
		why = strings.Join(hidden, " and ") + ", which a volume there would hide"
	}
	if !slices.Equal(kept, usual) {
		s.set("image.volumes", kept, "%s", why)
	}
}

// proposes reports whether a key is already proposed.
func (p *Proposal) proposes(key string) bool {
	return slices.ContainsFunc(p.Settings, func(set Setting) bool { return set.Key == key })
}

// told returns the variables that Dockerfile and compose file set for the application; some are only for development.
func (s serving) told(file, composed container) {
	for _, c := range []container{file, composed} {
		if len(c.vars) > 0 && (c.name != file.name || !s.p.proposes("image.dockerfile")) {
			s.found("%s sets %s: write what the application needs into image.vars, but no secrets (rollout.secrets)",
				c.name, strings.Join(c.vars[:min(len(c.vars), 8)], ", "))
		}
	}
}

// portOf parses a port; it returns 0 for anything else.
func portOf(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

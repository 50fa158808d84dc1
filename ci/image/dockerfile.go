package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// maxDockerfile is the size limit of the file.
const maxDockerfile = 1 << 20

// buildDockerfile builds from the source's own Dockerfile. The gated model is in the build
// context, in the application's model directory. It is also added to the result, whatever the
// file copies, and checked as in the pipeline's own build. The image is judged in the same way.
func (b builder) buildDockerfile(ctx context.Context) (*built, *verdict.Problem) {
	c := b.in.Config.Image
	text, problem := b.readDockerfile(ctx)
	if problem != nil {
		return nil, problem
	}
	source := withoutModels(b.in.Source.Filter(dagger.DirectoryFilterOpts{Exclude: b.in.Config.Exclude}), c.ModelDir).
		WithDirectory(c.ModelDir, b.in.ModelFiles)
	opts := dagger.DirectoryDockerBuildOpts{Dockerfile: c.Dockerfile, Target: c.Target, Platform: dagger.Platform(c.Platform)}
	for _, name := range slices.Sorted(maps.Keys(c.BuildArgs)) {
		opts.BuildArgs = append(opts.BuildArgs, dagger.BuildArg{Name: name, Value: c.BuildArgs[name]})
	}
	if b.in.Fresh != "" {
		source = source.WithNewFile(".openstack-rca-fresh", b.in.Fresh)
	}
	image, err := source.DockerBuild(opts).Sync(ctx)
	if err != nil {
		return nil, b.dockerfileProblem(ctx, text, err)
	}
	if problem := b.adopt(ctx, image); problem != nil {
		return nil, problem
	}
	c = b.in.Config.Image
	if image, err = b.declared(ctx, image); err != nil {
		return nil, b.engineProblem(ctx, CodeEngineFailed, "read what the image declares", err)
	}
	manifest, err := b.manifest()
	if err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "describe %s: %v", ManifestFile, err)
	}
	maker, err := b.client.Container().From(b.engine.Image(b.in.Config.Python)).WithUser("0").Sync(ctx)
	if err != nil {
		return nil, b.engineProblem(ctx, CodeBaseUnavailable, "pull "+b.engine.Image(b.in.Config.Python), err)
	}
	models := b.python(maker.WithMountedDirectory(rootDir, image.Rootfs()).WithMountedDirectory("/tree", b.in.ModelFiles),
		"fill.py", fillScript, rootDir, "/tree", path.Join(b.appDir, c.ModelDir),
		"--want", b.in.Model.File, b.in.Model.SHA256, "--manifest", ManifestFile, manifest)
	made := &built{base: c.Dockerfile}
	if made.files, problem = b.checkBuilt(ctx, models); problem != nil {
		return nil, problem
	}
	image = image.WithRootfs(models.Directory(rootDir)).WithUser(strconv.Itoa(c.User))
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		image = image.WithEnvVariable(name, c.Vars[name])
	}
	if made.container, err = b.label(image, "").Sync(ctx); err != nil {
		return nil, b.engineProblem(ctx, CodeBuildFailed, "build the image", err)
	}
	return made, nil
}

// readDockerfile reads the file, which failures are reported with a line of.
func (b builder) readDockerfile(ctx context.Context) (string, *verdict.Problem) {
	name := b.in.Config.Image.Dockerfile
	there, err := b.in.Source.Exists(ctx, name)
	if err != nil {
		return "", unreadable(ctx, "look up "+name, err)
	}
	if !there {
		return "", verdict.Problemf(CodeBuildFailed, "%s is not in the source", name)
	}
	text, err := b.in.Source.File(name).Contents(ctx)
	if err != nil {
		return "", unreadable(ctx, "read "+name, err)
	}
	if len(text) > maxDockerfile {
		return "", verdict.Problemf(CodeBuildFailed, "%s has %d bytes, at most %d", name, len(text), maxDockerfile)
	}
	return text, nil
}

// adopt reads the image's working directory and its user, by number, because the host that runs
// the image may not resolve names.
func (b builder) adopt(ctx context.Context, image *dagger.Container) *verdict.Problem {
	dir, err := image.Workdir(ctx)
	if err != nil {
		return b.engineProblem(ctx, CodeEngineFailed, "read the working directory", err)
	}
	if dir = path.Clean(dir); path.IsAbs(dir) && dir != "/" {
		b.appDir = dir
	}
	user, err := image.User(ctx)
	if err != nil {
		return b.engineProblem(ctx, CodeEngineFailed, "read the user", err)
	}
	name, _, _ := strings.Cut(user, ":")
	if _, err := strconv.Atoi(name); name == "" || err != nil {
		out, err := image.WithoutDockerHealthcheck().WithExec([]string{"id", "-u"}).Stdout(ctx)
		if err != nil {
			return b.engineProblem(ctx, CodeBaseUnfit, "look up the user "+strconv.Quote(user), err)
		}
		name = strings.TrimSpace(out)
	}
	id, err := strconv.Atoi(name)
	if err != nil {
		return verdict.Problemf(CodeEngineFailed, "read the user %q: %v", user, err)
	}
	if b.in.Config.Image.User = id; id == 0 {
		problem := verdict.Problemf(CodeRoot, "%s ends with the user %q", b.in.Config.Image.Dockerfile, user)
		problem.Next = fmt.Sprintf("Write before its CMD or ENTRYPOINT: RUN chown -R 10001 %s, and USER 10001; or leave image.dockerfile out",
			b.appDir)
		return problem
	}
	b.stage.Add("user", fmt.Sprintf("%s, number %d", user, id))
	return nil
}

// dockerfileProblem is the problem of a failed build, with its line.
func (b builder) dockerfileProblem(ctx context.Context, text string, err error) *verdict.Problem {
	name := b.in.Config.Image.Dockerfile
	if ctx.Err() != nil {
		return cancelled(ctx, "build "+name)
	}
	instructions := parseDockerfile(text)
	var exec *dagger.ExecError
	if errors.As(err, &exec) {
		problem := b.engineProblem(ctx, CodeBuildFailed, where(name, runLine(instructions, exec.Cmd)), err)
		if untrusted.MatchString(strings.Join(problem.Details, "\n")) {
			problem.Next = "A proxy with a certificate of its own stands between the build and the internet: COPY its CA certificate in " +
				name + ", and set ENV PIP_CERT, SSL_CERT_FILE and REQUESTS_CA_BUNDLE to that file"
		}
		return problem
	}
	cause := lastCause(b.redact(traced.ReplaceAllString(err.Error(), "")))
	if missingStep.MatchString(cause) {
		cause += "; its stages are " + strings.Join(stages(instructions), ", ")
	}
	return verdict.Problemf(CodeBuildFailed, "%s: %s", where(name, lineOf(instructions, cause)), cause)
}

// untrusted is what pip, curl and others print of a certificate that they do not know.
var untrusted = regexp.MustCompile(`(?i)CERTIFICATE_VERIFY_FAILED|self[- ]signed certificate|unable to get local issuer certificate`)

// where names a line of a file, or only the file if the line is 0.
func where(name string, line int) string {
	if line == 0 {
		return name
	}
	return fmt.Sprintf("%s line %d", name, line)
}

// instruction is an instruction of a Dockerfile, with continued lines joined.
type instruction struct {
	// line is where it begins, counted from 1.
	line int
	// name is in capitals, rest what follows it, document the text of its heredoc.
	name, rest, document string
}

var (
	escapeLine  = regexp.MustCompile("(?i)^#\\s*escape\\s*=\\s*([\\\\`])")
	heredocWord = regexp.MustCompile(`<<-?\s*["']?(\w+)["']?`)
	flags       = regexp.MustCompile(`^(--\S+\s+)+`)
	missingPath = regexp.MustCompile(`(?:lstat|stat|open) (\S+): no such file|"(\S+)": not found|(\S+): not found`)
	parseLine   = regexp.MustCompile(`(?:parse error )?on line (\d+)`)
	missingStep = regexp.MustCompile(`target stage "([^"]*)" could not be found`)
)

// parseDockerfile finds the lines of the instructions. It does not validate the file: the
// engine does that, and this only locates what its errors name.
func parseDockerfile(text string) []instruction {
	escape := `\`
	var all []instruction
	var open *instruction
	var until []string
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		trimmed := strings.TrimSpace(line)
		if len(until) > 0 {
			if trimmed == until[0] {
				until = until[1:]
			} else if len(all) > 0 {
				all[len(all)-1].document += line + "\n"
			}
			continue
		}
		if m := escapeLine.FindStringSubmatch(trimmed); m != nil && len(all) == 0 && open == nil {
			escape = m[1]
		}
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue // also inside of a continued instruction
		}
		more := strings.HasSuffix(trimmed, escape)
		content := strings.TrimSuffix(trimmed, escape)
		if open == nil {
			name, rest, _ := strings.Cut(content, " ")
			open = &instruction{line: number + 1, name: strings.ToUpper(name), rest: strings.TrimSpace(rest)}
		} else {
			open.rest += " " + content
		}
		if more {
			continue
		}
		for _, m := range heredocWord.FindAllStringSubmatch(open.rest, -1) {
			if open.name == "RUN" || open.name == "COPY" || open.name == "ADD" {
				until = append(until, m[1])
			}
		}
		all, open = append(all, *open), nil
	}
	if open != nil {
		all = append(all, *open)
	}
	return all
}

// runLine finds the line of a command's RUN instruction, or 0.
func runLine(instructions []instruction, cmd []string) int {
	if len(cmd) == 0 {
		return 0
	}
	ran := strings.Join(strings.Fields(cmd[len(cmd)-1]), " ")
	exact, whole := 0, strings.Join(cmd, " ")
	for _, i := range instructions {
		if i.name != "RUN" {
			continue
		}
		text := strings.Join(strings.Fields(flags.ReplaceAllString(i.rest, "")), " ")
		quoted := strings.NewReplacer(`[`, "", `]`, "", `"`, "", `, `, " ", `,`, " ").Replace(text)
		if document := strings.Join(strings.Fields(i.document), " "); document != "" {
			text = document
		}
		if text == ran || strings.HasPrefix(text, "[") && quoted == whole {
			exact = i.line
		}
	}
	return exact
}

// lineOf finds the line that an error is about: the line that it names, or the COPY, ADD or
// FROM of the path or image that it names, or 0.
func lineOf(instructions []instruction, cause string) int {
	if m := parseLine.FindStringSubmatch(cause); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits; one too large for a number is no line
		return line
	}
	if missingStep.MatchString(cause) {
		return 0 // the configuration names it, not the file
	}
	for _, m := range missingPath.FindAllStringSubmatch(cause, -1) {
		wanted := strings.TrimSuffix(m[1]+m[2]+m[3], ":")
		for _, i := range instructions {
			if i.names(wanted) {
				return i.line
			}
		}
	}
	return 0
}

// names reports whether an instruction copies from a path or an image.
func (i instruction) names(wanted string) bool {
	if i.name != "COPY" && i.name != "ADD" && i.name != "FROM" {
		return false
	}
	for _, word := range strings.Fields(i.rest) {
		word = strings.TrimPrefix(word, "--from=")
		if path.Clean("/"+word) == path.Clean("/"+wanted) {
			return true
		}
		// An image is named in full by the error and in short by the file.
		if short, _, _ := strings.Cut(wanted, ":"); i.name != "ADD" && word != "" && (path.Base(short) == word || path.Base(wanted) == word) {
			return true
		}
	}
	return false
}

// lastCause is the last of an engine's chain of causes. Those before it are internal names of
// the engine.
func lastCause(text string) string {
	if i := strings.LastIndex(text, "inputs: "); i >= 0 {
		text = text[i+len("inputs: "):]
	}
	text = strings.TrimPrefix(text, "failed to convert Dockerfile to LLB: ")
	return oneLine(text)
}

// stages are the names of a Dockerfile's stages, for the remedy.
func stages(instructions []instruction) []string {
	var names []string
	for _, i := range instructions {
		fields := strings.Fields(i.rest)
		if n := len(fields); i.name == "FROM" && n > 2 && strings.EqualFold(fields[n-2], "as") {
			names = append(names, fields[n-1])
		}
	}
	sort.Strings(names)
	return names
}

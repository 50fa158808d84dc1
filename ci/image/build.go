package image

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/prepare.py
var prepareScript string

//go:embed scripts/fill.py
var fillScript string

// platform is an empty container of the image's platform.
func (s *session) platform() *dagger.Container {
	return s.client.Container(dagger.ContainerOpts{Platform: dagger.Platform(s.in.Config.Image.Platform)})
}

// fresh makes the following steps run again for each value of Input.Fresh.
func (s *session) fresh(ctr *dagger.Container) *dagger.Container {
	if s.in.Fresh == "" {
		return ctr
	}
	return ctr.WithEnvVariable("OPENSTACK_RCA_FRESH", s.in.Fresh)
}

// rootDir is where the image's root file system is mounted while it is made. It is never the
// root of the container that makes it, because the engine adds files of its own to that, such
// as the network's certificates, and traces of them would stay in the image.
const rootDir = "/image"

// scriptDir is a directory that exists, empty, in every Debian: a mount there leaves no trace
// in the image, not even a mount point.
const scriptDir = "/mnt"

// python runs a script with the base image's own interpreter. -I isolates it from the
// environment and the working directory.
func (s *session) python(ctr *dagger.Container, name, script string, args ...string) *dagger.Container {
	return ctr.
		WithMountedDirectory(scriptDir, s.client.Directory().WithNewFile(name, script)).
		WithExec(append([]string{"python3", "-I", scriptDir + "/" + name}, args...)).
		WithoutMount(scriptDir)
}

// built is an image with facts about its build.
type built struct {
	container *dagger.Container
	// base is the base image by digest.
	base string
	// files are the model's files by name, with their SHA-256.
	files map[string]string
	// foundation and root are the layers below the model, and all files. Both are nil for an
	// image of the source's own Dockerfile.
	foundation *foundation
	root       *dagger.Directory
}

// foundation is the part of an image that does not depend on the model.
type foundation struct {
	// base is the base image by digest.
	base string
	// maker is the container that makes layers; packages is the last layer of the foundation.
	maker, packages *dagger.Container
	// serving describes what the packages are installed from.
	serving *serving
}

// builder makes the image, from the base to the labels.
type builder struct{ *session }

// foundation describes and builds the layers that change least: the base without
// installers, and the packages.
func (b builder) foundation(ctx context.Context) (*foundation, *verdict.Problem) {
	c := b.in.Config.Image
	base := c.Base
	if base == "" {
		base = b.engine.Image(b.in.Config.Python)
	}
	pinned, err := b.platform().From(base).ImageRef(ctx)
	if err != nil {
		return nil, b.engineProblem(ctx, CodeBaseUnavailable, "pull "+base, err)
	}
	if b.in.Config.Image.Platform != "" {
		// Before anything is built: if a name has only one image, the engine uses it for any platform.
		platform, err := b.platform().From(pinned).Platform(ctx)
		if err != nil {
			return nil, b.engineProblem(ctx, CodeEngineFailed, "read the platform of "+base, err)
		}
		if problem := b.judgePlatform(base, string(platform)); problem != nil {
			return nil, problem
		}
	}
	maker := b.fresh(engine.WithoutTrustUpdate(b.platform().From(pinned).WithUser("0")))
	whole := b.platform().From(pinned)
	if system := slices.DeleteFunc(slices.Clone(b.in.Config.SystemPackages), pyenv.OnlyBuilds); len(system) > 0 {
		if whole, err = engine.WithSystem(whole.WithUser("0"), system).Sync(ctx); err != nil {
			problem := b.engineProblem(ctx, CodeEnvFailed, "install system_packages in "+base, err)
			problem.Next = pyenv.SystemNext(strings.Join(problem.Details, "\n"))
			return nil, problem
		}
	}
	prepare := b.python(maker.WithMountedDirectory(rootDir, whole.Rootfs()),
		"prepare.py", prepareScript, append([]string{rootDir}, b.prepareArgs()...)...)
	if prepare, err = prepare.Sync(ctx); err != nil {
		return nil, b.engineProblem(ctx, CodeBaseUnfit, "prepare "+base, err)
	}
	serving, problem := b.findServing(ctx)
	if problem != nil {
		return nil, problem
	}
	packages, err := b.install(serving.env)
	if err == nil {
		packages, err = packages.Sync(ctx)
	}
	var tree *dagger.Directory
	if err == nil {
		tree, err = b.pruned(ctx, packages.Directory(VenvDir))
	}
	if err != nil {
		problem := b.engineProblem(ctx, CodeEnvFailed, "install "+serving.project.Summary(), err)
		problem.Next = serving.project.InstallNext(strings.Join(problem.Details, "\n"))
		return nil, problem
	}
	f := &foundation{base: pinned, maker: maker, serving: serving}
	if c.Slim {
		if prepare, tree, err = b.slim(ctx, maker, prepare, tree); err != nil {
			return nil, b.engineProblem(ctx, CodeBaseUnfit, "make the image smaller", err)
		}
	}
	f.packages = b.fill(f, prepare, tree, VenvDir)
	return f, nil
}

// fill makes the next layer: a tree at its destination, on top of the layer before it.
func (b builder) fill(
	f *foundation, after *dagger.Container, tree *dagger.Directory, destination string, more ...string,
) *dagger.Container {
	return b.python(f.maker.WithMountedDirectory(rootDir, after.Directory(rootDir)).WithMountedDirectory("/tree", tree),
		"fill.py", fillScript, append([]string{rootDir, "/tree", destination}, more...)...)
}

// build builds the image. Its layers, from the one that changes least: the foundation, the
// model, the application.
func (b builder) build(ctx context.Context) (*built, *verdict.Problem) {
	c := b.in.Config.Image
	if c.Dockerfile != "" {
		return b.buildDockerfile(ctx)
	}
	f, problem := b.foundation(ctx)
	if problem != nil {
		return nil, problem
	}
	made := &built{base: f.base, foundation: f}
	// The check is a step of the build: without the gated model there is no image.
	manifest, err := b.manifest()
	if err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "describe %s: %v", ManifestFile, err)
	}
	models := b.fill(f, f.packages, b.in.ModelFiles, path.Join(AppDir, c.ModelDir),
		"--want", b.in.Model.File, b.in.Model.SHA256, "--manifest", ManifestFile, manifest)
	if made.files, problem = b.checkBuilt(ctx, models); problem != nil {
		return nil, problem
	}
	application, err := b.over(b.applicationSource(slices.Sorted(maps.Keys(made.files))...), f.serving.built)
	if err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "place what the project's build left: %v", err)
	}
	made.root = b.fill(f, models, application, AppDir, b.owned()...).Directory(rootDir)
	image := b.platform().From(f.base).WithRootfs(made.root)
	made.container, err = b.configure(image, f.base, f.serving.built).Sync(ctx)
	if err != nil {
		return nil, b.engineProblem(ctx, CodeBuildFailed, "build the image", err)
	}
	return made, nil
}

// applicationSource is the part of the source that goes into the image. Models in the source are left out, because they did not
// pass the gates; code beside them is not, except for the given files of the model itself.
func (b builder) applicationSource(gated ...string) *dagger.Directory {
	c := b.in.Config.Image
	all := b.in.Source.
		Filter(dagger.DirectoryFilterOpts{Exclude: b.in.Config.Exclude}).
		Filter(dagger.DirectoryFilterOpts{Include: c.Inputs.Include, Exclude: c.Inputs.Exclude})
	return withoutModels(all, c.ModelDir, gated...)
}

// install makes the virtual environment. Only VenvDir of it goes into the image.
func (b builder) install(env runner.Environment) (*dagger.Container, error) {
	files, err := b.engine.Directory(env.Files)
	if err != nil {
		return nil, err
	}
	base := b.engine.BaseOn(dagger.Platform(b.in.Config.Image.Platform), env.Python, env.System...)
	builder := b.engine.WithDownloadCache(base, env.Python).
		// Bytecode is not validated when it is loaded: all files get one fixed time, so
		// bytecode that is validated by time would be rejected.
		WithEnvVariable("PYC_INVALIDATION_MODE", "UNCHECKED_HASH").
		WithDirectory("/build", files).
		WithWorkdir("/build")
	builder = b.fresh(b.engine.WithIndex(builder))
	for _, command := range env.Install {
		builder = builder.WithExec(command)
	}
	// uv leaves a lock file that is world-writable.
	return b.engine.WithoutIndex(builder).WithoutFile(VenvDir + "/.lock"), nil
}

// checkBuilt reads the names and digests of the model's files from the build's output.
func (b builder) checkBuilt(ctx context.Context, models *dagger.Container) (map[string]string, *verdict.Problem) {
	listing, err := models.Stdout(ctx)
	if err != nil {
		return nil, b.engineProblem(ctx, CodeModelMismatch, "check the model", err)
	}
	var files map[string]string
	if err := json.Unmarshal([]byte(listing), &files); err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "read the list of the model's files: %v", err)
	}
	if files[b.in.Model.File] != b.in.Model.SHA256 {
		return nil, verdict.Problemf(CodeModelMismatch, "%s has sha256 %s, not %s", b.in.Model.File, files[b.in.Model.File], b.in.Model.SHA256)
	}
	return files, nil
}

// owned are the arguments that give the user those volumes that have content in the source.
func (b builder) owned() []string {
	var args []string
	for _, volume := range b.in.Config.Image.Volumes {
		if inside, ok := strings.CutPrefix(path.Clean(volume), AppDir+"/"); ok {
			args = append(args, inside)
		}
	}
	if len(args) == 0 {
		return nil
	}
	return append([]string{"--own", strconv.Itoa(b.in.Config.Image.User)}, args...)
}

// prepareArgs are the user and the directories to add to the base image. Those before the --
// belong to root.
func (b builder) prepareArgs() []string {
	c := b.in.Config.Image
	args := []string{strconv.Itoa(c.User), AppDir, path.Join(AppDir, c.ModelDir), path.Dir(ManifestFile), VenvDir, "--", "/home/app"}
	return append(args, c.Volumes...)
}

// configure sets everything in the image that is not a file. What changes with each commit
// comes last, because no layer is built on top of it.
func (b builder) configure(image *dagger.Container, base string, built *pyenv.Built) *dagger.Container {
	c := b.in.Config.Image
	user := strconv.Itoa(c.User)
	image = image.
		WithWorkdir(AppDir).
		WithUser(user+":"+user).
		WithEnvVariable("PATH", searchPath(built.Path, VenvDir+"/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin")).
		WithEnvVariable("VIRTUAL_ENV", VenvDir).
		WithEnvVariable("HOME", "/home/app").
		// Buffered output would be lost in a crash.
		WithEnvVariable("PYTHONUNBUFFERED", "1").
		// Packages are compiled already, and the root file system may be read-only.
		WithEnvVariable("PYTHONDONTWRITEBYTECODE", "1")
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		image = image.WithEnvVariable(name, c.Vars[name])
	}
	if len(built.PythonPath) > 0 {
		image = image.WithEnvVariable("PYTHONPATH", searchPath(built.PythonPath, c.Vars["PYTHONPATH"]))
	}
	image = image.
		WithoutEntrypoint().
		WithDefaultArgs(c.Command).
		WithExposedPort(c.Port)
	return b.label(withHealthcheck(image, c, "python"), base)
}

// label adds the labels to the image's configuration and manifest.
func (b builder) label(image *dagger.Container, base string) *dagger.Container {
	labels := b.labels(base)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		image = image.WithLabel(name, labels[name])
		if strings.HasPrefix(name, "org.opencontainers.") {
			image = image.WithAnnotation(name, labels[name])
		}
	}
	return image
}

// labels describe the image, by the names of the OCI image specification.
func (b builder) labels(base string) map[string]string {
	c := b.in.Config
	name, digest, _ := strings.Cut(base, "@")
	all := map[string]string{
		"org.opencontainers.image.title":     c.Name,
		"org.opencontainers.image.source":    c.Image.Source,
		imageref.LabelRevision:               b.in.Commit,
		imageref.LabelVersion:                facts(b.in).Version(),
		"org.opencontainers.image.base.name": name,
		imageref.LabelBase:                   digest,
		LabelModelSHA256:                     b.in.Model.SHA256,
		LabelVolumes:                         strings.Join(c.Image.Volumes, ","),
	}
	if !b.in.CommitTime.IsZero() {
		// Never the time of the build: the same commit is the same image.
		all["org.opencontainers.image.created"] = b.in.CommitTime.UTC().Format(time.RFC3339)
	}
	if b.in.Version != nil {
		all[LabelModelVersion] = strconv.Itoa(b.in.Version.Number)
	}
	for key, value := range all {
		if value == "" {
			delete(all, key)
		}
	}
	return all
}

// manifest is the content of ManifestFile without the list of the model's files.
func (b builder) manifest() (string, error) {
	part := map[string]any{"file": path.Join(b.in.Config.Image.ModelDir, b.in.Model.File), "sha256": b.in.Model.SHA256}
	if b.in.Version != nil {
		part["version"], part["uri"] = b.in.Version.Number, b.in.Version.URI
	}
	content, err := json.Marshal(map[string]any{"format": 1, "application": b.in.Config.Name, "model": part})
	return string(content), err
}

// engineProblem returns the problem of a failed step: code if one of its commands failed,
// another code if the engine failed or the run was cancelled.
func (s *session) engineProblem(ctx context.Context, code verdict.Code, what string, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return cancelled(ctx, what)
	}
	var exec *dagger.ExecError
	isExec := errors.As(err, &exec)
	// The kernel's error for a program of another architecture.
	if s.in.Config.Image.Platform != "" && strings.Contains(strings.ToLower(err.Error())+execText(exec), "exec format error") {
		return verdict.Problemf(CodePlatform, "%s: the engine cannot run programs of %s", what, s.in.Config.Image.Platform)
	}
	if strings.Contains(err.Error(), "no match for platform") {
		platform := cmp.Or(s.in.Config.Image.Platform, "the engine's platform")
		return verdict.Problemf(CodeWrongPlatform, "%s: it does not exist for %s", what, platform)
	}
	if !isExec {
		// A step without a command fails in the engine, except for these codes.
		switch code {
		case CodeBaseUnavailable, CodeBuildFailed, CodeSandboxRegistry, CodeStartFailed:
			return verdict.Problemf(code, "%s: %s", what, s.plain(err))
		}
		return verdict.Problemf(CodeEngineFailed, "%s: %s", what, s.plain(err))
	}
	lines := safetext.LastLines(s.redact(exec.Stdout+"\n"+exec.Stderr), logLines)
	cause := fmt.Sprintf("%s: exit code %d", what, exec.ExitCode)
	if len(lines) > 0 {
		cause += ": " + clip(strings.TrimSpace(lines[len(lines)-1]), 300)
	}
	problem := verdict.Problemf(code, "%s", cause)
	problem.Details = lines
	return problem
}

// execText is the output of a failed command, in lower case.
func execText(exec *dagger.ExecError) string {
	if exec == nil {
		return ""
	}
	return strings.ToLower(exec.Stdout + exec.Stderr)
}

package image_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestASandboxImagePasses(t *testing.T) {
	w := newWorld(t)
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	built, err := w.image.Digest()
	require.NoError(t, err)
	assert.NotEqual(t, built.String(), r.Reference.Digest, "it was dated")
	assert.Equal(t, "localhost:5000/library/openstack-rca-system@"+r.Reference.Digest, r.Reference.Written())
	require.NotNil(t, r.Container)
	assert.Empty(t, r.Stage.Warnings)
	assert.Empty(t, r.Stage.Published, "the sandbox is nobody else's business")
	assert.Equal(t, map[string]string{"build": built.String(), "sha-" + commit: r.Reference.Digest, "20261122-100000-0f1e2d3": r.Reference.Digest, "model-v7": r.Reference.Digest, "sandbox": r.Reference.Digest},
		w.tags(w.sandbox, "library/openstack-rca-system"))
	assert.Equal(t, "docker.io/library/python:3.11-slim@"+baseDigest, evidence(r.Stage, "base image"))
	assert.Equal(t, "version 7, lstm_model.keras, sha256 "+modelSHA, evidence(r.Stage, "model"))
	assert.Equal(t, "equal", evidence(r.Stage, "golden sample in the image"))
	assert.NotEmpty(t, evidence(r.Stage, "time to healthy"))

	var paths []string
	for _, file := range r.Stage.Files {
		paths = append(paths, file.Path)
		if file.Path == "image/compose.yaml" {
			assert.Contains(t, string(file.Content), "image: "+r.Reference.Written())
			assert.Contains(t, string(file.Content), "restart: unless-stopped")
			assert.Contains(t, string(file.Content), "app-data:/app/data")
			assert.Contains(t, string(file.Content), "mem_limit: 2048m")
		}
	}
	assert.Equal(t, []string{"image/page.png", "image/compose.yaml", "image/config.json"}, paths)
	assert.Equal(t, "none; refused: 8.8.8.8:53", evidence(r.Stage, "network to the outside"))
	assert.Equal(t, "read-only, except /app/data, /app/logs, /tmp", evidence(r.Stage, "root file system"))
	assert.Equal(t, `"RCA" after 1.2 s, 11 characters`, evidence(r.Stage, "page / in Chromium"))
	assert.Equal(t, "streamlit (not installed: tensorflow, mlflow)", evidence(r.Stage, "imports in the image"))
}

func TestTheSameImageIsTheSameDigest(t *testing.T) {
	w := newWorld(t)
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	w.image = w.redated()
	second := w.run()
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, first.Reference.Digest, second.Reference.Digest, "whatever time the engine wrote into it")
}

// varying are the parts of queries that differ from run to run by intention, and the
// scripts, which are files of their own.
var varying = regexp.MustCompile(`(openstack-rca-image-|name: "OPENSTACK_RCA_RUN", value: "|name: "LOOK", value: "|localhost:5000/[a-z/-]+@|path: ")(?:[0-9a-f]{64}|[0-9a-f]{16}|sha256:[0-9a-f]{64})\b|(contents: )(?:"\\"\\"\\"|"\{\\"seen)(?:[^"\\]|\\.)*"`)

func TestTheGraphIsAsRecorded(t *testing.T) {
	w := newWorld(t)
	w.engine.Mask(varying, "${1}${2}<>")
	require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
	// Some are asked side by side; what each is made of shows in its ID, not in the order.
	var queries []string
	for _, call := range w.engine.Calls() {
		queries = append(queries, call.Query)
	}
	slices.Sort(queries)
	daggertest.Golden(t, "testdata/sandbox.graphql", strings.Join(slices.Compact(queries), "\n"))
}

// A change that asks the engine or the registry more often shows here, without a clock.
func TestTheEngineAndTheRegistryAreAskedAsOftenAsRecorded(t *testing.T) {
	var text strings.Builder
	for _, scenario := range []struct {
		name    string
		prepare func(*world)
	}{{"sandbox", func(*world) {}}, {"production", (*world).production}} {
		w := newWorld(t)
		scenario.prepare(w)
		requests := map[string]int{}
		var mu sync.Mutex
		w.setRefuse(func(r *http.Request) int {
			mu.Lock()
			defer mu.Unlock()
			requests[r.Method+" "+kind.FindString(r.URL.Path)]++
			return 0
		})
		require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
		text.WriteString(scenario.name + ": " + w.engine.Counts())
		for _, request := range slices.Sorted(maps.Keys(requests)) {
			fmt.Fprintf(&text, "  registry: %s %d\n", request, requests[request])
		}
	}
	daggertest.Golden(t, "testdata/counts.txt", text.String())
}

// kind is what a request to a registry is about.
var kind = regexp.MustCompile(`/(manifests|blobs|tags|referrers)/(uploads/)?|/v2/$`)

func TestTheEngineNeverSeesTheRegistrysPassword(t *testing.T) {
	w := newWorld(t)
	w.production()
	require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
	for _, call := range w.engine.Calls() {
		if strings.Contains(call.Query, "hunter2-hunter2") {
			assert.True(t, strings.HasPrefix(call.Path, "setSecret."), "the value is part of the query that makes the secret, and of no other: %s", call.Path)
		}
		assert.NotContains(t, call.Path, "withRegistryAuth", "a login would make all that follows new in each session")
	}
}

func TestAProductionImageIsPushedOnceAndNamed(t *testing.T) {
	w := newWorld(t)
	w.production()
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Equal(t, w.registry+"/acme/rca@"+r.Reference.Digest, r.Reference.Written())
	want := map[string]string{}
	for _, tag := range []string{"sha-" + commit, "20261122-100000-0f1e2d3", "model-v7", "production", "latest"} {
		want[tag] = r.Reference.Digest
	}
	assert.Equal(t, want, w.tags(w.registry, "acme/rca"))
	assert.Contains(t, r.Stage.Published, r.Reference.Written())
	assert.Len(t, r.Stage.Published, 6)

	writes := 0
	w.setRefuse(func(r *http.Request) int {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
			writes++
		}
		return 0
	})
	again := w.run()
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.Zero(t, writes, "what is there already is not pushed again")
}

func TestBadInputIsRefusedAtOnce(t *testing.T) {
	for sentence, c := range map[string]struct {
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"no model":       {func(w *world) { w.in.Model = nil }, image.CodeModelMissing, "no gated model"},
		"no model files": {func(w *world) { w.in.ModelFiles = nil }, image.CodeModelMissing, "no gated model"},
		"a model's path": {func(w *world) { w.in.Model.File = "../x" }, image.CodeModelMissing, "not the name of a file"},
		"a model that is gone": {func(w *world) {
			require.NoError(w.t, os.Remove(filepath.Join(w.in.Model.Dir, w.in.Model.File)))
		}, image.CodeModelMissing, "not among"},
		"a model that is a directory": {func(w *world) {
			file := filepath.Join(w.in.Model.Dir, w.in.Model.File)
			require.NoError(w.t, os.Remove(file))
			require.NoError(w.t, os.Mkdir(file, 0o700))
		}, image.CodeModelMissing, "read the model"},
		"another model": {func(w *world) {
			require.NoError(w.t, os.WriteFile(filepath.Join(w.in.Model.Dir, w.in.Model.File), []byte("other"), 0o600))
		}, image.CodeModelMismatch, "the gated model has " + modelSHA},
		"another version":                  {func(w *world) { w.in.Version.SHA256 = "00" }, image.CodeModelMismatch, "version 7 was published with sha256 00"},
		"root":                             {func(w *world) { w.in.Config.Image.User = 0 }, image.CodeRoot, "image.user is 0"},
		"a port out of range":              {func(w *world) { w.in.Config.Image.Port = 70000 }, image.CodeConfigInvalid, "image.port"},
		"no command":                       {func(w *world) { w.in.Config.Image.Command = nil }, image.CodeConfigInvalid, "image.command"},
		"no health path":                   {func(w *world) { w.in.Config.Image.Health = "" }, image.CodeConfigInvalid, "image.health"},
		"a relative path":                  {func(w *world) { w.in.Config.Image.ScriptHealth = "x" }, image.CodeConfigInvalid, "image.script_health"},
		"no successes":                     {func(w *world) { w.in.Config.Image.Successes = 0 }, image.CodeConfigInvalid, "image.successes"},
		"no budget":                        {func(w *world) { w.in.Config.Image.StartBudget = 0 }, image.CodeConfigInvalid, "image.start_budget"},
		"a model outside":                  {func(w *world) { w.in.Config.Image.ModelDir = "../m" }, image.CodeConfigInvalid, "image.model_dir"},
		"a relative volume":                {func(w *world) { w.in.Config.Image.Volumes = []string{"data"} }, image.CodeConfigInvalid, "absolute path"},
		"a volume over the model":          {func(w *world) { w.in.Config.Image.Volumes = []string{"/app/models"} }, image.CodeConfigInvalid, "hide the model"},
		"a volume that no option can name": {func(w *world) { w.in.Config.Image.Volumes = []string{"/app/a:b"} }, image.CodeConfigInvalid, "no option for a volume can hold"},
		"an invalid base":                  {func(w *world) { w.in.Config.Image.Base = "Python:3" }, image.CodeConfigInvalid, "image.base"},
		"a secret variable":                {func(w *world) { w.in.Config.Image.Vars = map[string]string{"API_KEY": "d34db33f-cafe"} }, image.CodeSecret, "image.vars.API_KEY"},
		"a repository with a tag":          {func(w *world) { w.in.Push.Address = "acme/rca:1" }, image.CodeConfigInvalid, "without a tag"},
		"an invalid commit":                {func(w *world) { w.in.Commit = "HEAD" }, image.CodeConfigInvalid, "not a hash"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			before := len(w.engine.Calls())
			r := w.run()
			assert.Equal(t, verdict.Fail, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code)
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Len(t, w.engine.Calls(), before, "the engine was asked for nothing")
			assert.Nil(t, r.Container)
			assert.NotContains(t, r.Stage.Failure(), "d34db33f")
		})
	}
	t.Run("everything that is wrong is said at once", func(t *testing.T) {
		w := newWorld(t)
		w.in.Config.Image.User, w.in.Config.Image.Port, w.in.Model, w.in.Push.Address = -1, 0, nil, "X"
		assert.Len(t, w.run().Stage.Problems, 4)
	})
}

func TestABuildThatFailsSaysWhere(t *testing.T) {
	exec := &daggertest.ExecError{Cmd: []string{"sh"}, ExitCode: 2, Stderr: "much\nerror: no hunter2-hunter2 wheel\n"}
	for sentence, c := range map[string]struct {
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"the base cannot be pulled": {func(w *world) {
			w.engine.Answer("container.from.imageRef", errors.New("not found [traceparent:0a-0b]"))
		},
			image.CodeBaseUnavailable, "pull python:3.11-slim: not found"},
		"the base is for another platform": {func(w *world) {
			w.in.Config.Image.Platform = "linux/arm64"
			w.engine.Answer("imageRef", errors.New("resolve image: no match for platform in manifest: not found"))
		},
			image.CodeWrongPlatform, "pull python:3.11-slim: it does not exist for linux/arm64"},
		"the base is another platform's alone": {func(w *world) {
			w.in.Config.Image.Platform = "linux/arm64"
			w.engine.Answer("platform", "linux/amd64")
		},
			image.CodeWrongPlatform, "python:3.11-slim is for linux/amd64, wanted is linux/arm64"},
		"the base's platform is unread": {func(w *world) {
			w.in.Config.Image.Platform = "linux/arm64"
			w.engine.Answer("platform", errors.New("lost"))
		},
			image.CodeEngineFailed, "read the platform of python:3.11-slim: lost"},
		"the base has no Python": {func(w *world) {
			w.engine.Answer("withMountedDirectory.withMountedDirectory.withExec.withoutMount.sync", exec)
		},
			image.CodeBaseUnfit, "prepare python:3.11-slim: exit code 2"},
		"the engine fails": {func(w *world) {
			w.engine.Answer("withMountedDirectory.withMountedDirectory.withExec.withoutMount.sync", errors.New("lost"))
		},
			image.CodeEngineFailed, "lost"},
		"no requirements": {func(w *world) { w.files = map[string]string{} }, image.CodeRequirementsMissing, "requirements/serve.lock is not in the source"},
		"no usual requirements": {func(w *world) { w.files, w.in.Config.Image.Requirements = map[string]string{}, nil },
			image.CodeRequirementsMissing, "none of requirements/serve.lock"},
		"requirements outside the source": {func(w *world) { w.in.Config.Image.Requirements = []string{"../x"}; w.files["../x"] = "" },
			image.CodeRequirementsMissing, "../x is outside of the source"},
		"an included file that is not there": {func(w *world) { w.files["requirements/serve.lock"] = "-r base.txt --hash=x\n" },
			image.CodeRequirementsMissing, "requirements/base.txt"},
		"the source cannot be listed": {func(w *world) { w.engine.Answer("directory.glob", errors.New("gone")) }, image.CodeSourceUnreadable, "gone"},
		"the source cannot be read":   {func(w *world) { w.engine.Answer("directory.file.contents", errors.New("gone")) }, image.CodeSourceUnreadable, "read requirements/serve.lock"},
		"packages cannot be installed": {func(w *world) { w.engine.Answer("withWorkdir.withExec.withoutFile.sync", exec) },
			image.CodeEnvFailed, "install requirements/serve.lock, locked by hash: exit code 2: error: no *** wheel"},
		"the build finds another model": {func(w *world) {
			w.engine.Answer("withMountedDirectory.withMountedDirectory.withMountedDirectory.withExec.withoutMount.stdout", exec)
		},
			image.CodeModelMismatch, "check the model"},
		"the build lists another model": {func(w *world) { w.listing["lstm_model.keras"] = "11" }, image.CodeModelMismatch, "has sha256 11"},
		"the build lists nonsense": {func(w *world) {
			w.engine.Answer("withMountedDirectory.withMountedDirectory.withMountedDirectory.withExec.withoutMount.stdout", "[")
		},
			image.CodeEngineFailed, "list of the model's files"},
		"the image cannot be put together": {func(w *world) { w.engine.Answer("withAnnotation.sync", errors.New("no space")) }, image.CodeBuildFailed, "no space"},
		"the registry does not start":      {func(w *world) { w.engine.Answer("asService.start", errors.New("no such image")) }, image.CodeSandboxRegistry, "no such image"},
		"the sandbox takes no push":        {func(w *world) { w.engine.Answer("publish", errors.New("broken")) }, image.CodeSandboxRegistry, "broken"},
		"the engine names no digest":       {func(w *world) { w.engine.Answer("publish", "localhost:5000/acme/rca:1") }, image.CodeEngineFailed, "names no digest"},
		"another digest arrives": {func(w *world) {
			w.engine.Answer("publish", "localhost:5000/library/openstack-rca-system:1@"+baseDigest)
		},
			image.CodeDigestMismatch, "does not exist, it should name " + baseDigest},
		"the image does not start":  {func(w *world) { w.engine.Answer("withMountedCache.asService.start", errors.New("no shell")) }, image.CodeStartFailed, "no shell"},
		"its command is unknown":    {func(w *world) { w.engine.Answer("defaultArgs", errors.New("lost")) }, image.CodeEngineFailed, "read the command"},
		"its entrypoint is unknown": {func(w *world) { w.engine.Answer("entrypoint", errors.New("lost")) }, image.CodeEngineFailed, "read the entrypoint"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			w.in.Redact = verdict.Redact("hunter2-hunter2")
			c.change(w)
			r := w.run()
			assert.Equal(t, c.code.Outcome, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.NotContains(t, r.Stage.Failure(), "traceparent")
			assert.Empty(t, r.Reference.Written())
			assert.Empty(t, r.Reference.Digest)
		})
	}
}

func TestWhatIsInTheImageIsJudged(t *testing.T) {
	exec := &daggertest.ExecError{ExitCode: 1, Stderr: "no python3"}
	for sentence, c := range map[string]struct {
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"root":            {func(w *world) { w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.User = "" }) }, image.CodeRoot, `user is ""`},
		"a user's name":   {func(w *world) { w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.User = "app" }) }, image.CodeRoot, `"app"`},
		"no port":         {func(w *world) { w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.ExposedPorts = nil }) }, image.CodePort, "7051/tcp"},
		"no health check": {func(w *world) { w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.Healthcheck = nil }) }, image.CodeNoHealthcheck, "none"},
		"another label":   {func(w *world) { w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.Labels = nil }) }, image.CodeModelMismatch, `labelled with model sha256 ""`},
		"a secret in the environment": {func(w *world) {
			w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.Env = append(f.Config.Env, "DB_PASSWORD=correct-horse-9") })
		}, image.CodeSecret, "DB_PASSWORD"},
		"a secret in a label": {func(w *world) {
			w.image = w.newImage(func(f *v1.ConfigFile) { f.Config.Labels["source"] = "https://me:correct-horse-9@git.example/x" })
		}, image.CodeSecret, "label source"},
		"a secret in the history": {func(w *world) {
			w.image = w.newImage(func(f *v1.ConfigFile) { f.History[0].CreatedBy = "curl https://me:correct-horse-9@x.example" })
		}, image.CodeSecret, "step 1 of the history"},
		"too large": {func(w *world) {
			w.in.Config.Image.MaxMegabytes = 0
			w.in.Config.Image.MaxMegabytes = 1
			w.image = bigImage(t)
		}, image.CodeTooLarge, "at most 1"},
		"setuid files": {func(w *world) { w.findings["setuid"] = []string{"/bin/su"} }, image.CodeSetuid, "/bin/su"},
		"setuid files of the distribution": {func(w *world) {
			w.findings["setuid"], w.findings["packaged"] = []string{"/bin/su"}, []string{"/bin/su"}
		}, image.CodeSetuid, "/bin/su"},
		"writable files": {func(w *world) { w.findings["writable"] = []string{"/a", "/b", "/c", "/d", "/e", "/f"} }, image.CodeWorldWritable, "and 1 more"},
		"hidden code":    {func(w *world) { w.findings["hidden_code"] = []string{"/app/data/load.py"} }, image.CodeHidden, "/app/data/load.py"},
		"pip":            {func(w *world) { w.findings["modules"] = []string{"pip"} }, image.CodeBuildTool, "pip"},
		"a cache":        {func(w *world) { w.findings["caches"] = []string{"/root/.cache"} }, image.CodeBuildTool, "/root/.cache"},
		"a key":          {func(w *world) { w.findings["secrets"] = []string{"/app/.env"} }, image.CodeSecret, "/app/.env"},
		"another Python": {func(w *world) { w.findings["python"] = "3.9" }, image.CodeBaseUnfit, "has Python 3.9"},
		"an import that fails": {func(w *world) {
			w.findings["imports"] = map[string]string{"tensorflow": "absent", "mlflow": "absent", "streamlit": "ImportError: libz.so.1"}
		}, image.CodeImport, "import streamlit: ImportError: libz.so.1"},
		"an import that is wanted": {func(w *world) {
			w.in.Config.Image.Imports = []string{"streamlit", "lstm.inference"}
			w.findings["imports"] = map[string]string{"streamlit": "ok", "lstm.inference": "absent"}
		}, image.CodeImport, "import lstm.inference: it is not installed"},
		"a page with an exception": {func(w *world) {
			w.page = map[string]any{"status": 200, "text": "Traceback", "broken": "ModelFileError: hunter2-hunter2"}
		}, image.CodePage, "the page shows an exception: ModelFileError"},
		"a page with an error":   {func(w *world) { w.page = map[string]any{"status": 404, "text": "not found", "drawn": true} }, image.CodePage, "status 404"},
		"an empty page":          {func(w *world) { w.page = map[string]any{"status": 200} }, image.CodePage, "nothing is drawn within 200ms"},
		"a page that never ends": {func(w *world) { w.page = map[string]any{"status": 200, "text": "Running..."} }, image.CodePage, "still being drawn"},
		"a page out of reach":    {func(w *world) { w.page = map[string]any{"failed": "net::ERR_EMPTY_RESPONSE"} }, image.CodePage, "ERR_EMPTY_RESPONSE"},
		"a page's script fails":  {func(w *world) { w.page = map[string]any{"error": "TypeError: x"} }, image.CodePage, "an error in the browser: TypeError"},
		"a browser that crashes": {func(w *world) { w.page = map[string]any{"browser": "the browser ended: no memory"} }, image.CodeBrowser, "no memory"},
		"no browser":             {func(w *world) { w.engine.Answer("from.withUser.withExec.sync", exec) }, image.CodeBrowser, "install chromium: exit code 1"},
		"the browser says rubbish": {func(w *world) {
			w.engine.Answer("withServiceBinding.withEnvVariable.withMountedDirectory.withExec.withoutMount.stdout", "{")
		},
			image.CodeEngineFailed, "read what the browser saw"},
		"no interpreter": {func(w *world) { w.findings["error"] = "python: not found" }, image.CodeBaseUnfit, "python: not found"},
		"it cannot be looked through": {func(w *world) { w.engine.Answer("withUser.withMountedDirectory.withExec.withoutMount.stdout", exec) },
			image.CodeBaseUnfit, "no python3"},
		"the findings are nonsense": {func(w *world) { w.engine.Answer("withUser.withMountedDirectory.withExec.withoutMount.stdout", "{") },
			image.CodeEngineFailed, "read what was found"},
		"the golden sample differs": {func(w *world) {
			w.engine.Answer("exitCode", 1)
			w.engine.Answer("withMountedDirectory.withExec.exitCode", 0)
		}, image.CodeGolden, "python main.py --mode score ended with exit code 1"},
		"the image's Keras is older": {func(w *world) {
			w.engine.Answer("exitCode", 1)
			w.engine.Answer("withMountedDirectory.withExec.combinedOutput",
				"error: Keras 3.15.1 saved it, keras 3.14.1 does not load it: TypeError: input_axes\n")
		}, image.CodeUnreadable, "Keras 3.15.1 saved it, keras 3.14.1 does not load it"},
		"no golden sample, and an older Keras": {func(w *world) {
			w.in.Model.Golden = ""
			w.engine.Answer("exitCode", 1)
			w.engine.Answer("combinedOutput", "error: Keras 3.15.1 saved it, keras 3.14.1 does not load it: TypeError: input_axes\n")
		}, image.CodeUnreadable, "keras 3.14.1 does not load it"},
		"the golden sample is unread": {func(w *world) { w.engine.Answer("exitCode", errors.New("lost")) }, image.CodeEngineFailed, "score the golden sample"},
		"the score's output is lost": {func(w *world) {
			w.engine.Answer("exitCode", 1)
			w.engine.Answer("withMountedDirectory.withExec.exitCode", 0)
			w.engine.Answer("combinedOutput", errors.New("lost"))
		}, image.CodeGolden, "exit code 1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			w.production()
			r := w.run()
			assert.NotEqual(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Empty(t, r.Reference.Written())
			assert.NotContains(t, r.Stage.Failure(), "correct-horse")
			assert.Empty(t, w.tags(w.registry, "acme/rca")["production"], "nothing is pushed that was found wanting")
		})
	}
}

// TestAPageThatIsNotDrawnHasTheApplicationsLastWords: the page shows nothing, and what the application printed may say why.
func TestAPageThatIsNotDrawnHasTheApplicationsLastWords(t *testing.T) {
	w := newWorld(t)
	w.page = map[string]any{"status": 200, "text": "Running..."}
	w.left["out"] = "started\nloading the tokenizer from hub.example.org failed\n(sqlite3.OperationalError) unable to open database file\n" +
		"FileNotFoundError: [Errno 2] No such file or directory: 'saved/" + w.in.Model.File + "'\n"
	r := w.run()
	require.Equal(t, image.CodePage.Name, r.Stage.Code)
	assert.Contains(t, strings.Join(r.Stage.Problems[0].Details, "\n"), "loading the tokenizer")
	assert.Contains(t, r.Stage.Problems[0].Next, "Write image.model_dir: saved into pipeline.yaml")
	var warned []string
	for _, warning := range r.Stage.Warnings {
		warned = append(warned, warning.Code)
	}
	assert.Contains(t, warned, "NETWORK_REFUSED")
	assert.Contains(t, warned, "WRITE_REFUSED")
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.files["requirements/serve.lock"] = "six\n"
	w.in.Model.Golden = ""
	w.in.Config.Image.MaxMegabytes = 0
	w.in.Config.Image.Page = ""
	w.engine.Answer("withUser.withMountedCache.withEnvVariable.withMountedDirectory.withExec.withoutMount.stdout", errors.New("no volume"))
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	var codes []string
	for _, warning := range r.Stage.Warnings {
		codes = append(codes, warning.Code)
	}
	assert.Equal(t, []string{image.WarnUnlocked.Name, image.WarnNotScored.Name, image.WarnLogs.Name, image.WarnNoPage.Name}, codes)
	assert.Contains(t, w.engine.Queries(), `"uv","pip","install","-r","requirements/serve.lock"`)
}

func TestFilesThatAVolumeHidesAreWarnedOf(t *testing.T) {
	w := newWorld(t)
	w.in.Config.Rollout.Volumes = []config.Volume{{Path: "/srv/shared", FileSystem: "fs-0123456789abcdef0"}, {Path: "/app/data", FileSystem: "fs-0123456789abcdef0"}}
	w.findings["hidden_files"] = []string{"/app/data/seed.csv"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	require.Len(t, r.Stage.Warnings, 1)
	assert.Equal(t, image.WarnHidden.Name, r.Stage.Warnings[0].Code)
	assert.Contains(t, r.Stage.Warnings[0].Cause, "/app/data/seed.csv")
	assert.Contains(t, w.engine.Queries(), `"/app/data","/app/logs","/srv/shared","--"`, "each path once, also those of the rollout")
}

func TestPackagesArePruned(t *testing.T) {
	w := newWorld(t)
	w.in.Config.Image.Prune = []string{"**/tests", "pyarrow/include"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Contains(t, w.engine.Queries(), `filter(exclude: ["lib/python*/site-packages/**/tests","lib/python*/site-packages/pyarrow/include"])`)
}

func TestInstallersThatTheRequirementsNameAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.programs = []string{"pip", "pip3", "uvicorn"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Contains(t, w.engine.Queries(), `filter(exclude: ["bin/pip","bin/pip[0-9x]*","lib/python*/site-packages/pip","lib/python*/site-packages/pip-*.dist-info"])`)
	assert.NotEmpty(t, evidence(r.Stage, "installers left out of the packages"))
}

func TestAnImageIsMadeSlim(t *testing.T) {
	w := newWorld(t)
	w.in.Config.Image.Slim = true
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Contains(t, w.engine.Queries(), `"/mnt/slim.py","base","/base","/image"`)
	assert.Contains(t, w.engine.Queries(), `"/mnt/slim.py","packages","/tree"`)
	assert.NotEmpty(t, evidence(r.Stage, "left out of the base"))
	assert.NotEmpty(t, evidence(r.Stage, "left out of the packages"))
}

func TestANetworkThatCouldNotBeCutIsSaid(t *testing.T) {
	w := newWorld(t)
	w.left["outside"] = "not cut: Operation not permitted\n"
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	require.Len(t, r.Stage.Warnings, 1)
	assert.Equal(t, image.WarnNotCut.Name, r.Stage.Warnings[0].Code)
	assert.Equal(t, "Operation not permitted", r.Stage.Warnings[0].Cause)
	assert.Empty(t, evidence(r.Stage, "network to the outside"))
}

func TestARootThatCouldBeWrittenToIsSaid(t *testing.T) {
	w := newWorld(t)
	w.left["root"] = "not held: version 1 of the kernel's rules is too old\n"
	w.in.Config.Image.Volumes = []string{"/tmp"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	require.Len(t, r.Stage.Warnings, 1)
	assert.Equal(t, image.WarnRootWritable.Name, r.Stage.Warnings[0].Code)
	assert.Equal(t, "version 1 of the kernel's rules is too old", r.Stage.Warnings[0].Cause)
	assert.Empty(t, evidence(r.Stage, "root file system"))
	assert.Contains(t, w.engine.Queries(), `readonly.py /openstack-rca-probe/root '/tmp' -- `)
}

func TestAPictureThatIsLostIsAWarning(t *testing.T) {
	w := newWorld(t)
	w.engine.Answer("withoutMount.file.contents", "%%")
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	require.Len(t, r.Stage.Warnings, 1)
	assert.Contains(t, r.Stage.Warnings[0].Cause, "keep the picture of the page")
}

func TestAnApplicationThatIsNotHealthyIsNotPushed(t *testing.T) {
	zero := "0"
	for sentence, c := range map[string]struct {
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"500": {func(w *world) { w.status = func(string) int { return 500 } }, probe.CodeUnhealthy, "status 500"},
		"the script fails": {func(w *world) {
			w.in.Config.Image.ScriptHealth = "/script"
			w.status = func(path string) int { return map[bool]int{true: 503, false: 200}[path == "/script"] }
		}, probe.CodeScriptUnhealthy, "/script: status 503"},
		"the wrong port": {func(w *world) {
			w.engine.Answer("withMountedCache.withMountedCache.asService.start.endpoint", "127.0.0.1:1")
			w.left["tcp"] = "  sl  local_address rem_address   st\n   0: 00000000:2135 00000000:0000 0A 0\n"
		}, image.CodeElsewhere, "it listens on 0.0.0.0:8501, not on 0.0.0.0:7051"},
		"it answers on a port of its own": {func(w *world) {
			w.in.Config.Image.StartBudget = config.Duration(time.Minute) // told long before
			w.engine.Answer("withMountedCache.withMountedCache.asService.start.endpoint", "127.0.0.1:1")
			w.left["tcp"] = "  sl  local_address rem_address   st\n   0: 00000000:1388 00000000:0000 0A 0\n"
			w.left["elsewhere"] = "yes\n"
		}, image.CodeElsewhere, "it listens on 0.0.0.0:5000, not on 0.0.0.0:7051"},
		"it answered elsewhere, and ended": {func(w *world) {
			w.in.Config.Image.StartBudget = config.Duration(time.Minute)
			w.engine.Answer("withMountedCache.withMountedCache.asService.start.endpoint", "127.0.0.1:1")
			w.left["elsewhere"], w.left["exit"] = "yes\n", &zero
		}, probe.CodeCrashed, "exit code 0"},
		"nobody there": {func(w *world) {
			w.engine.Answer("withMountedCache.withMountedCache.asService.start.endpoint", "127.0.0.1:1")
		}, probe.CodeNotListening, "connection refused"},
		"it ended": {func(w *world) {
			w.in.Config.Image.StartBudget = config.Duration(10 * time.Second)
			w.status = func(string) int { return 500 }
			w.left["exit"] = &zero
		}, probe.CodeCrashed, "exit code 0"},
		"the health check fails":     {func(w *world) { w.left["health"], w.left["health.log"] = "1\n", "refused" }, image.CodeHealthcheckFails, "exit code 1"},
		"the health check never ran": {func(w *world) { delete(w.left, "health") }, image.CodeHealthcheckFails, "no answer"},
		"nobody can read the log": {func(w *world) {
			w.status = func(string) int { return 500 }
			w.engine.Answer("withUser.withMountedCache.withEnvVariable.withMountedDirectory.withExec.withoutMount.stdout", "[")
		}, probe.CodeUnhealthy, "status 500"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			w.production()
			w.left["out"] = "Traceback\npassword is hunter2-hunter2\nModuleNotFoundError: No module named 'pandas'\n"
			w.in.Redact = verdict.Redact("hunter2-hunter2")
			c.change(w)
			r := w.run()
			require.Equal(t, verdict.Fail, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			require.NotEmpty(t, r.Stage.Problems)
			assert.Equal(t, r.Stage.Code == probe.CodeCrashed.Name, strings.Contains(r.Stage.Next, "pandas"), r.Stage.Next)
			for _, problem := range r.Stage.Problems {
				assert.NotContains(t, strings.Join(problem.Details, "\n"), "hunter2")
			}
			assert.Empty(t, w.tags(w.registry, "acme/rca"))
		})
	}
}

func TestPushesThatFail(t *testing.T) {
	on := func(method, end string, status int) func(*http.Request) int {
		return func(r *http.Request) int {
			if r.Method == method && strings.Contains(r.URL.Path, end) {
				return status
			}
			return 0
		}
	}
	const uploads, manifest = "/acme/rca/blobs/uploads/", "/acme/rca/manifests/sha-" + commit
	for sentence, c := range map[string]struct {
		refuse    func(*http.Request) int
		change    func(*world)
		code      verdict.Code
		cause     string
		published int
		pauses    int
	}{
		"the password is gone": {change: func(w *world) { w.engine.Answer("setSecret.plaintext", errors.New("secret not found")) }, code: image.CodePushAuth, cause: "cannot be read"},
		"401 on looking":       {refuse: on(http.MethodHead, manifest, 401), code: image.CodePushAuth, cause: "look up tag"},
		"403 on a layer":       {refuse: on(http.MethodPost, uploads, 403), code: image.CodePushAuth, cause: "403"},
		"429 for good":         {refuse: on(http.MethodPost, uploads, 429), code: image.CodePushThrottled, cause: "429", pauses: 2},
		"503 for good":         {refuse: on(http.MethodPost, uploads, 503), code: image.CodePushUnavailable, cause: "503", pauses: 2},
		"404 on a layer":       {refuse: on(http.MethodPost, uploads, 404), code: image.CodePushFailed, cause: "404"},
		"400 on the manifest":  {refuse: on(http.MethodPut, manifest, 400), code: image.CodePushFailed, cause: "400"},
		"the push was a lie":   {refuse: on(http.MethodPut, manifest, 201), code: image.CodeDigestMismatch, cause: "does not exist", published: 1},
		"the second tag fails": {refuse: on(http.MethodPut, "/acme/rca/manifests/20261122", 403), code: image.CodeTagFailed, cause: "set tag 20261122-100000-0f1e2d3", published: 2},
		"the second tag is a lie": {refuse: on(http.MethodPut, "/acme/rca/manifests/20261122", 201), code: image.CodeTagFailed,
			cause: "tag 20261122-100000-0f1e2d3 does not exist", published: 2},
	} {
		t.Run(sentence, func(t *testing.T) {
			pauses := 0
			defer image.NoPause(&pauses)()
			w := newWorld(t)
			w.production()
			if c.change != nil {
				c.change(w)
			}
			w.setRefuse(c.refuse)
			r := w.run()
			assert.Equal(t, c.code.Outcome, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Len(t, r.Stage.Published, c.published)
			assert.Equal(t, c.pauses, pauses)
			assert.NotContains(t, r.Stage.Failure(), "hunter2")
			tags := w.tags(w.registry, "acme/rca")
			for _, release := range []string{"production", "latest", "model-v7"} {
				assert.NotContains(t, tags, release, "no release tag moves")
			}
			assert.Empty(t, r.Reference.Written())
		})
	}
}

// Amazon ECR can make tags immutable, all of them or all but those that filters exclude. To
// set such a tag again is refused, also to the digest that it names.
func TestARegistryWhoseTagsAreImmutable(t *testing.T) {
	immutable := func(w *world, excluded ...string) {
		set := map[string]bool{}
		w.setRefuse(func(r *http.Request) int {
			tag := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") || strings.HasPrefix(tag, "sha256:") || slices.Contains(excluded, tag) {
				return 0
			}
			if set[tag] {
				return http.StatusBadRequest
			}
			set[tag] = true
			return 0
		})
	}
	w := newWorld(t)
	w.production()
	immutable(w)
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	again := w.run()
	require.Equal(t, verdict.Pass, again.Stage.Verdict, "every tag names the digest already: %s", again.Stage.Failure())
	assert.Equal(t, first.Stage.Published, again.Stage.Published)

	// Another image moves the tags that are to name the newest one: they must be excluded.
	w.image, w.in.Commit = w.newImage(nil), strings.Repeat("1", 40)
	moved := w.run()
	require.Equal(t, image.CodeTagFailed.Name, moved.Stage.Code, moved.Stage.Failure())
	assert.Contains(t, moved.Stage.Next, "Exclude the tag production", "to run it again would fail again")
	immutable(w, "production", "latest")
	last := w.run()
	require.Equal(t, verdict.Pass, last.Stage.Verdict, "what the failed run set is not set again: %s", last.Stage.Failure())
	assert.Equal(t, last.Reference.Digest, w.tags(w.registry, "acme/rca")["production"])
}

func TestAThrottledPushIsRepeated(t *testing.T) {
	pauses := 0
	defer image.NoPause(&pauses)()
	w := newWorld(t)
	w.production()
	tried := 0
	w.setRefuse(func(r *http.Request) int {
		if r.Method == http.MethodPost {
			if tried++; tried == 1 {
				return http.StatusTooManyRequests
			}
		}
		return 0
	})
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Greater(t, tried, 1, "by this stage or by the library below it")
}

func TestAnImmutableTagStays(t *testing.T) {
	w := newWorld(t)
	w.production()
	first := w.run()
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())

	w.image = w.newImage(nil)
	second := w.run()
	require.Equal(t, verdict.Fail, second.Stage.Verdict)
	assert.Equal(t, image.CodeTagTaken.Name, second.Stage.Code)
	assert.Contains(t, second.Stage.Cause, first.Reference.Digest)
	for tag, digest := range w.tags(w.registry, "acme/rca") {
		assert.Equal(t, first.Reference.Digest, digest, tag)
	}

	w.in.Commit = strings.Repeat("1", 40)
	third := w.run()
	require.Equal(t, verdict.Pass, third.Stage.Verdict, third.Stage.Failure())
	tags := w.tags(w.registry, "acme/rca")
	assert.Equal(t, first.Reference.Digest, tags["model-v7"], "it names the first image with that model, and a newer one is not refused for it")
	assert.Contains(t, evidence(third.Stage, "tag model-v7"), "stays on "+first.Reference.Digest)
	assert.NotContains(t, evidence(third.Stage, "tags"), "model-v7")
	assert.Equal(t, first.Reference.Digest, tags["sha-"+commit])
	assert.Equal(t, third.Reference.Digest, tags["latest"])
}

func TestAnImageOfAnotherPlatformIsRefused(t *testing.T) {
	arm := func(f *v1.ConfigFile) { f.Architecture = "arm64" }
	for sentence, c := range map[string]struct {
		platform, inside string
		change           func(*v1.ConfigFile)
		real             bool
		cause            string
	}{
		"the image":               {platform: "linux/arm64", inside: "linux/arm64", cause: "the image is for linux/amd64, wanted is linux/arm64"},
		"the programs in it":      {platform: "linux/arm64", inside: "linux/amd64", change: arm, cause: "the image's python is for linux/amd64, wanted is linux/arm64"},
		"an engine's own":         {inside: "linux/arm64", change: arm, real: true, cause: "the image is for linux/arm64, wanted is linux/amd64"},
		"an engine's own at home": {inside: "linux/arm64", change: arm},
		"as chosen":               {platform: "linux/arm64", inside: "linux/arm64", change: arm, real: true},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			if c.real {
				w.production()
			}
			w.in.Config.Image.Platform, w.findings["platform"], w.image = c.platform, c.inside, w.newImage(c.change)
			r := w.run()
			if c.cause == "" {
				assert.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
				assert.Equal(t, "linux/arm64", evidence(r.Stage, "platform"))
				return
			}
			assert.Equal(t, image.CodeWrongPlatform.Name, r.Stage.Code)
			assert.Contains(t, r.Stage.Failure(), c.cause)
			assert.Empty(t, r.Stage.Published)
		})
	}
}

func TestAModelsVersionNeverNamesAnotherModel(t *testing.T) {
	for sentence, c := range map[string]struct {
		change func(*v1.ConfigFile)
		refuse int
		code   verdict.Code
		cause  string
	}{
		"another model":       {func(f *v1.ConfigFile) { f.Config.Labels[image.LabelModelSHA256] = "ff00" }, 0, image.CodeTagTaken, `an image with another model (sha256 "ff00")`},
		"no image of ours":    {func(f *v1.ConfigFile) { f.Config.Labels = nil }, 0, image.CodeTagTaken, `an image with another model (sha256 "")`},
		"one that is unread":  {nil, 404, image.CodePushFailed, "read manifest of sha256:"},
		"one that is refused": {nil, 403, image.CodePushAuth, "403"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			w.production()
			there := w.newImage(c.change)
			repo, err := name.NewRepository(w.registry+"/acme/rca", name.Insecure)
			require.NoError(t, err)
			require.NoError(t, remote.Write(repo.Tag("model-v7"), there))
			digest, err := there.Digest()
			require.NoError(t, err)
			if c.refuse != 0 {
				w.setRefuse(func(r *http.Request) int {
					return map[bool]int{true: c.refuse}[r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+digest.String())]
				})
			}
			r := w.run()
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Empty(t, r.Stage.Published)
			assert.Equal(t, map[string]string{"model-v7": digest.String()}, w.tags(w.registry, "acme/rca"), "nothing is pushed")
		})
	}
}

func TestARegistryWithoutALogin(t *testing.T) {
	w := newWorld(t)
	w.production()
	w.in.Push.Password = nil
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.NotContains(t, w.engine.Queries(), "withRegistryAuth")
}

func TestCancel(t *testing.T) {
	for _, at := range []string{"imageRef", "glob", "publish", "exitCode", "start"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithCancel(context.Background())
			w.engine.AnswerFunc(at, func(daggertest.Call) (any, error) { cancel(); return nil, context.Canceled })
			r := image.Run(ctx, w.engine.Client(t), w.in)
			assert.Equal(t, verdict.CouldNotRun, r.Stage.Verdict)
			assert.Equal(t, image.CodeCancelled.Name, r.Stage.Code, r.Stage.Failure())
		})
	}
	for sentence, status := range map[string]int{"a push": 500, "a pause between pushes": 503} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			w.production()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w.setRefuse(func(r *http.Request) int {
				if r.Method != http.MethodPost {
					return 0
				}
				if status == 500 {
					cancel()
				} else {
					time.AfterFunc(20*time.Millisecond, cancel)
				}
				return status
			})
			r := image.Run(ctx, w.engine.Client(t), w.in)
			assert.Equal(t, image.CodeCancelled.Name, r.Stage.Code, r.Stage.Failure())
		})
	}
}

func TestAnUnpublishedModelHasNoVersion(t *testing.T) {
	w := newWorld(t)
	w.in.Version, w.in.CommitTime, w.in.Model.Dir = nil, time.Time{}, ""
	w.in.Model = &model.Artifact{Format: "keras", File: w.in.Model.File, SHA256: modelSHA, Golden: "golden.json"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Contains(t, evidence(r.Stage, "model"), "(not published)")
	assert.NotContains(t, w.engine.Queries(), image.LabelModelVersion)
	assert.NotContains(t, w.engine.Queries(), "image.created")
	assert.NotContains(t, w.tags(w.sandbox, "library/openstack-rca-system"), "model-v7")
}

func TestCodesAreComplete(t *testing.T) {
	_, err := verdict.Codes(image.Codes())
	assert.NoError(t, err)
}

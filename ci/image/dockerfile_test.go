package image_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const dockerfile = `# syntax=docker/dockerfile:1
FROM python:3.11-slim AS base
RUN echo one && \
    # a comment in between
    pip install \
      streamlit

RUN --mount=type=cache,target=/root/.cache <<EOF
pip install nothing
EOF
FROM base as production
COPY main.py models/ /app/
COPY --from=builder /x /y
RUN ["python", "-m", "compileall"]
USER app
`

// fromDockerfile makes the world's source one with a Dockerfile.
func fromDockerfile(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.files["Dockerfile"] = dockerfile
	w.in.Config.Image.Dockerfile, w.in.Config.Image.Target = "Dockerfile", "production"
	w.in.Config.Image.BuildArgs = map[string]string{"PYTHON": "3.11"}
	w.in.Config.Image.Source = "https://example.org/acme/rca"
	w.engine.Answer("sync.workdir", "/srv/app")
	w.engine.Answer("workdir", "/srv/app")
	w.engine.Answer("user", "app")
	w.engine.Answer("dockerHealthcheck.args", []string{"curl", "localhost"})
	w.engine.AnswerFunc("withExec.stdout", func(c daggertest.Call) (any, error) {
		if strings.Contains(c.Query, `["id","-u"]`) {
			return "1000\n", nil
		}
		return "anBlZw==", nil
	})
	return w
}

func TestWhatADockerfileDoesNotDeclareIsAdded(t *testing.T) {
	w := fromDockerfile(t)
	require.Equal(t, verdict.Pass, w.run().Stage.Verdict)
	assert.NotContains(t, w.engine.Queries(), "withDockerHealthcheck")
	w = fromDockerfile(t)
	w.engine.Answer("dockerHealthcheck.args", []string{})
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	var facts []string
	for _, e := range r.Stage.Evidence {
		facts = append(facts, e.Name+": "+e.Value)
	}
	assert.Contains(t, facts, "health check: image.health, added by the pipeline: Dockerfile has none")
	assert.Contains(t, facts, "exposed by the pipeline: 7051")
	assert.Contains(t, w.engine.Queries(), `"python3"`)
	w = fromDockerfile(t)
	w.engine.Answer("dockerHealthcheck.args", errors.New("lost"))
	assert.Equal(t, image.CodeEngineFailed.Name, w.run().Stage.Code)
}

func TestTheLineOfAnInstructionIsFound(t *testing.T) {
	for cause, line := range map[string]int{
		"dockerfile parse error on line 7: unknown instruction: FOO":     7,
		"failed to copy source directory: lstat /main.py: no such file":  12,
		`failed to calculate checksum of ref x: "/models": not found`:    12,
		"builder: docker.io/library/builder:latest: not found":           13,
		"lstat /nowhere: no such file or directory":                      0,
		`target stage "prod" could not be found`:                         0,
		"something else":                                                 0,
		"python: docker.io/library/python:3.11-slim: not found":          2,
		"dockerfile parse error on line 99999999999999999999999999: boo": 9223372036854775807,
	} {
		assert.Equal(t, line, image.LineOf(dockerfile, cause), cause)
	}
	for command, line := range map[string]int{
		"/bin/sh|-c|echo one &&     pip install       streamlit": 3,
		"python|-m|compileall":      14,
		"/bin/sh|-c|something else": 0,
		"":                          0,
	} {
		assert.Equal(t, line, image.RunLine(dockerfile, strings.Split(command, "|")), command)
	}
	assert.Equal(t, 3, image.RunLine("# escape=`\n\nRUN a `\r\n b\r\n", []string{"sh", "-c", "a b"}))
	const document = "FROM x\nRUN echo a\nRUN <<EOF\nset -e\npip install  b\nEOF\nRUN <<-\"ONE\" python3 && cat <<TWO\nc\n\tONE\nd\nTWO\nUSER 1\n"
	assert.Equal(t, 3, image.RunLine(document, []string{"/bin/sh", "-c", "set -e\npip install  b\n"}))
	assert.Equal(t, 7, image.RunLine(document, []string{"/bin/sh", "-c", "c\nd\n"}))
	assert.Equal(t, 0, image.RunLine(document, []string{"/bin/sh", "-c", "EOF"}))
	assert.Equal(t, 1, image.RunLine("RUN a \\", []string{"sh", "-c", "a"}), "a file that ends in the middle")
}

func TestADockerfileThatDoesNotBuildIsNamedByLine(t *testing.T) {
	for sentence, c := range map[string]struct {
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"no file": {func(w *world) { delete(w.files, "Dockerfile") }, image.CodeBuildFailed, "Dockerfile is not in the source"},
		"too large": {func(w *world) { w.files["Dockerfile"] = strings.Repeat("#", 1<<20+1) },
			image.CodeBuildFailed, "at most 1048576"},
		"a command fails": {func(w *world) {
			w.engine.Answer("dockerBuild.sync", &daggertest.ExecError{Cmd: []string{"/bin/sh", "-c", "echo one &&     pip install       streamlit"}, ExitCode: 1, Stderr: "no\nERROR: hunter2-hunter2 not found\n"})
		}, image.CodeBuildFailed, "Dockerfile line 3: exit code 1: ERROR: *** not found"},
		"a file is missing": {func(w *world) {
			w.engine.Answer("dockerBuild.sync", errors.New("failed to load container from converted ID: load x: inputs: load y: inputs: failed to copy source directory: lstat /main.py: no such file or directory"))
		}, image.CodeBuildFailed, "Dockerfile line 12: failed to copy source directory: lstat /main.py"},
		"a stage is missing": {func(w *world) {
			w.engine.Answer("dockerBuild.sync", errors.New(`failed to convert Dockerfile to LLB: target stage "production" could not be found`))
		}, image.CodeBuildFailed, `target stage "production" could not be found; its stages are base, production`},
		"root": {func(w *world) { w.engine.Answer("sync", nil); w.engine.Answer("user", "0:0") }, image.CodeRoot, `ends with the user "0:0"`},
		"the user is unknown": {func(w *world) {
			w.engine.Answer("withExec.stdout", &daggertest.ExecError{ExitCode: 1, Stderr: "no such user"})
		}, image.CodeBaseUnfit, `look up the user "app"`},
		"the user has no number": {func(w *world) { w.engine.Answer("withExec.stdout", "app\n") }, image.CodeEngineFailed, "read the user"},
		"the engine lost it":     {func(w *world) { w.engine.Answer("user", errors.New("lost")) }, image.CodeEngineFailed, "read the user: lost"},
		"another machine": {func(w *world) {
			w.in.Config.Image.Platform = "linux/arm64"
			w.engine.Answer("dockerBuild.sync", &daggertest.ExecError{ExitCode: 255, Stderr: "exec /bin/sh: Exec format error"})
		}, image.CodePlatform, "the engine cannot run programs of linux/arm64"},
		"a secret argument": {func(w *world) { w.in.Config.Image.BuildArgs = map[string]string{"API_TOKEN": "d34db33f-cafe"} },
			image.CodeSecret, "image.build_args.API_TOKEN"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := fromDockerfile(t)
			w.in.Redact = verdict.Redact("hunter2-hunter2")
			c.change(w)
			r := w.run()
			require.NotEqual(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, c.code.Name, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Empty(t, r.Reference.Digest)
		})
	}
}

func TestABuildBehindAProxyWithItsOwnCertificateSaysSo(t *testing.T) {
	for said, told := range map[string]bool{
		"SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))\nERROR: No matching distribution found for x": true,
		"curl: (60) SSL certificate problem: unable to get local issuer certificate":                                                                       true,
		"ERROR: No matching distribution found for x":                                                                                                      false,
	} {
		w := fromDockerfile(t)
		w.engine.Answer("dockerBuild.sync", &daggertest.ExecError{Cmd: []string{"/bin/sh", "-c", "x"}, ExitCode: 1, Stderr: said})
		r := w.run()
		assert.Equal(t, image.CodeBuildFailed.Name, r.Stage.Code)
		assert.Equal(t, told, strings.Contains(r.Stage.Next, "PIP_CERT"), said)
	}
}

func TestTheDistributionsSetuidProgramsAreAWarning(t *testing.T) {
	w := fromDockerfile(t)
	w.findings["setuid"], w.findings["packaged"] = []string{"/opt/own", "/usr/bin/su"}, []string{"/usr/bin/su"}
	r := w.run()
	var failed, warned string
	for _, p := range r.Stage.Problems {
		if p.Code == image.CodeSetuid.Name {
			failed = p.Cause
		}
	}
	for _, found := range r.Stage.Warnings {
		if found.Code == image.WarnSetuid.Name {
			warned = found.Cause
		}
	}
	assert.Contains(t, failed, "/opt/own")
	assert.NotContains(t, failed, "/usr/bin/su")
	assert.Equal(t, "/usr/bin/su", warned)
}

package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func (s *suite) cache(t *testing.T) {
	// random is a step that shows whether it ran: each time it prints something else.
	random := func(input string) runner.Step {
		step := s.python(`import uuid; n = str(uuid.uuid4()); print(n); open("n", "w").write(n)`)
		files := s.texts(map[string]string{"in": input, "other": s.nonce + "x"})
		step.Inputs = []runner.Mount{{Path: ".", Files: files.Filter([]string{"in"}, nil)}}
		step.Outputs = []string{"n"}
		return step
	}
	first := s.succeed(t, random("1"))
	t.Run("answers the same step", func(t *testing.T) {
		again := s.succeed(t, random("1"))
		assert.Equal(t, first.Stdout, again.Stdout)
		assert.Equal(t, first.Seconds, again.Seconds)
		assert.True(t, first.Started.Equal(again.Started), "the time is that of the run")
		assert.Equal(t, strings.TrimSpace(first.Stdout), read(t, again.Outputs, "n"))
		assert.Equal(t, digest(t, first.Outputs), digest(t, again.Outputs))
	})
	t.Run("does not depend on files that were filtered out", func(t *testing.T) {
		step := random("1")
		step.Inputs = []runner.Mount{{Path: ".", Files: s.texts(map[string]string{"in": "1", "other": "changed"}).Filter([]string{"in"}, nil)}}
		assert.Equal(t, first.Stdout, s.succeed(t, step).Stdout)
	})
	for sentence, change := range map[string]func(*runner.Step){
		"does not answer another input":    func(step *runner.Step) { *step = random("2") },
		"does not answer another variable": func(step *runner.Step) { step.Vars["MORE"] = "1" },
		"does not answer another argument": func(step *runner.Step) { step.Args = append(step.Args, "more") },
		"does not answer a fresh step":     func(step *runner.Step) { step.Fresh = "a" + s.nonce },
	} {
		t.Run(sentence, func(t *testing.T) {
			step := random("1")
			change(&step)
			assert.NotEqual(t, first.Stdout, s.succeed(t, step).Stdout)
		})
	}
	t.Run("does not answer fresh steps of different values", func(t *testing.T) {
		one, two := random("1"), random("1")
		one.Fresh, two.Fresh = "b"+s.nonce, "c"+s.nonce
		assert.NotEqual(t, s.succeed(t, one).Stdout, s.succeed(t, two).Stdout)
	})
}

// six is a lock file of one small package without dependencies.
const six = `six==1.17.0 \
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
`

func (s *suite) environments(t *testing.T) {
	if !s.opts.Packages {
		t.Skip("no package index is in reach")
	}
	locked := func(lock string) runner.Step {
		step := s.python(`import six; print(six.__version__)`)
		step.Env.Files = s.texts(map[string]string{"requirements/test.lock": lock})
		step.Env.Install = [][]string{{"uv", "pip", "install", "--require-hashes", "-r", "requirements/test.lock"}}
		return step
	}
	t.Run("hold the packages of a lock file", func(t *testing.T) {
		assert.Equal(t, "1.17.0\n", s.succeed(t, locked(six)).Stdout)
		result := s.run(t, s.python(`import six`))
		assert.Equal(t, 1, result.ExitCode, "another environment does not")
	})
	t.Run("put the scripts of packages on the path", func(t *testing.T) {
		step := locked(six)
		step.Args = []string{"python", "-c", `import os, shutil; print(os.path.dirname(shutil.which("python")) in os.environ["PATH"].split(":"))`}
		assert.Equal(t, "True\n", s.succeed(t, step).Stdout)
	})
	for sentence, lock := range map[string]string{
		"refuse a package with another hash": strings.ReplaceAll(six, "4721", "0000"),
		"refuse a package without a hash":    "six==1.17.0\n",
		"refuse what is no lock file":        "==== nonsense\n",
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := s.runner.Run(t.Context(), locked(lock))
			var failed *runner.EnvironmentError
			require.ErrorAs(t, err, &failed)
			require.NotEmpty(t, failed.Command)
			assert.Contains(t, failed.Command, "requirements/test.lock")
			assert.NotEmpty(t, failed.Output, "the error says what the installer said")
		})
	}
	t.Run("whose installation failed is made once its cause is gone", func(t *testing.T) {
		assert.Equal(t, "1.17.0\n", s.succeed(t, locked(six)).Stdout)
	})
}

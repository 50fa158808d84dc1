package pyenv_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
)

// The texts are what uv 0.13.9 prints, its line breaks included.
func TestTheRemedyIsAPythonThatThePackagesAreFor(t *testing.T) {
	for sentence, c := range map[string]struct{ said, next string }{
		"a package for later versions": {`error: No solution found when resolving dependencies
  cause: Because the current Python version (3.10.13) does not satisfy
         Python>=3.11 and keras==3.15.1 depends on Python>=3.11, we can conclude
         that keras==3.15.1 cannot be used.`, `Set python: "3.11" in pipeline.yaml, as keras==3.15.1 needs Python>=3.11`},
		"two packages": {`the current Python version (3.10.13) does not satisfy Python>=3.11 and a==1 depends on Python>=3.11,<3.14, and
b==2 depends on Python>=3.12, we can conclude`,
			`Set python: "3.12" in pipeline.yaml, as a==1 needs Python>=3.11,<3.14 and b==2 needs Python>=3.12`},
		"two releases of one package": {`the current Python version (3.12.1) does not satisfy Python<3.11 and a==1 depends on Python<3.11 and a==2 depends on
Python>=3.13, we can conclude`, `Set python: "3.13" in pipeline.yaml, as a==1 needs Python<3.11 and a==2 needs Python>=3.13`},
		"wheels for earlier versions": {"  cause: Because tensorflow-cpu==2.15.1 has no wheels with a matching Python\n         ABI tag (e.g., `cp313`)\n\n" +
			"hint: You require CPython 3.13 (`cp313`), but we only found wheels for `tensorflow-cpu` (v2.15.1) with the following Python ABI\n" +
			"tags: `cp39`, `cp310`, `cp311`", `Set python: "3.11" in pipeline.yaml, as tensorflow-cpu has wheels for Python 3.9, 3.10, 3.11`},
		"no version for both": {`the current Python version (3.10.13) does not satisfy Python>=3.12 and a==1 depends on Python>=3.12 and
b==1 depends on Python<3.12, we can conclude`, ""},
		"no version that can be had":     {`the current Python version (3.10.13) does not satisfy Python>=3.99 and a==1 depends on Python>=3.99, we can`, ""},
		"another failure":                {"error: No solution found when resolving dependencies: keras==99 is not available", ""},
		"another failure with a version": {"the current Python version (3.10.13) is fine; depends on Python but", ""},
		"nothing":                        {"", ""},
	} {
		t.Run(sentence, func(t *testing.T) { assert.Equal(t, c.next, pyenv.PythonNext(c.said)) })
	}
}

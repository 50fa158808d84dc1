package pyenv_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

// TestTheRemedyOfAnInstallationIsMadeFromTheCase: the texts are what uv 0.13.9 prints.
func TestTheRemedyOfAnInstallationIsMadeFromTheCase(t *testing.T) {
	const (
		conflict = "error: No solution found when resolving dependencies\n  cause: Because there is no version of iniconfig==99.1 and you require it"
		hashed   = "iniconfig==2.0.0 --hash=sha256:00\n"
		again    = "uv pip compile --universal --generate-hashes --python-version 3.11 requirements.lock -o requirements.lock; where uv is missing: pip install uv"
	)
	for sentence, c := range map[string]struct {
		files      map[string]string
		said, next string
	}{
		"no such version": {map[string]string{"requirements.txt": "iniconfig==99.1\n"}, conflict,
			"Correct what the installer's last lines name in requirements.txt, until this succeeds: uv pip compile --universal --generate-hashes " +
				"--python-version 3.11 requirements.txt -o requirements.lock; where uv is missing: pip install uv"},
		"another Python": {map[string]string{"requirements.txt": "keras\n"},
			"Because the current Python version (3.11.1) does not satisfy Python>=3.12 and keras==4 depends on Python>=3.12, we can conclude",
			`Set python: "3.12" in pipeline.yaml, as keras==4 needs Python>=3.12`},
		"nobody answers": {map[string]string{"requirements.txt": "iniconfig\n"},
			"error: Request failed after 3 retries in 11.8s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/pytest/\n  cause: tcp connect error",
			"Look whether the address can be reached from there: curl -sSI 'http://127.0.0.1:9/simple/pytest/'"},
		"an address that a shell would read": {map[string]string{"requirements.lock": hashed}, "Failed to fetch: `http://h/';rm`",
			"Correct what the installer's last lines name in requirements.lock, and lock it again: " + again},
		"a hash is missing": {map[string]string{"requirements.lock": hashed},
			"error: Hash-checking is required, but no trusted hash was provided for: `packaging`", "Lock what is missing: " + again},
		"a hash is another": {map[string]string{"requirements.lock": hashed}, "  cause: Hash mismatch for `iniconfig==2.0.0`\n\nExpected:\n  sha256:00",
			"Find out why the files of iniconfig==2.0.0 are others than when requirements.lock was locked. If that is right, delete the hashes of " +
				"iniconfig==2.0.0 there, and: " + again},
		"a lock that is behind": {map[string]string{"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n", "uv.lock": "version = 1\n"},
			"error: The lockfile at `uv.lock` needs to be updated, but `--frozen` was provided",
			"Lock again, and correct what that names: uv lock; where uv is missing: pip install uv"},
		"a Python that the project refuses": {map[string]string{"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n", "uv.lock": "version = 1\n"},
			"error: No interpreter found for executable name `python` in managed installations or search path",
			"Install Python 3.11, which the project asks for: uv python install 3.11; where uv is missing: pip install uv"},
		"no command reads it": {map[string]string{"tox.ini": "[testenv]\ndeps = iniconfig==99.1\n"}, conflict,
			"Correct what the installer's last lines name in [testenv] deps of tox.ini"},
		"nothing is declared": {map[string]string{"a.py": ""}, conflict, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			project, err := pyenv.Detect(t.Context(), fake.Files(c.files), pyenv.Request{Python: "3.11"})
			require.NoError(t, err)
			assert.Equal(t, c.next, project.InstallNext(c.said))
		})
	}
	var unknown *pyenv.Project
	assert.Empty(t, unknown.InstallNext(conflict))
}

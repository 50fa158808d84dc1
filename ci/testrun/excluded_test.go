package testrun

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

func TestAFileThatTheConfigurationHidesIsNamed(t *testing.T) {
	planned := &plan{source: []string{".gitignore", "README.md", "app.py", "docs/a/b.rst", "template/.env", "template/.gitignore", "tests/test_a.py"},
		names: []string{"app.py", "template/.gitignore", "tests/test_a.py"}}
	j := &testJudge{plan: planned, outcome: &outcome{events: &events{directory: "/src", tests: map[string]*eventTest{}}}}
	for message, want := range map[string]string{
		"FileNotFoundError: [Errno 2] No such file or directory: 'README.md'":            "README.md",
		"FileNotFoundError: [Errno 2] No such file or directory: '/src/tests/../docs/a'": "docs/a",
		"FileNotFoundError: [Errno 2] No such file or directory: '/src/docs'":            "docs",
		"FileNotFoundError: [Errno 2] No such file or directory: 'gone.md'":              "",
		"FileNotFoundError: [Errno 2] No such file or directory: '/etc/README.md'":       "",
		"FileNotFoundError: [Errno 2] No such file or directory: 'app.py'":               "",
		"At index 0 diff: PosixPath('.gitignore') != PosixPath('.env')":                  "template/.env",
		"Right contains one more item: PosixPath('b.rst')":                               "docs/a/b.rst",
		"assert [PosixPath('app.py')] == [PosixPath('/tmp/README.md')]":                  "",
		"assert 1 == 2": "",
	} {
		assert.Equal(t, want, j.hidden([]junit.Case{{Name: "x"}, {Name: "y", Message: message}}), message)
	}
	assert.Contains(t, unhide("README.md"), "exclude")
}

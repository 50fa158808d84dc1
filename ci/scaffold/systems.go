package scaffold

import (
	"embed"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/policy"
)

// Files for the CI systems. examples/ci holds the same text, written by the test.
//
//go:embed systems
var systemFiles embed.FS

// systems are the CI systems with the file that each reads and its template.
var systems = []struct{ name, path, from string }{
	{"azure", "azure-pipelines.yml", "azure.yml"},
	{"buildkite", ".buildkite/pipeline.yml", "buildkite.yml"},
	{"circleci", ".circleci/config.yml", "circleci.yml"},
	{"github", ".github/workflows/pipeline.yml", "github.yml"},
	{"gitlab", ".gitlab-ci.yml", "gitlab.yml"},
	{"jenkins", "Jenkinsfile", "Jenkinsfile"},
}

// Systems returns the names of the CI systems, in order.
func Systems() []string {
	names := make([]string, len(systems))
	for i, s := range systems {
		names[i] = s.name
	}
	return names
}

// released matches the release branch as a separate word, not within the module's version.
var released = regexp.MustCompile(`(^|[^@\w.-])` + policy.ReleaseBranch + `\b`)

// systemFile returns the file of a CI system for a release branch and a module version. Both results are empty for an empty
// name.
func systemFile(name, branch, version string) (path, content string) {
	for _, s := range systems {
		if s.name != name {
			continue
		}
		text, err := systemFiles.ReadFile("systems/" + s.from)
		if err != nil {
			return "", "" // a test checks that all of them exist
		}
		content = string(text)
		if branch != policy.ReleaseBranch {
			content = released.ReplaceAllString(content, "${1}"+strings.ReplaceAll(branch, "$", "$$"))
		}
		if version != "" {
			content = strings.ReplaceAll(content, "openstack-rca@main", "openstack-rca@"+version)
		}
		return s.path, content
	}
	return "", ""
}

package scaffold

import (
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/policy"
)

var (
	remoteHead = regexp.MustCompile(`^ref: refs/remotes/origin/([A-Za-z0-9._/-]+)\s*$`)
	localHead  = regexp.MustCompile(`^ref: refs/heads/([A-Za-z0-9._/-]+)\s*$`)
	inWorkflow = regexp.MustCompile(`(?m)branches:\s*(?:\[\s*|\n\s*-\s*)["']?([A-Za-z0-9._/-]+)`)
)

// branch returns the release branch: the remote's default branch, or else one of the usual names.
func (s *survey) branch() {
	s.p.Branch = policy.ReleaseBranch
	from := ""
	if m := remoteHead.FindStringSubmatch(s.tree.text(".git/refs/remotes/origin/HEAD")); m != nil {
		s.p.Branch, from = m[1], "origin/HEAD"
	} else if m := localHead.FindStringSubmatch(s.tree.text(".git/HEAD")); m != nil && usualBranch(m[1]) {
		s.p.Branch, from = m[1], "the branch that is checked out"
	} else {
		for _, name := range s.tree.names {
			if !strings.HasPrefix(name, ".github/workflows/") {
				continue
			}
			if m := inWorkflow.FindStringSubmatch(s.tree.text(name)); m != nil && usualBranch(m[1]) {
				s.p.Branch, from = m[1], name
				break
			}
		}
	}
	if from != "" && s.p.Branch != policy.ReleaseBranch {
		s.found("release branch %s, by %s: give --release-branch %s, as the CI file does", s.p.Branch, from, s.p.Branch)
	}
}

func usualBranch(name string) bool {
	return slices.Contains([]string{"main", "master", "trunk", "production", "release"}, name)
}

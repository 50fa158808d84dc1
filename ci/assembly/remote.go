package assembly

import (
	"context"
	"regexp"
	"strings"

	"dagger.io/dagger"
)

var commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)

// revisionIn is the revision as the engine knows it: it finds branches and tags by their names, but not the branches
// of a remote, such as origin/main, which is what a pull request is compared with in a CI system. For these it is
// the commit, read from the directory .git.
func revisionIn(ctx context.Context, history *dagger.Directory, since string) string {
	return remoteCommit(func(name string) string {
		text, err := history.File(name).Contents(ctx)
		if err != nil {
			return "" // it is not there: git packs references, and a branch need not be one of a remote
		}
		return text
	}, since)
}

// remoteCommit is the commit of a remote's branch, by the files of .git, or the name itself for anything else.
func remoteCommit(read func(name string) string, since string) string {
	ref := "refs/remotes/" + since
	if !strings.Contains(since, "/") || strings.Contains(since, "..") || strings.ContainsAny(since, "~^@{}") {
		return since
	}
	if commit := strings.TrimSpace(read(ref)); commitName.MatchString(commit) {
		return commit
	}
	for _, line := range strings.Split(read("packed-refs"), "\n") {
		if commit, name, found := strings.Cut(strings.TrimSpace(line), " "); found && name == ref && commitName.MatchString(commit) {
			return commit
		}
	}
	return since
}

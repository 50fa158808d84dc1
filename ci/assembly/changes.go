package assembly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"dagger.io/dagger"
)

// gitChanges lets the engine compare a source with a revision in its repository's history:
// with the common ancestor of the revision and HEAD, as a pull request does.
func gitChanges(ctx context.Context, client *dagger.Client, source, history *dagger.Directory, since string) (changed, removed []string, err error) {
	repository := client.Directory().WithDirectory(".git", history).AsGit()
	ancestor := repository.Ref(since).CommonAncestor(repository.Head())
	before := ancestor.Tree(dagger.GitRefTreeOpts{DiscardGitDir: true})
	difference := source.Changes(before)
	added, err := difference.AddedPaths(ctx)
	if err != nil {
		return nil, nil, err
	}
	modified, err := difference.ModifiedPaths(ctx)
	if err != nil {
		return nil, nil, err
	}
	gone, err := difference.RemovedPaths(ctx)
	if err != nil {
		return nil, nil, err
	}
	return files(append(added, modified...)), files(gone), nil
}

// files are those of some paths that do not name a directory, sorted.
func files(paths []string) []string {
	found := []string{}
	for _, name := range paths {
		if name != "" && !strings.HasSuffix(name, "/") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// hostChanges asks the host's git. What is not committed, and what git does not know yet,
// counts as changed.
func hostChanges(ctx context.Context, dir, since string) (changed, removed []string, err error) {
	ancestor, err := git(ctx, dir, "merge-base", since, "HEAD")
	if err != nil {
		return nil, nil, err
	}
	base := strings.TrimSpace(ancestor)
	for _, query := range []struct {
		args []string
		to   *[]string
	}{
		{[]string{"diff", "--no-ext-diff", "--no-renames", "--relative", "--name-only", "-z", "--diff-filter=d", base, "--", "."}, &changed},
		{[]string{"ls-files", "--others", "--exclude-standard", "-z", "--", "."}, &changed},
		{[]string{"diff", "--no-ext-diff", "--no-renames", "--relative", "--name-only", "-z", "--diff-filter=D", base, "--", "."}, &removed},
	} {
		out, err := git(ctx, dir, query.args...)
		if err != nil {
			return nil, nil, err
		}
		*query.to = append(*query.to, strings.Split(out, "\x00")...)
	}
	return files(changed), files(removed), nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return stdout.String(), nil
}

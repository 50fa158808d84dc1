package assembly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
)

// gitChanges makes the engine compare a source with a revision in its repository's history:
// with the common ancestor of the revision and HEAD, as a pull request does.
func gitChanges(
	ctx context.Context, client *dagger.Client, source, history *dagger.Directory, since string,
) (changed, removed []string, err error) {
	repository := client.Directory().WithDirectory(".git", history).AsGit()
	ancestor := repository.Ref(revisionIn(ctx, history, since)).CommonAncestor(repository.Head())
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

// maxPatch bounds a difference, in bytes.
const maxPatch = 32 << 20

// gitPatch makes the engine write the difference of the Python files, as gitChanges does of all names.
func gitPatch(ctx context.Context, client *dagger.Client, source, history *dagger.Directory, since string) (string, error) {
	repository := client.Directory().WithDirectory(".git", history).AsGit()
	fork := repository.Ref(revisionIn(ctx, history, since)).CommonAncestor(repository.Head())
	before := fork.Tree(dagger.GitRefTreeOpts{DiscardGitDir: true})
	python := dagger.DirectoryFilterOpts{Include: []string{"**/*.py"}}
	patch := source.Filter(python).Changes(before.Filter(python)).AsPatch()
	size, err := patch.Size(ctx)
	if err != nil {
		return "", err
	}
	if size > maxPatch {
		return "", fmt.Errorf("the difference has %d bytes, at most %d are read", size, maxPatch)
	}
	return patch.Contents(ctx)
}

// hostPatch asks the host's git for the difference of the Python files. One that git does not know yet counts
// as new.
func hostPatch(ctx context.Context, dir, since string) (string, error) {
	r := repository{dir: dir}
	if err := r.disarm(ctx); err != nil {
		return "", err
	}
	ancestor, err := r.git(ctx, "merge-base", since, "HEAD")
	if err != nil {
		return "", err
	}
	base := strings.TrimSpace(ancestor)
	patch, err := r.git(ctx, "diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--src-prefix=a/", "--dst-prefix=b/",
		"--ignore-submodules=dirty", "--relative", "--unified=0", base, "--", "*.py")
	if err != nil {
		return "", err
	}
	names, err := r.git(ctx, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py")
	if err != nil {
		return "", err
	}
	var all strings.Builder
	all.WriteString(patch)
	for _, name := range files(strings.Split(names, "\x00")) {
		// Outside of the root nothing is read, also through links.
		content, err := filetree.Dir(dir).Read(ctx, name, maxPatch)
		if err != nil {
			return "", err
		}
		if n := bytes.Count(content, []byte("\n")) + 1; all.Len()+len(content) < maxPatch {
			fmt.Fprintf(&all, "+++ %q\n@@ -0,0 +1,%d @@\n%s", "b/"+name, n, strings.Repeat("+\n", n))
		}
	}
	if all.Len() > maxPatch {
		return "", fmt.Errorf("the difference has more than %d bytes", maxPatch)
	}
	return all.String(), nil
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

// hostChanges asks the host's git. Uncommitted and untracked files count as changed.
func hostChanges(ctx context.Context, dir, since string) (changed, removed []string, err error) {
	r := repository{dir: dir}
	if err := r.disarm(ctx); err != nil {
		return nil, nil, err
	}
	ancestor, err := r.git(ctx, "merge-base", since, "HEAD")
	if err != nil {
		return nil, nil, err
	}
	diff := []string{"diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=dirty", "--relative", "--name-only", "-z"}
	base := strings.TrimSpace(ancestor)
	for _, query := range []struct {
		args []string
		to   *[]string
	}{
		{append(slices.Clone(diff), "--diff-filter=d", base, "--", "."), &changed},
		{[]string{"ls-files", "--others", "--exclude-standard", "-z", "--", "."}, &changed},
		{append(slices.Clone(diff), "--diff-filter=D", base, "--", "."), &removed},
	} {
		out, err := r.git(ctx, query.args...)
		if err != nil {
			return nil, nil, err
		}
		*query.to = append(*query.to, strings.Split(out, "\x00")...)
	}
	return files(changed), files(removed), nil
}

// repository is a repository whose configuration is not trusted: a source may contain a .git
// from elsewhere, and git runs programs that it names.
type repository struct {
	dir string
	// options come before every command.
	options []string
	// settings are further options, as variables: a name on the command line ends at its first "=".
	settings []string
}

// gitOptions disable what git would run by configuration when it compares files, or shows commits that are signed.
var gitOptions = []string{
	"-c", "log.showSignature=false", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull,
	"-c", "core.pager=cat", "-c", "protocol.allow=never",
}

// gitVariables are the variables that git gets of this process's environment; none is a secret.
var gitVariables = []string{"PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "XDG_CONFIG_HOME"}

// disarm disables the content filters of the repository's own configuration. Those of the
// user's own, such as git-lfs, stay.
func (r *repository) disarm(ctx context.Context) error {
	r.options = gitOptions
	out, err := r.git(ctx, "config", "--list", "--show-scope", "--name-only", "-z")
	if err != nil {
		return err
	}
	fields, n := strings.Split(out, "\x00"), 0
	for i := 0; i+1 < len(fields); i += 2 {
		name := fields[i+1]
		if scope := fields[i]; scope != "local" && scope != "worktree" || !strings.HasPrefix(name, "filter.") {
			continue
		}
		value := ""
		if strings.HasSuffix(name, ".required") {
			value = "false"
		}
		r.settings = append(r.settings, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, name), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, value))
		n++
	}
	r.settings = append(r.settings, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n))
	return nil
}

// environment are the variables of git: it takes no lock, does not prompt, fetches nothing that a
// partial clone lacks, and reads commits as they are: a replacement or a graft may hide their parents.
func (r *repository) environment() []string {
	all := append([]string{
		"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE=" + os.DevNull,
	}, r.settings...)
	for _, name := range gitVariables {
		if value, set := os.LookupEnv(name); set {
			all = append(all, name+"="+value)
		}
	}
	return all
}

func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append(slices.Clone(r.options), args...)...)
	command.Dir = r.dir
	command.Env = r.environment()
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

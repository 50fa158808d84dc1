package supply

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
)

// History describes the exported history of a source.
type History struct {
	// Files is the number of exported contents, Left the number of those too large to export.
	Files, Left int
	// Commits maps ids of contents to the commit that added them, as far as known.
	Commits func(ctx context.Context, ids []string) map[string]string
}

// named limits for how many contents the commit is looked up.
const named = 1000

// history searches all earlier contents of the source, because a deleted secret is still in the repository. It does not
// repeat findings of the current files.
func (a secretSearch) history(ctx context.Context) {
	dir := filepath.Join(a.Scratch, "history")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the source is not secret
		a.fail(ScannerFailed, "keep the history: %v", err)
		return
	}
	h, err := a.History(ctx, dir)
	if err != nil {
		problem := a.fail(HistoryIncomplete, "%v", err)
		switch text := err.Error(); {
		case strings.Contains(text, "not a git repository"):
			problem.Next = "Give --source the folder of a git checkout, or leave --git out"
		case strings.Contains(text, "unknown revision"):
			problem.Next = "Commit once, or leave --git out: the repository has no history yet"
		}
		return
	}
	files, err := a.Import(dir)
	if err != nil {
		a.fail(ScannerFailed, "keep the history: %v", err)
		return
	}
	a.stage.Add("files of the history", plural(h.Files, "file"))
	if h.Left > 0 {
		a.stage.Add("files of the history that are too large to be searched", plural(h.Left, "file"))
	}
	written, err := files.List(ctx)
	if err != nil {
		a.fail(ScannerFailed, "list the history: %v", err)
		return
	}
	other := copied(ctx, files, written)
	if other.left > 0 {
		a.stage.Add("files of the history that gitleaks skips by their names", plural(other.left, "file"))
	}
	found, ok := a.gitleaks(ctx, files, inLayers, other)
	if !ok {
		return
	}
	var old []secrets.Finding
	var ids []string
	for _, f := range found {
		id, name, _ := strings.Cut(f.File, "/")
		f.File = name
		if slices.Contains(a.inFiles, f) {
			continue
		}
		if f.Object = id; len(ids) < named && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		old = append(old, f)
	}
	if len(ids) > 0 && h.Commits != nil {
		commits := h.Commits(ctx, ids)
		for i := range old {
			if commit := commits[old[i].Object]; commit != "" {
				old[i].Commit, old[i].Object = commit, ""
			}
		}
	}
	before := a.found.secrets
	v := secrets.Judge(old, a.Config.Security.AllowSecrets, a.Now)
	v.Unused = secrets.Judge(append(slices.Clone(a.inFiles), old...), a.Config.Security.AllowSecrets, a.Now).Unused
	a.secretsFound(SecretFound, v)
	a.found.secrets.Failed = slices.Concat(before.Failed, v.Failed)
	a.found.secrets.Allowed = slices.Concat(before.Allowed, v.Allowed)
}

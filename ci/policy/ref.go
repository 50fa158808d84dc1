package policy

import (
	"regexp"
	"strings"
)

// Kind is what a ref names.
type Kind string

// The kinds of refs. Only a branch can be allowed more than tests and training.
const (
	Branch      Kind = "branch"
	PullRequest Kind = "pull request"
	Tag         Kind = "tag"
	Unknown     Kind = "unknown ref"
)

// Ref is what a run is for.
type Ref struct {
	Kind Kind
	// Name is the branch, the tag, or the number of the pull request.
	Name string
}

var (
	// pullRef are the refs of pull and merge requests: GitHub, Gitea, Bitbucket, GitLab, Azure.
	pullRef = regexp.MustCompile(`^refs/(?:pull|pull-requests|merge-requests|pullrequests)/([0-9]+)(?:/.*)?$`)
	// badName is what git check-ref-format refuses in a branch or tag, as far as it
	// could mislead.
	badName = regexp.MustCompile(`[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$|\.$|\.lock(?:/|$)|^@$`)
	// objectName is a commit, which says nothing about a branch.
	objectName = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)
)

// ParseRef reads a ref in the forms in which CI systems and people give it: main,
// refs/heads/main, feature/x, refs/pull/12/merge, refs/tags/v1. The event, when the CI
// system names one, counts more than the ref: a pull_request_target event runs with the
// target branch as its ref and the contributor's intent behind it.
func ParseRef(ref, event string) Ref {
	event = strings.ToLower(strings.TrimSpace(event))
	if m := pullRef.FindStringSubmatch(ref); m != nil {
		return Ref{Kind: PullRequest, Name: m[1]}
	}
	if strings.Contains(event, "pull_request") || strings.Contains(event, "pull-request") || strings.Contains(event, "pullrequest") ||
		strings.Contains(event, "merge_request") || strings.Contains(event, "merge-request") || event == "issue_comment" {
		return Ref{Kind: PullRequest, Name: strings.TrimPrefix(ref, "refs/heads/")}
	}
	kind, name := Branch, ref
	switch {
	case strings.HasPrefix(ref, "refs/heads/"):
		name = strings.TrimPrefix(ref, "refs/heads/")
	case strings.HasPrefix(ref, "refs/tags/"):
		kind, name = Tag, strings.TrimPrefix(ref, "refs/tags/")
	case strings.HasPrefix(ref, "refs/"), ref == "HEAD", objectName.MatchString(ref):
		return Ref{Kind: Unknown, Name: ref}
	}
	if name == "" || badName.MatchString(name) || len(name) > 255 {
		return Ref{Kind: Unknown, Name: ref}
	}
	return Ref{Kind: kind, Name: name}
}

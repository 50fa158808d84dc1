package policy

import (
	"regexp"
	"slices"
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
	// Event is the event because of which a branch is not taken for one; empty otherwise.
	Event string
}

// branchEvents are the events of GitHub, GitLab, Gitea, Woodpecker and Azure that only someone
// with the right to push to the branch of the ref can bring about. Others run for the default
// branch on behalf of others (workflow_run, issue_comment, discussion) or inherit the
// rights of an unknown parent (pipeline, parent_pipeline, workflow_call).
var branchEvents = []string{
	"", "push", "schedule", "cron", "manual", "workflow_dispatch", "repository_dispatch", "web", "api", "trigger", "individualci", "batchedci",
}

var (
	// pullRef are the refs of pull and merge requests: GitHub, Gitea, Bitbucket, GitLab, Azure.
	pullRef = regexp.MustCompile(`^refs/(?:pull|pull-requests|merge-requests|pullrequests)/([0-9]+)(?:/.*)?$`)
	// badName is what git check-ref-format refuses in a branch or tag, as far as it
	// could mislead.
	badName = regexp.MustCompile(`[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[/-]|/$|\.$|\.lock(?:/|$)|^@$`)
	// pullEvent are the events of pull and merge requests, and of comments on them.
	pullEvent = regexp.MustCompile(`(?:pull|merge)[-_]?request|^issue_comment$`)
	// objectName is a commit, which identifies no branch.
	objectName = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)
)

// ParseRef reads a ref in the forms in which CI systems and people give it: main,
// refs/heads/main, feature/x, refs/pull/12/merge, refs/tags/v1. The event, when the CI
// system names one, overrides the ref: a pull_request_target event runs with the
// target branch as its ref and a contributor's code in it. An unknown event
// makes the ref unknown.
func ParseRef(ref, event string) Ref {
	event = strings.ToLower(strings.TrimSpace(event))
	if m := pullRef.FindStringSubmatch(ref); m != nil {
		return Ref{Kind: PullRequest, Name: m[1]}
	}
	if pullEvent.MatchString(event) {
		return Ref{Kind: PullRequest, Name: strings.TrimPrefix(ref, "refs/heads/")}
	}
	if !slices.Contains(branchEvents, event) {
		return Ref{Kind: Unknown, Name: ref, Event: event}
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

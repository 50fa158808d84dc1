package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// api is the interface of a code host.
type api struct {
	base    string
	local   bool
	headers map[string]string
	// once sends what a failure of the server may have done already a single time.
	once bool
}

// call sends a request and reads the answer into out; nil reads nothing.
func (a api) call(ctx context.Context, method, path string, body, out any) error {
	to, err := parseAddress(strings.TrimSuffix(a.base, "/")+path, a.local)
	if err != nil {
		return err
	}
	to.single = a.once
	var content []byte
	if body != nil {
		if content, err = encode(body); err != nil {
			return err
		}
	}
	got, err := to.call(ctx, method, a.headers, content)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		return errors.New("its answer is no JSON of the expected form")
	}
	return nil
}

// comment is a remark on a pull or merge request.
type comment struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
}

// maxCommentPages bounds the search for our own comment, 100 on a page.
const maxCommentPages = 20

// keep updates our comment in place, or writes it: list is the path of all, one that of a single one. A server
// that failed to answer may have written it all the same: it is looked for again before it is written again.
func (a api) keep(ctx context.Context, list string, one func(id int64) string, update string, m Message) error {
	marker := "<!-- openstack-rca " + m.Run.Application + " " + m.of() + " -->"
	body := object{"body": cut(m.markdown(), maxBody-2000) + "\n" + marker + "\n"}
	write := a
	write.once = true
	for attempt := 1; ; attempt++ {
		ours, err := a.find(ctx, list, marker)
		if err != nil {
			return err
		}
		if ours != 0 {
			return a.call(ctx, update, one(ours), body, nil)
		}
		err = write.call(ctx, http.MethodPost, list, body, nil)
		if attempt == 2 || !errors.Is(err, errUnanswered) {
			return err
		}
	}
}

// find returns the number of the comment with a marker; 0 if there is none.
func (a api) find(ctx context.Context, list, marker string) (int64, error) {
	for page := 1; page <= maxCommentPages; page++ {
		var found []comment
		if err := a.call(ctx, http.MethodGet, list+"?per_page=100&page="+strconv.Itoa(page), nil, &found); err != nil {
			return 0, err
		}
		for _, c := range found {
			if strings.Contains(c.Body, marker) {
				return c.ID, nil
			}
		}
		if len(found) < 100 {
			break
		}
	}
	return 0, nil
}

// github writes a check run for the commit, with annotations, and one comment on the pull request.
func github(ctx context.Context, c config.Channel, token string, m Message, local bool) error {
	base := c.API
	if base == "" {
		base = "https://api.github.com"
	}
	a := api{base: base, local: local, headers: map[string]string{"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json",
		"X-GitHub-Api-Version": "2022-11-28", "Content-Type": "application/json", "User-Agent": "openstack-rca"}}
	repository := "/repos/" + c.Repository
	if m.Test {
		return a.call(ctx, http.MethodGet, repository, nil, nil) // there is nothing to write on
	}
	var errs []error
	if m.Run.Commit != "" {
		errs = append(errs, a.check(ctx, repository+"/check-runs", m))
	}
	if m.Pull != "" {
		errs = append(errs, a.keep(ctx, repository+"/issues/"+m.Pull+"/comments",
			func(id int64) string { return repository + "/issues/comments/" + strconv.FormatInt(id, 10) }, http.MethodPatch, m))
	}
	return errors.Join(errs...)
}

// of is what a check or comment is of: a scan, say, is not the run, and replaces nothing of it.
func (m Message) of() string {
	if m.Run.Call == "run" || m.Run.Call == "" {
		return m.Run.Environment
	}
	return m.Run.Environment + " " + m.Run.Call
}

const (
	// maxNotes is how many annotations GitHub takes in one request, maxRequests how many are made.
	maxNotes    = 50
	maxRequests = 4
)

// check writes a check run, and what is too much for one request with further ones.
func (a api) check(ctx context.Context, to string, m Message) error {
	var made struct {
		ID int64 `json:"id"`
	}
	if len(m.Notes) <= maxNotes {
		return a.call(ctx, http.MethodPost, to, checkRun(m), nil)
	}
	if err := a.call(ctx, http.MethodPost, to, checkRun(m), &made); err != nil {
		return err
	}
	for n := 1; n < maxRequests && n*maxNotes < len(m.Notes); n++ {
		next := m
		next.Notes = m.Notes[n*maxNotes:]
		output := object{"output": checkRun(next)["output"]}
		if err := a.call(ctx, http.MethodPatch, to+"/"+strconv.FormatInt(made.ID, 10), output, nil); err != nil {
			return err
		}
	}
	return nil
}

func checkRun(m Message) object {
	conclusion := map[verdict.Outcome]string{verdict.Pass: "success", verdict.Fail: "failure",
		verdict.CouldNotRun: "action_required"}[m.Run.Verdict]
	notes := []object{}
	for _, n := range m.Notes[:min(len(m.Notes), maxNotes)] {
		notes = append(notes, object{"path": n.Path, "start_line": n.Line, "end_line": n.Line,
			"annotation_level": map[bool]string{true: "failure", false: "warning"}[n.Bad], "message": cut(n.Text, 400)})
	}
	return object{
		"name": "openstack-rca " + m.of(), "head_sha": m.Run.Commit, "status": "completed", "conclusion": conclusion,
		"started_at": m.Run.Started.UTC().Format(time.RFC3339), "completed_at": m.Run.Ended().UTC().Format(time.RFC3339),
		"output": object{"title": cut(m.Title, 250), "summary": cut(m.markdown(), maxMarkdown), "annotations": notes},
	}
}

// gitlab writes one note on the merge request.
func gitlab(ctx context.Context, c config.Channel, token string, m Message, local bool) error {
	if m.Pull == "" && !m.Test {
		return nil // there is nothing to write on
	}
	base := c.API
	if base == "" {
		base = "https://gitlab.com/api/v4"
	}
	a := api{base: base, local: local, headers: map[string]string{"PRIVATE-TOKEN": token, "Content-Type": "application/json"}}
	project := "/projects/" + url.PathEscape(c.Repository)
	if m.Test {
		return a.call(ctx, http.MethodGet, project, nil, nil)
	}
	notes := project + "/merge_requests/" + m.Pull + "/notes"
	return a.keep(ctx, notes, func(id int64) string { return notes + "/" + strconv.FormatInt(id, 10) }, http.MethodPut, m)
}

// pullRef is the ref of a pull request of GitHub, or a merge request of GitLab.
var pullRef = regexp.MustCompile(`^refs/(?:pull|merge-requests)/([0-9]{1,9})/(?:merge|head)$`)

// PullOf is the number of the pull request that a ref is of; empty if it is of none.
func PullOf(ref string) string {
	if found := pullRef.FindStringSubmatch(ref); found != nil {
		return found[1]
	}
	return ""
}

// place is a line of a file at the beginning of a finding's detail.
var place = regexp.MustCompile(`^([A-Za-z0-9_./-]+\.py):([0-9]{1,7})(?:: (.*)|$)`)

// NotesOf are the lines of files that the run's problems name.
func NotesOf(run *verdict.Run) []Note {
	var notes []Note
	for _, stage := range run.Stages {
		for i, problem := range slices.Concat(stage.Problems, stage.Warnings) {
			for _, detail := range problem.Details {
				found := place.FindStringSubmatch(strings.TrimSpace(detail))
				if found == nil || strings.HasPrefix(found[1], "/") || strings.Contains(found[1], "..") {
					continue
				}
				if line, err := strconv.Atoi(found[2]); err == nil && line > 0 {
					text := found[3]
					if text == "" {
						text = problem.Cause
					}
					notes = append(notes, Note{Path: found[1], Line: line, Text: problem.Code + ": " + text, Bad: i < len(stage.Problems)})
				}
			}
		}
	}
	return notes
}

// maxMarkdown bounds a comment, in bytes: a plot that would pass it is left out.
const maxMarkdown = 12 << 10

// markdown is the message for a comment. The table escapes every cell; lines are code.
func (m Message) markdown() string {
	var b strings.Builder
	title := &verdict.Table{Columns: []string{m.sign() + m.Title, ""}}
	for _, s := range m.Run.Stages {
		title.Rows = append(title.Rows, []string{s.Name, strings.TrimSpace(fmt.Sprintf("%s %s (%.0f s)", s.Verdict, s.Code, s.Seconds))})
	}
	for _, fact := range m.Facts {
		title.Rows = append(title.Rows, []string{fact[0], fact[1]})
	}
	b.WriteString(title.Markdown())
	code := func(lines []string) {
		if len(lines) > 0 {
			// Four backquotes: a line may have three.
			b.WriteString("\n````text\n" + strings.ReplaceAll(strings.Join(lines, "\n"), "````", "'''") + "\n````\n")
		}
	}
	code(m.Lines)
	code(m.Commands)
	drawn := ""
	for _, plot := range m.Plots {
		if one := plot.mermaid(); b.Len()+len(drawn)+len(one) < maxMarkdown {
			drawn += one
		}
	}
	if drawn != "" {
		b.WriteString("\n<details><summary>Plots</summary>\n\n" + drawn + "\n</details>\n")
	}
	return b.String()
}

package image

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/page.py
var pageScript string

const (
	// pageHost is the application's name for the browser.
	pageHost = "application"
	// pagePicture is where the picture of the page is in the report.
	pagePicture = "image/page.png"
	// pageFile is where the browser leaves it.
	pageFile = "/tmp/page.base64"
)

// seenPage is what scripts/page.py prints.
type seenPage struct {
	Drawn   bool    `json:"drawn"`
	Seconds float64 `json:"seconds"`
	Failed  string  `json:"failed"`
	Status  int     `json:"status"`
	Error   string  `json:"error"`
	Title   string  `json:"title"`
	Text    string  `json:"text"`
	Length  int     `json:"length"`
	Broken  string  `json:"broken"`
	Busy    bool    `json:"busy"`
	// Browser is why there was no browser.
	Browser string `json:"browser"`
}

// browser is a container with a headless Chromium from the base images' distribution. It is
// never part of the image.
func (p prover) browser() *dagger.Container {
	return p.client.Container().From(p.engine.Image(p.in.Config.Python)).WithUser("0").
		WithExec([]string{"sh", "-c", "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends " +
			"chromium fonts-dejavu-core && rm -rf /var/lib/apt/lists/*"})
}

// openBrowser installs the browser while the image is built. loadPage reports a failure.
func (p prover) openBrowser(ctx context.Context) {
	if p.in.Config.Image.Page != "" {
		_, _ = p.browser().Sync(ctx)
	}
}

// loadPage lets a browser load the page of the running application: a server that answers its
// health check may still show its users nothing but an error.
func (p prover) loadPage(ctx context.Context, running *runner.Running) []*verdict.Problem {
	c := p.in.Config.Image
	service, ok := running.Handle.(*dagger.Service)
	if c.Page == "" || !ok {
		return nil
	}
	browser, err := p.browser().Sync(ctx)
	if err != nil {
		return []*verdict.Problem{p.engineProblem(ctx, CodeBrowser, "install chromium", err)}
	}
	address := (&url.URL{Scheme: "http", Host: pageHost + ":" + strconv.Itoa(c.Port)}).String() + c.Page
	looked := p.python(engine.WithoutTrustUpdate(browser).WithServiceBinding(pageHost, service).WithEnvVariable("LOOK", newID()),
		"page.py", pageScript, address, strconv.FormatFloat(time.Duration(c.StartBudget).Seconds(), 'f', -1, 64), pageFile)
	out, err := looked.Stdout(ctx)
	if err != nil {
		return []*verdict.Problem{p.engineProblem(ctx, CodeBrowser, "load "+c.Page, err)}
	}
	var seen seenPage
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		return []*verdict.Problem{verdict.Problemf(CodeEngineFailed, "read what the browser saw: %v", err)}
	}
	if seen.Browser == "" {
		p.keepPicture(ctx, looked)
	}
	return p.judgePage(seen)
}

// keepPicture adds the picture to the report. It is read as base64, because the engine returns
// the content of a file as text.
func (p prover) keepPicture(ctx context.Context, looked *dagger.Container) {
	text, err := looked.File(pageFile).Contents(ctx)
	var picture []byte
	if err == nil {
		picture, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	}
	if err != nil {
		p.stage.Warn(WarnLogs, "keep the picture of the page: %s", p.plain(err))
		return
	}
	p.stage.Files = append(p.stage.Files, verdict.ReportFile{Path: pagePicture, Content: picture})
}

// judgePage turns what the browser saw into evidence.
func (p prover) judgePage(seen seenPage) []*verdict.Problem {
	c := p.in.Config.Image
	// The first page may load what the health check needs none of, such as TensorFlow.
	budget := time.Duration(c.StartBudget).String()
	if seen.Browser != "" {
		return []*verdict.Problem{verdict.Problemf(CodeBrowser, "%s", p.redact(oneLine(seen.Browser)))}
	}
	var why string
	switch {
	case seen.Failed != "":
		why = seen.Failed
	case seen.Status >= 400:
		why = fmt.Sprintf("status %d", seen.Status)
	case seen.Broken != "":
		why = "the page shows an exception: " + oneLine(seen.Broken)
	case seen.Error != "" && !seen.Drawn:
		why = "an error in the browser: " + oneLine(seen.Error)
	case !seen.Drawn && strings.TrimSpace(seen.Text) == "":
		why = fmt.Sprintf("nothing is drawn within %s", budget)
	case !seen.Drawn:
		why = fmt.Sprintf("still being drawn after %s", budget)
	}
	value := fmt.Sprintf("%q after %.1f s, %d characters", p.redact(clip(oneLine(seen.Title), 80)), seen.Seconds, seen.Length)
	if why != "" {
		value = p.redact(clip(why, 200))
	}
	p.stage.Gate("page "+c.Page+" in Chromium", value, "drawn within "+budget, why == "")
	if why == "" {
		return nil
	}
	problem := verdict.Problemf(CodePage, "%s: %s", c.Page, p.redact(clip(why, 300)))
	problem.Details = safetext.LastLines(p.redact(seen.Broken+"\n"+seen.Text), logLines)
	return []*verdict.Problem{problem}
}

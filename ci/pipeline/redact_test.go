package pipeline

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// canary is a secret that must never be seen again.
type canary struct {
	value string
	err   error
}

func (c canary) Name() string                              { return "CANARY" }
func (c canary) Plaintext(context.Context) (string, error) { return c.value, c.err }

// canaries are short, have quotes, or have more than one line.
var canaries = []string{"c4n4ry!8", `can"ary'q`, "canary-line-1\ncanary-line-2\n"}

func TestNoReportShowsASecret(t *testing.T) {
	b, r := backend(t, source(nil))
	printed := ""
	for _, value := range canaries {
		printed += " " + value + " " + base64.StdEncoding.EncodeToString([]byte(value)) + " " + url.QueryEscape(value) + " " + strconv.Quote(value)
	}
	r.OnRun(func(runner.Step) (*runner.Result, error) { return nil, errors.New("engine: " + printed) })
	opts := Options{Secrets: &Secrets{}}
	for _, secret := range []runner.Secret{canary{value: canaries[0]}, nil, canary{err: errors.New("no such secret")}} {
		assert.Equal(t, secret, opts.Secrets.Keep(secret))
	}
	opts.Target = publish.Target{SecretKey: canary{value: canaries[1]}, MLflowToken: canary{value: canaries[2]}}
	outcome := Run(t.Context(), b, opts)
	require.NotEqual(t, verdict.Pass, outcome.Run.Verdict)

	dir := t.TempDir()
	require.NoError(t, verdict.WriteReport(dir, outcome.Run))
	shown := map[string]string{
		"the error": outcome.Run.Enforce().Error(), "the summary": verdict.Summary(outcome.Run), "the Markdown": outcome.Run.Markdown(),
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var content []byte
			content, err = os.ReadFile(path)
			shown[path] = string(content)
		}
		return err
	}))
	for where, text := range shown {
		for _, value := range append(canaries, "canary-line-1", "canary-line-2") {
			assert.NotContains(t, text, value, where)
			assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(value)), where)
			assert.NotContains(t, text, url.QueryEscape(value), where)
		}
	}
	assert.Contains(t, shown["the summary"], verdict.Mask, "it was there to be hidden")
}

func TestTheImageStageIsToldWhatToHide(t *testing.T) {
	b, _ := backend(t, source(nil))
	opts := Options{Secrets: &Secrets{}}
	opts.Secrets.Keep(canary{value: canaries[0]})
	assert.Equal(t, "pull: "+verdict.Mask, prepare(t.Context(), b, opts).imageRequest().Redact("pull: "+canaries[0]))
}

func TestASecretThatIsTooShortToHideIsNamed(t *testing.T) {
	b, _ := backend(t, source(nil))
	opts := Options{Secrets: &Secrets{}}
	for _, value := range []string{"abc", "abc", "", "long enough"} {
		opts.Secrets.Keep(canary{value: value})
	}
	run := prepare(t.Context(), b, opts).run
	require.NotEmpty(t, run.Warnings)
	assert.Equal(t, CodeNotMasked.Name, run.Warnings[0].Code)
	assert.Contains(t, run.Warnings[0].Cause, "CANARY")
	assert.NotContains(t, run.Warnings[0].Cause, "abc")
}

// Package tutorial does what the pages for newcomers say: it writes their files and types their commands.
package tutorial

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// block is a fenced block of a page.
type block struct{ language, title, text string }

var fenced = regexp.MustCompile("(?ms)^```(\\w+)(?: title=\"([^\"]*)\")?\n(.*?)^```$")

func blocks(t *testing.T, page string) []block {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	var found []block
	for _, m := range fenced.FindAllStringSubmatch(string(content), -1) {
		found = append(found, block{m[1], m[2], m[3]})
	}
	require.NotEmpty(t, found, page)
	return found
}

// desk is where a newcomer sits: a folder, and a shell with the command.
type desk struct {
	dir, bin, fake string
	// exports are the variables that earlier blocks of the page have set.
	exports string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	for _, name := range []string{"python3.11", "bash", "go"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("there is no %s", name)
		}
	}
	d := &desk{dir: t.TempDir(), bin: t.TempDir()}
	build(t, filepath.Join(d.bin, "openstack-rca"), "./ci/cmd/openstack-rca")
	return d
}

func build(t *testing.T, to, what string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "build", "-o", to, what)
	command.Dir = root
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

// put writes a file of a page, or appends to one.
func (d *desk) put(t *testing.T, b block) {
	t.Helper()
	mode := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	name, appended := strings.CutPrefix(b.title, "append to ")
	if appended {
		mode = os.O_WRONLY | os.O_APPEND
	}
	path := filepath.Join(d.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	file, err := os.OpenFile(path, mode, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(b.text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// beside starts what belongs into another terminal: the fake AWS, on an address of this test.
func (d *desk) beside(t *testing.T, b block) {
	t.Helper()
	require.Equal(t, "go run ./tests/fakeaws\n", b.text)
	program := filepath.Join(d.bin, "fakeaws")
	build(t, program, "./tests/fakeaws")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d.fake = listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, program, "-listen", d.fake)
	require.NoError(t, command.Start())
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", d.fake)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
}

// types runs the commands of a block; the first that fails ends it.
func (d *desk) types(t *testing.T, b block) (string, error) {
	t.Helper()
	text := b.text
	if d.fake != "" {
		text = strings.ReplaceAll(text, "127.0.0.1:4566", d.fake)
	}
	command := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", d.exports+text)
	command.Dir = d.dir
	command.Env = append(os.Environ(), "PATH="+d.bin+":"+os.Getenv("PATH"), "AWS_PROFILE=", "CI=true")
	out, err := command.CombinedOutput()
	for _, line := range strings.Split(text, "\n") {
		if assignment.MatchString(line) {
			d.exports += line + "\n"
		}
	}
	return string(out), err
}

var assignment = regexp.MustCompile(`^(?:export )?\w+=`)

func TestTheTutorial(t *testing.T) {
	d := newDesk(t)
	said := map[string]string{}
	for _, b := range blocks(t, "docs/tutorial.md") {
		switch {
		case b.language == "bash" && b.title == "in another terminal, in a clone":
			d.beside(t, b)
		case b.language == "bash":
			started := time.Now()
			out, err := d.types(t, b)
			require.NoError(t, err, "%s\n%s", b.text, out)
			first, _, _ := strings.Cut(b.text, "\n")
			t.Logf("%s: %s", time.Since(started).Round(time.Second), first)
			said[first] = out
		default:
			d.put(t, b)
		}
	}
	assert.Contains(t, said["openstack-rca init"], "command: [python, train.py]")
	assert.Contains(t, said["openstack-rca init"], `command: [gunicorn, "--bind", "0.0.0.0:{{port}}", "app:app"]`)
	run := said["openstack-rca run --report report"]
	assert.Regexp(t, `(?m)^  run        pass`, run)
	assert.Contains(t, run, "published by publish")
	broken := said["sed -i.bak 's/== \\[2, 0, 0, 1\\]/== [2, 0, 0, 2]/' tests/test_app.py"]
	assert.Contains(t, broken, "FAIL test TESTS_FAILED")
	assert.Contains(t, broken, "exit code 1")
	canary := said["export AWS_ENDPOINT_URL=http://127.0.0.1:4566"]
	assert.Contains(t, canary, "10 % of the traffic")
	assert.Equal(t, 3, strings.Count(canary, "SUCCESSFUL, CLEAN_UP"), canary)
}

// TestYourOwnRepository types the commands of the page where the application of the tutorial is.
func TestYourOwnRepository(t *testing.T) {
	d := newDesk(t)
	for _, b := range blocks(t, "docs/tutorial.md") {
		if b.title != "" && b.language != "bash" && b.language != "yaml" {
			d.put(t, b)
		}
	}
	for _, b := range blocks(t, "docs/own-repository.md") {
		require.Equal(t, "bash", b.language)
		if strings.HasPrefix(b.text, "openstack-rca init --check") {
			out, err := d.types(t, block{text: "openstack-rca init --check\n"})
			require.Error(t, err, "a file is missing")
			assert.Contains(t, out, "--- pipeline.yaml")
			b.text = strings.TrimPrefix(b.text, "openstack-rca init --check\n")
		}
		out, err := d.types(t, b)
		require.NoError(t, err, "%s\n%s", b.text, out)
	}
	assert.FileExists(t, filepath.Join(d.dir, ".github", "workflows", "pipeline.yml"))
	assert.FileExists(t, filepath.Join(d.dir, "report", "log.txt"))
}

// TestTheFiveMinuteStart types what the README begins with, in a clone: what needs no engine of it, and what `make demo`
// does without one.
func TestTheFiveMinuteStart(t *testing.T) {
	if testing.Short() {
		t.Skip("the example trains for minutes")
	}
	d := newDesk(t)
	clone := exec.CommandContext(t.Context(), "git", "clone", "--quiet", "--no-local", root, filepath.Join(d.dir, "clone"))
	out, err := clone.CombinedOutput()
	if err != nil {
		t.Skipf("this is no git checkout: %s", out)
	}
	d.dir = filepath.Join(d.dir, "clone")
	for _, b := range blocks(t, "README.md") {
		_, native, found := strings.Cut(b.text, "# without an engine\n")
		if b.text == "make demo\n" {
			targets, err := os.ReadFile(filepath.Join(root, "Makefile"))
			require.NoError(t, err)
			assert.Contains(t, string(targets), "\ndemo: ")
		}
		if !found {
			continue
		}
		said, err := d.types(t, block{text: native})
		require.NoError(t, err, said)
		assert.Regexp(t, `(?m)^  run        pass`, said)
		assert.FileExists(t, filepath.Join(d.dir, "report", "report.html"))
		return
	}
	t.Fatal("README.md has no start without an engine")
}

package assembly

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
)

// AdvisoriesURL is where the records of all Python packages come from. osv.dev renews the archive
// several times a day.
const AdvisoriesURL = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"

// maxAdvisories bounds the archive: in 2026 it has some tens of megabytes.
const maxAdvisories = 1 << 30

// hostTool finds a program of the pinned version on PATH.
func hostTool(ctx context.Context, name string) (runner.Files, error) {
	wanted, err := tools.Find(name)
	if err != nil {
		return nil, err
	}
	file, err := exec.LookPath(name)
	if err == nil {
		file, err = filepath.EvalSymlinks(file)
	}
	if err != nil {
		return nil, errors.New("it is not on PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	// Without the variables of this process: some are credentials.
	command := exec.CommandContext(ctx, file, "version") //nolint:gosec // found on PATH
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", name, err)
	}
	if !wanted.Is(string(out)) {
		return nil, fmt.Errorf("the %s on PATH has another version", name)
	}
	base := filepath.Base(file)
	files := runner.Files(filetree.Paths(filepath.Dir(file), []string{base}))
	if base != name {
		return nil, fmt.Errorf("%s on PATH is a link to %s; put the program itself there", name, base)
	}
	return files, nil
}

// once returns a function that finds what has a name once: a scan asks for the same program for each layer, and
// a program takes up to half a second to say its version. Who asks meanwhile waits. A failure is not kept.
func once[T any](find func(context.Context, string) (T, error)) func(context.Context, string) (T, error) {
	type entry struct {
		sync.Mutex
		is   bool
		what T
	}
	var found sync.Map
	return func(ctx context.Context, name string) (T, error) {
		value, _ := found.LoadOrStore(name, &entry{})
		e, _ := value.(*entry)
		e.Lock()
		defer e.Unlock()
		if e.is {
			return e.what, nil
		}
		what, err := find(ctx, name)
		if err == nil {
			e.is, e.what = true, what
		}
		return what, err
	}
}

// onceFile is once for what has no name.
func onceFile(find func(context.Context) (string, error)) func(context.Context) (string, error) {
	named := once(func(ctx context.Context, _ string) (string, error) { return find(ctx) })
	return func(ctx context.Context) (string, error) { return named(ctx, "") }
}

// goImage is the image that builds a tool: the newest of the minor version that it needs. It may be
// older than the version it needs; the build says so.
func goImage(tool tools.Tool) string {
	parts := strings.SplitN(tool.GoVersion(), ".", 3)
	return "golang:" + strings.Join(parts[:min(2, len(parts))], ".") + "-bookworm"
}

// engineTool builds a program in a container, once: the engine keeps it while the pinned versions
// stay the same.
func engineTool(client *dagger.Client, source func(*dagger.Directory) runner.Files) func(context.Context, string) (runner.Files, error) {
	return func(ctx context.Context, name string) (runner.Files, error) {
		tool, err := tools.Find(name)
		if err != nil {
			return nil, err
		}
		container := client.Container().From(goImage(tool)).
			WithEnvVariable("CGO_ENABLED", "0").WithEnvVariable("GOFLAGS", "-buildvcs=false").WithEnvVariable("GOTOOLCHAIN", "local").
			WithMountedCache("/go/pkg/mod", client.CacheVolume("openstack-rca-go-mod")).
			WithMountedCache("/root/.cache/go-build", client.CacheVolume("openstack-rca-go-build")).
			WithNewFile("/build/go.mod", "module build\n")
		for _, file := range []string{tool.Mod, tool.Sum} {
			container = container.WithNewFile("/build/"+file, tool.Pin(file))
		}
		built := container.WithWorkdir("/build").WithExec(tool.Build("/out/" + name))
		dir, err := client.Directory().WithFile(name, built.File("/out/"+name)).Sync(ctx)
		if err != nil {
			return nil, fmt.Errorf("build it: %w", err)
		}
		return source(dir), nil
	}
}

// dailyAdvisories returns a function that downloads the advisories, at most once a day, into a
// directory that lasts. An older download is used when there is no other: the audit judges its age.
func dailyAdvisories(address, dir string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		file := filepath.Join(dir, "pypi.zip")
		info, err := os.Stat(file)
		if err == nil && time.Since(info.ModTime()) < 24*time.Hour {
			return file, nil
		}
		had := err == nil
		if err := download(ctx, address, file, isZip); err != nil && !had {
			return "", err
		}
		return file, nil
	}
}

// engineAdvisories takes the archive through the engine, which asks whether it changed and
// otherwise answers from its cache, and puts it into a directory of this process.
func engineAdvisories(ctx context.Context, client *dagger.Client, address, work string) (string, error) {
	file := filepath.Join(work, "advisories.zip")
	if _, err := client.HTTP(address).Export(ctx, file); err != nil {
		return "", fmt.Errorf("download advisories: %w", err)
	}
	return file, nil
}

// isZip: a page of a proxy must not take the place of an archive for a day.
func isZip(file string) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	return archive.Close()
}

// download writes what an address answers into a file, all of it or nothing. check looks at the whole
// content before it takes the file's place; nil for no look.
func download(ctx context.Context, address, file string, check func(file string) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("download advisories: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("download advisories: %w", err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("download advisories: %s answered %s", request.URL.Host, answer.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // nothing of it is secret
		return fmt.Errorf("keep advisories: %w", err)
	}
	part, err := os.CreateTemp(filepath.Dir(file), "part-*"+filepath.Ext(file))
	if err != nil {
		return fmt.Errorf("keep advisories: %w", err)
	}
	n, err := io.Copy(part, io.LimitReader(answer.Body, maxAdvisories+1))
	if err = errors.Join(err, part.Close()); err == nil {
		switch {
		case n > maxAdvisories:
			err = fmt.Errorf("more than %d bytes", maxAdvisories)
		case answer.ContentLength >= 0 && n != answer.ContentLength:
			err = fmt.Errorf("%d of %d bytes came", n, answer.ContentLength)
		default:
			if check != nil {
				err = check(part.Name())
			}
			if err == nil {
				err = os.Rename(part.Name(), file)
			}
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("download advisories: %s", strings.TrimSpace(err.Error())), os.Remove(part.Name()))
	}
	return nil
}

// cacheDir is where this user's programs keep what they can fetch again.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "openstack-rca", "advisories")
}

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// found is what one side measured.
type found struct {
	// tests are outcomes by id, files the executable lines by name: true for an executed one.
	tests map[string]junit.Outcome
	files map[string]map[int]bool
	took  time.Duration
	// verdict is the stage's: pass, or its failures.
	verdict string
}

func (f *found) lines() (n int) {
	for _, lines := range f.files {
		n += len(lines)
	}
	return n
}

// The tools that are added to an environment that lacks them: those of the stage.
var tools = []string{"pytest==9.2.0", "pytest-cov==7.1.0"}

// coverageFor is the stage's coverage.py for a Python.
func coverageFor(python string) string {
	if python == "3.10" {
		return "coverage==7.16.2"
	}
	return "coverage==7.17.3"
}

// fetch downloads and unpacks a source distribution, unless that was done before.
func (b *bench) fetch(ctx context.Context, p project) (string, error) {
	dir := filepath.Join(b.dir, "sources", p.Name+"-"+p.Version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	into, err := os.MkdirTemp(b.dir, "download-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(into) }()
	pinned := filepath.Join(into, "pinned.txt")
	if err := os.WriteFile(pinned, []byte(p.pin()), 0o600); err != nil {
		return "", err
	}
	// The build runs for its metadata alone: that is how pip does it.
	err = b.call(ctx, into, filepath.Join(b.dir, "tools", "bin", "pip"), "download", "--quiet", "--no-deps", "--no-binary", p.Name,
		"--require-hashes", "-d", into,
		"-r", pinned)
	if err != nil {
		return "", fmt.Errorf("it cannot be downloaded: %w", err)
	}
	archives, err := filepath.Glob(filepath.Join(into, "*.tar.gz"))
	if err != nil || len(archives) != 1 {
		return "", errors.New("the index has no .tar.gz of it")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	return dir, unpack(archives[0], dir)
}

// unpack puts the regular files of an archive into a new directory, without the archive's own top directory.
func unpack(archive, dir string) (err error) {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(path.Clean(header.Name), "/")
		if header.Typeflag != tar.TypeReg || !fs.ValidPath(name) {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fs.FileMode(header.Mode)&0o777) //nolint:gosec // masked
		if err != nil {
			return err
		}
		_, err = io.Copy(out, io.LimitReader(files, 64<<20))
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}

// interpreter finds the Python of a version on the path, or one that pyenv installed.
func interpreter(ctx context.Context, version string) (string, error) {
	places := []string{"python" + version}
	if home, err := os.UserHomeDir(); err == nil {
		installed, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", version+".*", "bin", "python")) // the pattern is valid
		places = append(places, installed...)
	}
	for _, place := range places {
		// A shim of pyenv is on the path for versions that it does not choose.
		out, err := exec.CommandContext(ctx, place, "-c", "import sys; print(sys.executable)").Output()
		if err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", fmt.Errorf("Python %s is not on this machine", version) //nolint:staticcheck // a name
}

// byHand does what a developer of the project would type.
func (b *bench) byHand(ctx context.Context, p project, source string) (*found, error) {
	dir := filepath.Join(b.dir, "hand", p.Name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return nil, err
	}
	base, err := interpreter(ctx, p.Python)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	environment := b.environment(append(versions(source), "VIRTUAL_ENV="+filepath.Join(dir, ".venv"))...)
	if b.caches != "" {
		// Cold, as the stage's.
		environment = append(environment, "UV_CACHE_DIR="+filepath.Join(b.caches, "hand"))
	}
	python := filepath.Join(dir, ".venv", "bin", "python")
	do := func(program string, args ...string) (string, error) {
		process := exec.CommandContext(ctx, program, args...)
		process.Dir, process.Env = dir, environment
		out, err := process.CombinedOutput()
		return string(out), err
	}
	install := append([]string{"pip", "install", "--quiet"}, p.Install...)
	if p.Sync != nil {
		install = append([]string{"sync", "--quiet", "--frozen"}, p.Sync...)
	}
	steps := [][]string{{"venv", "--quiet", "--python", base, ".venv"}, install}
	if p.Before != nil {
		steps = slices.Insert(steps, 1, append([]string{"pip", "install", "--quiet"}, p.Before...))
	}
	for _, args := range steps {
		if out, err := do(b.uv, args...); err != nil {
			return nil, fmt.Errorf("uv %s: %w: %s", args[0], err, last(out))
		}
	}
	var missing []string
	for _, tool := range append([]string{coverageFor(p.Python)}, tools...) {
		name, _, _ := strings.Cut(tool, "==")
		if _, err := do(python, "-c", "import importlib.metadata as m; m.distribution('"+name+"')"); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		if out, err := do(b.uv, append([]string{"pip", "install", "--quiet"}, missing...)...); err != nil {
			return nil, fmt.Errorf("uv pip install: %w: %s", err, last(out))
		}
	}
	args := append([]string{"-m", "pytest"}, p.Args...)
	for _, measured := range strings.Fields(p.Measured) {
		args = append(args, "--cov="+measured)
	}
	args = append(args, "-v", "--junitxml=hand.xml", "-o", "junit_family=xunit1", "--cov-branch", "--cov-report=html", "--cov-report=xml",
		"--cov-fail-under=0", "-W", "ignore:--include is ignored")
	ran, err := do(python, args...)
	took := time.Since(started)
	// Failed tests are results like others; without a report there is none.
	if _, missing := os.Stat(filepath.Join(dir, "hand.xml")); missing != nil {
		return nil, fmt.Errorf("pytest: %w: %s", err, last(ran))
	}
	// Its exit code is that of fail_under.
	converted, err := do(python, "-m", "coverage", "json", "--quiet", "-o", "hand.json")
	f := &found{took: took}
	f.files, _ = readJSON(filepath.Join(dir, "hand.json"), dir)
	// A package may be written in another language altogether.
	if len(f.files) == 0 && !strings.Contains(converted, "No data to report") {
		return nil, fmt.Errorf("coverage json: %w: %s", err, last(converted))
	}
	f.tests, err = readTests(filepath.Join(dir, "hand.xml"))
	return f, err
}

// byStage runs the stage.
func (b *bench) byStage(ctx context.Context, p project, source string) (*found, error) {
	report := filepath.Join(b.dir, "stage", p.Name)
	if err := os.RemoveAll(report); err != nil {
		return nil, err
	}
	process := exec.CommandContext(ctx, b.command, "test", "--source", source, "--report", report)
	process.Dir, process.Env = b.dir, b.environment()
	if b.caches != "" {
		process.Env = append(process.Env, "XDG_CACHE_HOME="+filepath.Join(b.caches, "stage"), "UV_CACHE_DIR="+filepath.Join(b.caches, "stage-uv"))
	}
	started := time.Now()
	// A failed gate is no difference.
	out, _ := process.CombinedOutput()
	f := &found{took: time.Since(started)}
	var err error
	if f.tests, err = readTests(filepath.Join(report, "test", "junit.xml")); err == nil {
		if f.files, err = readXML(filepath.Join(report, "test", "coverage.xml")); errors.Is(err, fs.ErrNotExist) {
			err = nil // compare says so where the hand measured any
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, last(string(out)))
	}
	said, err := os.ReadFile(filepath.Join(report, "verdict.txt"))
	f.verdict = strings.Join(strings.Fields(string(said)), " ")
	if first, _, _ := strings.Cut(string(said), "\n"); first == "pass" {
		f.verdict = first
	}
	return f, err
}

// scaffold lets init write its files into a copy of the source, twice: the second time it changes nothing. It
// returns the copy, what coverage then measures, and its floor.
func (b *bench) scaffold(ctx context.Context, p project, source string) (dir, measured string, floor float64, err error) {
	dir = filepath.Join(b.dir, "init", p.Name)
	if err := os.RemoveAll(dir); err != nil {
		return "", "", 0, err
	}
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return "", "", 0, err
	}
	if err := b.call(ctx, b.dir, b.command, "init", "--measure", "--source", dir); err != nil {
		// Tests that fail leave no floor. The run says what failed.
		if _, missing := os.Stat(filepath.Join(dir, config.FileName)); missing != nil {
			return "", "", 0, err
		}
	}
	if err := b.call(ctx, b.dir, b.command, "init", "--check", "--source", dir); err != nil {
		return "", "", 0, err
	}
	content, err := os.ReadFile(filepath.Join(dir, config.FileName))
	if err != nil {
		return "", "", 0, err
	}
	written, err := config.Load(content, config.Sandbox)
	if err != nil {
		return "", "", 0, err
	}
	if measured = strings.Join(written.Test.Coverage.Source, " "); measured == "." {
		measured = p.Measured
	}
	return dir, measured, written.Test.Coverage.Total, nil
}

// environment is this process's, with the cargo and compilers that builds use, without what makes coverage and pytest behave differently.
func (b *bench) environment(more ...string) []string {
	var kept []string
	for _, pair := range os.Environ() {
		// The stage has no terminal.
		if !slices.ContainsFunc([]string{"COVERAGE_", "PYTEST_", "PYTHON", "TERM="}, func(name string) bool {
			return strings.HasPrefix(pair,
				name)
		}) {
			kept = append(kept, pair)
		}
	}
	return append(kept, more...)
}

// versions tell the tools that ask git which version a source distribution is.
func versions(source string) []string {
	info, err := os.ReadFile(filepath.Join(source, "PKG-INFO"))
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(info), "\n") {
		if version, ok := strings.CutPrefix(line, "Version: "); ok {
			return []string{"SETUPTOOLS_SCM_PRETEND_VERSION=" + strings.TrimSpace(version)}
		}
	}
	return nil
}

func readTests(name string) (map[string]junit.Outcome, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	tests := map[string]junit.Outcome{}
	_, err = junit.Parse(f, junit.Options{Each: func(c junit.Case) { tests[c.ClassName+"::"+c.Name] = c.Outcome }})
	return tests, errors.Join(err, f.Close())
}

func readXML(name string) (map[string]map[int]bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	report, err := coverage.Parse(f, xmlscan.Limits{})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	files := map[string]map[int]bool{}
	for _, file := range report.Files {
		lines := map[int]bool{}
		for _, line := range file.Lines {
			lines[int(line.Number)] = line.Hit
		}
		files[file.Path] = lines
	}
	return files, nil
}

func readJSON(name, root string) (map[string]map[int]bool, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var report struct {
		Files map[string]struct {
			Executed []int `json:"executed_lines"`
			Missing  []int `json:"missing_lines"`
		}
	}
	if err := json.Unmarshal(content, &report); err != nil {
		return nil, err
	}
	files := map[string]map[int]bool{}
	for file, found := range report.Files {
		if filepath.IsAbs(file) {
			if file, err = filepath.Rel(root, file); err != nil {
				return nil, err
			}
		}
		lines := map[int]bool{}
		for _, n := range found.Executed {
			lines[n] = true
		}
		for _, n := range found.Missing {
			lines[n] = false
		}
		files[filepath.ToSlash(file)] = lines
	}
	return files, nil
}

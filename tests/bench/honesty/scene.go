package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Campaign is what all cases share.
type Campaign struct {
	// Command is the native command; Fixtures the directory of the sources that cases start from.
	Command, Fixtures string
	// Module is the Dagger module for runs on an engine; empty for the native command.
	Module string
	// Dir is a directory of the campaign's own: caches, and a directory for each case.
	Dir  string
	Seed uint64
}

// Left is what one call of the command left.
type Left struct {
	exit     int
	output   string
	report   string
	run      *verdict.Run
	timedOut bool
	// memory is the most that the command had in memory, in MB.
	memory int64
	watched
}

type watched struct {
	secrets   []string
	disk      int64
	processes []string
	leftovers []string
}

// scene is a case under way.
type scene struct {
	*Campaign
	c        Case
	work     string
	cache    string
	canaries Canaries
	search   *search
	servers  *Servers
	began    time.Time
}

// Play runs a case and returns its misses, none when all was right.
func (p *Campaign) Play(ctx context.Context, c Case) (misses []Miss, chosen []string) {
	c, chosen = c.with(p.Seed)
	s := &scene{Campaign: p, c: c, work: filepath.Join(p.Dir, "cases", c.Name), cache: filepath.Join(p.Dir, "cache"), began: time.Now()}
	if c.OwnCache {
		s.cache = filepath.Join(s.work, "cache")
		if err := s.shareTools(); err != nil {
			return []Miss{{WrongCode, "the case could not be set up: " + err.Error()}}, chosen
		}
	}
	for _, part := range []string{"source", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.work, part), 0o700); err != nil {
			return []Miss{{WrongCode, "the case could not be set up: " + err.Error()}}, chosen
		}
	}
	// Every case has its own, whatever the seed: they mark its secrets.
	s.canaries = newCanaries(rng(rand.Uint64())) //nolint:gosec // marks, not secrets
	s.search = s.canaries.search()
	if c.Servers != "" {
		password := s.canaries["MLFLOW_TRACKING_PASSWORD"]
		if c.NoSecrets {
			password = ""
		}
		s.servers = startServers(c.Servers, password)
		defer s.servers.stop()
	}
	if c.Base != "none" {
		if err := os.CopyFS(filepath.Join(s.work, "source"), os.DirFS(filepath.Join(p.Fixtures, c.Base))); err != nil {
			return []Miss{{WrongCode, "the case could not be set up: " + err.Error()}}, chosen
		}
	}
	for i, step := range c.steps() {
		if err := s.lay(step); err != nil {
			return append(misses, Miss{WrongCode, "the case could not be set up: " + err.Error()}), chosen
		}
		if step.Heal && s.servers != nil {
			s.servers.heal()
		}
		left, err := s.call(ctx, i, step)
		if err != nil {
			return append(misses, Miss{WrongCode, "the command could not be started: " + err.Error()}), chosen
		}
		for _, miss := range s.judge(step.Expect, left) {
			if len(c.Then) > 0 {
				miss.What = fmt.Sprintf("call %d: %s", i+1, miss.What)
			}
			misses = append(misses, miss)
		}
	}
	return misses, chosen
}

// shareTools gives a cache of its own the installer of the campaign's, which takes most of the time to make and
// holds nothing that a step is given.
func (s *scene) shareTools() error {
	own := filepath.Join(s.cache, "openstack-rca")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return err
	}
	return os.Symlink(filepath.Join(s.Dir, "cache", "openstack-rca", "tools"), filepath.Join(own, "tools"))
}

// WarmUp makes what all cases need, so that no case's time limit pays for it: the installer and an environment.
func (p *Campaign) WarmUp(ctx context.Context) error {
	s := &scene{Campaign: p, c: Case{NoSecrets: true, Limit: maxLimit}, work: filepath.Join(p.Dir, "warm-up"), cache: filepath.Join(p.Dir, "cache"), search: &search{}}
	for _, part := range []string{"tmp", "cases"} {
		if err := os.MkdirAll(filepath.Join(s.work, part), 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(s.cache, "openstack-rca", "tools"), 0o700); err != nil {
		return err
	}
	tiny := filepath.Join(p.Fixtures, "tiny")
	for _, command := range []string{"test", "train"} {
		left, err := s.call(ctx, 0, Step{Run: []string{command, "--source", tiny}})
		if err != nil {
			return err
		}
		if left.exit != 0 {
			return fmt.Errorf("%s of %s does not pass, so no other case would mean anything: %s", command, tiny, left.cause())
		}
	}
	return nil
}

// lay puts a step's files over the source.
func (s *scene) lay(step Step) error {
	source := filepath.Join(s.work, "source")
	for _, name := range slices.Sorted(maps.Keys(step.Files)) {
		path, content := filepath.Join(source, name), step.Files[name]
		if content == nil {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(s.place(*content)), 0o600); err != nil { //nolint:gosec // below the case's directory
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(step.Special)) {
		path := filepath.Join(source, name)
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		kind, argument, _ := strings.Cut(step.Special[name], " ")
		if err := makeSpecial(path, kind, s.place(argument)); err != nil {
			return err
		}
	}
	return nil
}

func makeSpecial(path, kind, argument string) error {
	switch kind {
	case "dir":
		return os.MkdirAll(path, 0o700)
	case "fifo":
		return syscall.Mkfifo(path, 0o600)
	case "link":
		return os.Symlink(argument, path)
	case "socket":
		// The name of a socket is short: it is made elsewhere and moved here.
		dir, err := os.MkdirTemp("", "honesty")
		if err != nil {
			return err
		}
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
		if err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
		listener.SetUnlinkOnClose(false)
		return errors.Join(listener.Close(), os.Rename(filepath.Join(dir, "s"), path), os.RemoveAll(dir))
	}
	size, err := strconv.ParseInt(argument, 10, 64)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Truncate(path, size)
}

// place puts the addresses and directories of this run into a text.
func (s *scene) place(text string) string {
	pairs := []string{"{{source}}", filepath.Join(s.work, "source"), "{{work}}", s.work, "{{canary}}", s.canaries[placed]}
	if s.servers != nil {
		pairs = append(pairs, "{{mlflow}}", s.servers.mlf.URL, "{{s3}}", s.servers.store.URL)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// passedOn are the variables of this host that say how packages are downloaded.
var passedOn = []string{"PATH", "HOME", "SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
	"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "PYENV_ROOT"}

func (s *scene) variables(step Step) []string {
	vars := map[string]string{}
	for _, name := range passedOn {
		if value := os.Getenv(name); value != "" {
			vars[name] = value
		}
	}
	vars["XDG_CACHE_HOME"], vars["TMPDIR"] = s.cache, filepath.Join(s.work, "tmp")
	if !s.c.NoSecrets {
		maps.Copy(vars, s.canaries)
		delete(vars, placed)
		vars["AWS_ACCESS_KEY_ID"], vars["MLFLOW_TRACKING_USERNAME"] = "honesty-access-key", "robot"
	}
	if s.servers != nil {
		vars["MLFLOW_TRACKING_URI"], vars["MLFLOW_S3_ENDPOINT_URL"] = s.servers.mlf.URL, s.servers.store.URL
		vars["MLFLOW_ARTIFACT_ROOT"], vars["AWS_DEFAULT_REGION"] = root, "ap-south-1"
	}
	for name, value := range step.Env {
		vars[name] = s.place(value)
	}
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

// output collects what a command says, and no more than fits.
type output struct {
	mu      sync.Mutex
	content bytes.Buffer
}

// maxOutput bounds what is kept of a command's output.
const maxOutput = 64 << 20

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxOutput - o.content.Len(); room > 0 {
		o.content.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// call runs the command once.
func (s *scene) call(ctx context.Context, n int, step Step) (*Left, error) {
	left := &Left{report: filepath.Join(s.work, fmt.Sprintf("report%d", n))}
	program, args := s.Command, s.native(step, left.report)
	if s.Module != "" {
		program, args = "dagger", s.engine(step, left.report)
	}
	process := exec.Command(program, args...) //nolint:gosec,noctx // ended in order below, by a request first
	process.Dir, process.Env = s.work, s.variables(step)
	if s.Module != "" {
		process.Env = append(os.Environ(), process.Env...)
	}
	said := &output{}
	process.Stdout, process.Stderr = said, said
	// A process that a test leaves behind may hold the output: it is not waited for.
	process.WaitDelay = 5 * time.Second
	if err := process.Start(); err != nil {
		return nil, err
	}
	watch := watching(s.work, process.Process.Pid, s.search, s.c.MegabytesDisk > 0, s.Module == "")
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	err := s.wait(ctx, process.Process, ended, left)
	left.secrets, left.disk = watch.end()
	var failed *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &failed):
		left.exit = failed.ExitCode()
	case errors.Is(err, exec.ErrWaitDelay):
		left.leftovers = append(left.leftovers, "its output was held open after its end")
	default:
		return nil, err
	}
	if usage, ok := process.ProcessState.SysUsage().(*syscall.Rusage); ok {
		left.memory = usage.Maxrss >> 10
	}
	said.mu.Lock()
	left.output = said.content.String()
	said.mu.Unlock()
	if s.Module == "" {
		left.processes = sweep(s.work)
	}
	if content, err := os.ReadFile(filepath.Join(left.report, "report.json")); err == nil {
		left.run = &verdict.Run{}
		if err := json.Unmarshal(content, left.run); err != nil {
			return nil, fmt.Errorf("read report.json: %w", err)
		}
	}
	if s.Module != "" && left.exit == 0 {
		// A call that exports a report ends well whatever the verdict; scripts/pipeline makes the exit code from this file.
		word, err := os.ReadFile(filepath.Join(left.report, "verdict.txt"))
		if err != nil || !strings.HasPrefix(string(word), string(verdict.Pass)+"\n") {
			left.exit = 1
		}
	}
	s.look(left)
	return left, nil
}

// engineLimit is the time limit on an engine, which makes containers and their environments.
const engineLimit = 5 * time.Minute

// wait waits for the end; what takes too long is asked to end, and then ended.
func (s *scene) wait(ctx context.Context, process *os.Process, ended chan error, left *Left) error {
	limit := s.c.Limit
	if s.Module != "" {
		limit = max(limit, engineLimit)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	case <-time.After(limit):
		left.timedOut = true
	}
	_ = process.Signal(os.Interrupt) // it may have ended just now
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
	}
	_ = process.Kill()
	return <-ended
}

// look searches everything that the command could have written.
func (s *scene) look(left *Left) {
	for _, name := range s.search.in([]byte(left.output)) {
		left.secrets = append(left.secrets, name+" in the output")
	}
	left.secrets = append(left.secrets, s.search.below(s.work, time.Time{})...)
	if !s.c.OwnCache {
		left.secrets = append(left.secrets, s.search.below(s.cache, s.began, "tools")...)
	}
	if s.servers != nil {
		left.secrets = append(left.secrets, s.servers.seen(s.search)...)
	}
	slices.Sort(left.secrets)
	left.secrets = slices.Compact(left.secrets)
	_ = filepath.WalkDir(filepath.Join(s.work, "tmp"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), "openstack-rca-") {
			left.leftovers = append(left.leftovers, path)
			return fs.SkipDir
		}
		return nil //nolint:nilerr // gone meanwhile
	})
}

package assembly

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply"
)

// maxBlob bounds a file of the history that is looked at.
const maxBlob = 16 << 20

// gitHistory returns a function that writes every file that any commit of the repository in dir ever had,
// each content once, as id/path. dir is a checkout, or a .git directory. A history that is cut off or
// lacks files is an error: what is missing may be what is looked for.
func gitHistory(dir string) func(context.Context, string) (supply.History, error) {
	return func(ctx context.Context, out string) (h supply.History, err error) {
		r := repository{dir: dir, options: gitOptions}
		shallow, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
		if err != nil {
			return h, err
		}
		if strings.TrimSpace(shallow) != "false" {
			return h, errors.New("the clone is shallow: fetch all of it, as with git fetch --unshallow")
		}
		listed, err := r.git(ctx, "rev-list", "--objects", "--all", "HEAD")
		if err != nil {
			return h, err
		}
		names := map[string]string{}
		var ids bytes.Buffer
		for line := range strings.Lines(listed) {
			id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			names[id] = name
			ids.WriteString(id + "\n")
		}
		h.Commits = r.commits
		h.Files, h.Left, err = r.blobs(ctx, &ids, names, out)
		return h, err
	}
}

// commits are those that brought contents, in one walk through the history: a walk for each takes minutes. A
// merge, and a stash, which is one, may bring its own. One that no commit shows, such as a tag's, is missing.
func (r *repository) commits(ctx context.Context, ids []string) map[string]string {
	args := []string{"log", "--all", "--date-order", "-m", "--root", "--raw", "--no-abbrev", "--no-renames", "--format=%H"}
	wanted := map[string]bool{}
	for _, id := range ids {
		args, wanted[id] = append(args, "--find-object="+id), true
	}
	listed, err := r.git(ctx, args...)
	if len(ids) == 0 || err != nil {
		return nil
	}
	found, commit := map[string]string{}, ""
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1:
			commit = fields[0]
		case len(fields) > 4 && wanted[fields[3]]: // :mode mode before after
			found[fields[3]] = commit // the newest first: the last one brought it
		}
	}
	return found
}

// blobs writes the files among objects.
func (r *repository) blobs(ctx context.Context, ids io.Reader, names map[string]string, out string) (files, left int, err error) {
	command := exec.CommandContext(ctx, "git", append(append([]string{}, r.options...), "cat-file", "--batch")...) //nolint:gosec // fixed
	command.Dir, command.Stdin, command.Env = r.dir, ids, r.environment()
	pipe, err := command.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := command.Start(); err != nil {
		return 0, 0, fmt.Errorf("git cat-file: %w", err)
	}
	files, left, err = writeBlobs(bufio.NewReaderSize(pipe, 1<<20), names, out)
	if err != nil {
		_ = command.Process.Kill() // its output is not read to the end
	}
	if ended := command.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("git cat-file: %w", ended)
	}
	return files, left, err
}

func writeBlobs(from *bufio.Reader, names map[string]string, out string) (files, left int, err error) {
	for {
		header, err := from.ReadString('\n')
		if errors.Is(err, io.EOF) && header == "" {
			return files, left, nil
		}
		fields := strings.Fields(header)
		if err == nil && len(fields) == 2 {
			err = fmt.Errorf("object %.12s is %s in this clone", fields[0], fields[1])
		}
		if err != nil {
			return files, left, err
		}
		size, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if err != nil || len(fields) != 3 {
			return files, left, errors.New("git cat-file has another form")
		}
		content := io.LimitReader(from, size)
		switch name := names[fields[0]]; {
		case fields[1] != "blob":
		case size > maxBlob:
			left++
		default:
			files++
			if !filepath.IsLocal(filepath.FromSlash(name)) {
				name = "file"
			}
			if err := writeFile(filepath.Join(out, fields[0], filepath.FromSlash(name)), content); err != nil {
				return files, left, err
			}
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return files, left, err
		}
		if end, err := from.ReadByte(); err != nil || end != '\n' {
			return files, left, errors.New("git cat-file ended early")
		}
	}
}

func writeFile(name string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // below this run's own directory
		return err
	}
	f, err := os.Create(name) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

package assembly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// GrypeURL is the newest database of Grype, which knows the packages of distributions too. Its makers
// renew it every day.
const GrypeURL = "https://grype.anchore.io/databases/v6/latest.json"

// latest is what GrypeURL answers.
type latest struct {
	Status   string `json:"status"`
	Path     string `json:"path"`
	Checksum string `json:"checksum"`
}

// readLatest reads the answer. The archive is beside it, under a plain name.
func readLatest(content []byte) (latest, error) {
	var l latest
	if err := json.Unmarshal(content, &l); err != nil {
		return l, errors.New("download advisories: the list of databases of grype is not JSON")
	}
	if l.Path == "" || path.Base(l.Path) != l.Path || !strings.Contains(l.Path, ".tar") || !strings.HasPrefix(l.Checksum, "sha256:") {
		return l, errors.New("download advisories: the list of databases of grype names no archive with a checksum")
	}
	return l, nil
}

// archive is the address of the archive.
func (l latest) archive(address string) string {
	return address[:strings.LastIndex(address, "/")+1] + l.Path
}

// check compares a downloaded archive with its checksum.
func (l latest) check(file string) error {
	sum, err := runner.FileSHA256(file)
	if err != nil {
		return err
	}
	if got := "sha256:" + sum; got != l.Checksum {
		return fmt.Errorf("the archive has %s, and should have %s", got, l.Checksum)
	}
	return nil
}

// dailyGrype returns a function that downloads the database of Grype, at most once a day, into a
// directory that lasts. An older download is used when there is no other: its age is judged later.
func dailyGrype(address, dir string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		list := filepath.Join(dir, "grype-latest.json")
		kept := func() (string, time.Time) {
			content, err := os.ReadFile(list) //nolint:gosec // below the cache directory
			if err != nil {
				return "", time.Time{}
			}
			l, err := readLatest(content)
			info, unread := os.Stat(list)
			file := filepath.Join(dir, l.Path)
			if err != nil || unread != nil || l.check(file) != nil {
				return "", time.Time{}
			}
			return file, info.ModTime()
		}
		before, at := kept()
		if before != "" && time.Since(at) < 24*time.Hour {
			return before, nil
		}
		file, err := fetchGrype(ctx, address, dir, list)
		if err != nil && before != "" {
			return before, nil
		}
		if err == nil && before != "" && before != file {
			err = os.Remove(before)
		}
		return file, err
	}
}

func fetchGrype(ctx context.Context, address, dir, list string) (string, error) {
	fresh := list + ".new"
	if err := download(ctx, address, fresh, nil); err != nil {
		return "", err
	}
	content, err := os.ReadFile(fresh) //nolint:gosec // below the cache directory
	if err != nil {
		return "", err
	}
	l, err := readLatest(content)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, l.Path)
	if l.check(file) != nil {
		if err := download(ctx, l.archive(address), file, l.check); err != nil {
			return "", err
		}
	}
	return file, os.Rename(fresh, list)
}

// engineGrype takes the database through the engine, which answers from its cache while it is the same.
func engineGrype(ctx context.Context, client *dagger.Client, address, work string) (string, error) {
	content, err := client.HTTP(address).Contents(ctx)
	if err != nil {
		return "", fmt.Errorf("download advisories: %w", err)
	}
	l, err := readLatest([]byte(content))
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, "grype", l.Path)
	if _, err := client.HTTP(l.archive(address)).Export(ctx, file); err != nil {
		return "", fmt.Errorf("download advisories: %w", err)
	}
	if err := l.check(file); err != nil {
		return "", fmt.Errorf("download advisories: %w", err)
	}
	return file, nil
}

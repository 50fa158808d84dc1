package supply

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the algorithm that dpkg uses
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The directories into which the files of layers are sorted: files by the image's makers, and unchanged files from Debian
// packages or wheels of an index. The first is searched completely. The second is searched without decoding and without the
// rule that matches the name beside a value: these take most of the time, and would only find what everybody can download
// with the package.
const (
	ownLayers      = "own"
	packagedLayers = "packaged"
)

// genericRule is Gitleaks' only rule that matches the name beside a value rather than the value's form.
const genericRule = "generic-api-key"

// closed are library paths whose files Gitleaks skips by its own rules. They are not copied for it, unless the makers' own
// wheel brought them.
var closed = regexp.MustCompile(`(?i:(?:^|/)lib(?:64)?/python[23](?:\.\d{1,2})+/|(?:^|/)(?:v?env|virtualenv)/lib(?:64)?/)|` +
	`(?:^|/)(?:node_modules|bower_components)/|(?i:(?:^|/)[a-z0-9_.]+-[0-9.]+\.dist-info/)`)

// renamed is the directory in a layer's archive for files that Gitleaks would skip because of their names.
const renamed = "openstack-rca-renamed/"

// neutral returns a name that Gitleaks opens, original the file's name in its layer.
func neutral(name string) string {
	if !byName.MatchString(name) {
		return name
	}
	return renamed + hex.EncodeToString([]byte(name)) + ".txt"
}

func original(file string) string {
	layer, inner, _ := strings.Cut(file, "!"+renamed)
	name, err := hex.DecodeString(strings.TrimSuffix(inner, ".txt"))
	if err != nil || inner == "" {
		return file
	}
	return layer + "!" + string(name)
}

// sorted has the files of an image's layers, by how they are searched.
type sorted struct {
	Own, Packaged, Closed int
	// Records are the files of a distribution that list installed packages.
	Records []string
}

// sortLayers reads each layer twice and writes its files into to/own and to/packaged, as NN.tar. Files of unknown origin are
// treated as the makers' own; without package records these are all files. Files of a layer are compared with the records of
// all layers.
func sortLayers(dir, to string) (s sorted, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return s, err
	}
	r := origins{sums: map[string][]recorded{}, local: map[string]bool{}}
	for _, file := range files {
		err := eachFile(file, func(name string, header *tar.Header, content io.Reader) error {
			if recordOf(name) != "" && !slices.Contains(s.Records, name) {
				s.Records = append(s.Records, name)
			}
			return r.read(name, header, content)
		})
		if err != nil {
			return s, err
		}
	}
	for _, folder := range []string{ownLayers, packagedLayers} {
		if err := os.MkdirAll(filepath.Join(to, folder), 0o755); err != nil { //nolint:gosec // the image is not secret
			return s, err
		}
	}
	var group sync.WaitGroup
	parts, errs := make([]sorted, len(files)), make([]error, len(files))
	slots := make(chan struct{}, side)
	for i, file := range files {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := parts[i].layer(file, to, r); err != nil {
				errs[i] = fmt.Errorf("%s: %w", filepath.Base(file), err)
			}
		})
	}
	group.Wait()
	for _, part := range parts {
		s.Own, s.Packaged, s.Closed = s.Own+part.Own, s.Packaged+part.Packaged, s.Closed+part.Closed
	}
	return s, errors.Join(errs...)
}

// origins are the packages' records about their files.
type origins struct {
	// sums are the recorded checksums by path; local are wheels that were installed from a file or a repository.
	sums  map[string][]recorded
	local map[string]bool
}

// recorded is a package's checksum of a file: an MD5 by Debian or a SHA-256 by a wheel.
type recorded struct{ sum, by string }

// maxRecord limits the size of a package's list of files.
const maxRecord = 32 << 20

// read parses a file if it is a record.
func (r origins) read(name string, header *tar.Header, content io.Reader) error {
	folder, base := path.Split(name)
	debian := folder == "var/lib/dpkg/info/" && path.Ext(base) == ".md5sums"
	wheel := strings.HasSuffix(folder, ".dist-info/")
	switch {
	case wheel && base == "direct_url.json":
		r.local[folder] = true
		return nil
	case !debian && (!wheel || base != "RECORD") || header.Size > maxRecord:
		return nil
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if debian {
		// On a system with merged /usr, files that packages record in /bin and /lib are below /usr.
		for line := range strings.Lines(string(text)) {
			if sum, file, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
				r.sums[file] = append(r.sums[file], recorded{sum, ""})
				r.sums["usr/"+file] = append(r.sums["usr/"+file], recorded{sum, ""})
			}
		}
		return nil
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil {
		return nil //nolint:nilerr // an unreadable record exempts nothing
	}
	for _, row := range rows {
		if sum, ok := strings.CutPrefix(row[min(1, len(row)-1)], "sha256="); ok {
			file := path.Join(folder, "..", row[0])
			r.sums[file] = append(r.sums[file], recorded{sum, folder})
		}
	}
	return nil
}

// brought reports whether a package contains this version of a file.
func (r origins) brought(name string, content []byte) bool {
	old, sum := md5.Sum(content), sha256.Sum256(content) //nolint:gosec // it is what dpkg records
	of := []string{hex.EncodeToString(old[:]), base64.RawURLEncoding.EncodeToString(sum[:])}
	return slices.ContainsFunc(r.sums[name], func(one recorded) bool { return !r.local[one.by] && slices.Contains(of, one.sum) })
}

// ours reports whether a file comes from a wheel that was installed from a file or a repository, and so from the makers.
func (r origins) ours(name string) bool {
	return slices.ContainsFunc(r.sums[name], func(one recorded) bool { return r.local[one.by] })
}

// maxPackaged limits the files that are held in memory for comparison; larger ones are searched completely.
const maxPackaged = 32 << 20

// layer sorts the files of one layer.
func (s *sorted) layer(file, to string, r origins) (err error) {
	own := archive{name: filepath.Join(to, ownLayers, filepath.Base(file))}
	packaged := archive{name: filepath.Join(to, packagedLayers, filepath.Base(file))}
	defer func() { err = errors.Join(err, own.close(), packaged.close()) }()
	return eachFile(file, func(name string, header *tar.Header, content io.Reader) error {
		switch {
		case closed.MatchString(name) && !r.ours(name):
			s.Closed++
			return nil
		case r.sums[name] == nil || header.Size > maxPackaged:
			s.Own++
			return own.add(neutral(header.Name), header.Size, content)
		}
		held, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		if r.brought(name, held) {
			s.Packaged++
			return packaged.add(header.Name, header.Size, bytes.NewReader(held))
		}
		s.Own++
		return own.add(neutral(header.Name), header.Size, bytes.NewReader(held))
	})
}

// archive is a tar file that is created with its first file.
type archive struct {
	name string
	file *os.File
	to   *tar.Writer
}

func (a *archive) add(name string, size int64, content io.Reader) error {
	if a.to == nil {
		f, err := os.Create(a.name)
		if err != nil {
			return err
		}
		a.file, a.to = f, tar.NewWriter(f)
	}
	// Only name and content, so that equal files give equal bytes and a cached result is found.
	if err := a.to.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(a.to, content)
	return err
}

func (a *archive) close() error {
	if a.to == nil {
		return nil
	}
	return errors.Join(a.to.Close(), a.file.Close())
}

// eachFile visits the non-empty regular files of an archive.
func eachFile(file string, visit func(name string, header *tar.Header, content io.Reader) error) (err error) {
	f, err := os.Open(file) //nolint:gosec // below a directory of this process
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !header.FileInfo().Mode().IsRegular() || header.Size == 0 {
			continue
		}
		if err := visit(strings.TrimPrefix(path.Clean(header.Name), "/"), header, archive); err != nil {
			return err
		}
	}
}

// side is how many layers are sorted and searched concurrently; each uses one thread.
const side = 2

// search runs Gitleaks on each layer separately, so that an engine can cache the result per layer. It writes to its own
// stage, because it runs concurrently with the comparison of packages.
func (a secretSearch) search(ctx context.Context, dir string) (seen layersSeen, ok bool) {
	to := filepath.Join(a.Scratch, "sorted")
	var err error
	if seen.Sorted, err = sortLayers(dir, to); err != nil {
		a.fail(ImageUnreadable, "read layers: %v", err)
		return seen, false
	}
	defer func() {
		if err := os.RemoveAll(to); err != nil {
			a.fail(ImageUnreadable, "remove what was sorted: %v", err)
		}
	}()
	files, err := a.Import(to)
	if err != nil {
		a.fail(ImageUnreadable, "read layers: %v", err)
		return seen, false
	}
	names, err := files.List(ctx)
	if err != nil {
		a.fail(ImageUnreadable, "list layers: %v", err)
		return seen, false
	}
	if len(names) == 0 { // planted secrets must always be found
		report, ok := a.reported(ctx, files, inLayers, copies{})
		seen.Reports = [][]secrets.Finding{report}
		return seen, ok
	}
	slices.Sort(names)
	parts := make([]secretSearch, len(names))
	seen.Reports = make([][]secrets.Finding, len(names))
	looked := make([]bool, len(names))
	var group sync.WaitGroup
	slots := make(chan struct{}, side)
	for i, name := range names {
		parts[i] = secretSearch{&audit{Input: a.Input, runner: a.runner, stage: verdict.Stage{Name: a.stage.Name}}}
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			folder, layer := path.Split(name)
			how := inLayers
			if folder == packagedLayers+"/" {
				how = byForm
			}
			seen.Reports[i], looked[i] = parts[i].reported(ctx, files.Sub(path.Clean(folder)).Filter([]string{layer}, nil), how, copies{})
		})
	}
	group.Wait()
	for i, part := range parts {
		if !looked[i] { // a problem of one layer is a problem of all
			a.problems = append(a.problems, part.problems...)
			return seen, false
		}
	}
	return seen, true
}

// inLayersFound judges the findings in the layers.
func (s *scan) inLayersFound(seen layersSeen, searched bool) {
	search := secretSearch{s.audit}
	var all []secrets.Finding
	for _, report := range seen.Reports {
		if !searched {
			break
		}
		found, believed := search.believed(report, copies{})
		all, searched = append(all, found...), believed
	}
	s.stage.Gate("planted secret", seenText(searched), "found", searched)
	if !searched {
		return
	}
	s.stage.Add("files of layers searched for secrets", plural(seen.Sorted.Own, "file"))
	s.stage.Add("files that packages brought unchanged", plural(seen.Sorted.Packaged, "file")+
		", searched without "+genericRule+" and without decoding")
	s.stage.Add("files of libraries, which gitleaks does not open", plural(seen.Sorted.Closed, "file"))
	search.secretsFound(ImageSecret, secrets.Judge(all, s.Config.Security.AllowSecrets, s.Now))
}

package supply

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // it is what dpkg records
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

// The folders into which layers are sorted: what the image's makers put there, and what a package of Debian
// or a wheel of an index brought and nobody changed. The first is searched in full; the second without the
// rule that goes by the name beside a value, and without decoding, which take most of the time and find what
// everybody has who can install the package.
const (
	ownLayers      = "own"
	packagedLayers = "packaged"
)

// genericRule is the only rule of Gitleaks that goes by the name beside a value, and not by the form of
// the value.
const genericRule = "generic-api-key"

// closed are the paths of libraries, whose files Gitleaks does not open, by its own rules; they are not copied
// for it, unless the makers' own wheel brought them.
var closed = regexp.MustCompile(`(?i:(?:^|/)lib(?:64)?/python[23](?:\.\d{1,2})+/|(?:^|/)(?:v?env|virtualenv)/lib(?:64)?/)|` +
	`(?:^|/)(?:node_modules|bower_components)/|(?i:(?:^|/)[a-z0-9_.]+-[0-9.]+\.dist-info/)`)

// renamed is the folder in a layer's archive of files that Gitleaks would skip for their names.
const renamed = "openstack-rca-renamed/"

// neutral is a name that Gitleaks opens, original the name that the file has in its layer.
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

// sorted are the files of an image's layers, by how they are searched.
type sorted struct {
	Own, Packaged, Closed int
	// Records are the files of a distribution that say what is installed.
	Records []string
}

// sortLayers reads each layer twice and writes its files into to/own and to/packaged, each as NN.tar. What
// cannot be told apart is the makers' own: without records all of it. The files of a layer are compared with
// the records of all layers.
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
		if err := os.MkdirAll(filepath.Join(to, folder), 0o755); err != nil { //nolint:gosec // the image is no secret
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

// origins are what packages say of the files that they brought.
type origins struct {
	// sums are those of a path; local are the wheels that came from a file or a repository.
	sums  map[string][]recorded
	local map[string]bool
}

// recorded is the sum that a package has of a file: an MD5 of Debian's or a SHA-256 of a wheel's.
type recorded struct{ sum, by string }

// maxRecord bounds the record of a package's files.
const maxRecord = 32 << 20

// read reads a file, if it is a record.
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
		// A system with /usr merged has there what its packages record in /bin and /lib.
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
		return nil //nolint:nilerr // a record that cannot be read excuses nothing
	}
	for _, row := range rows {
		if sum, ok := strings.CutPrefix(row[min(1, len(row)-1)], "sha256="); ok {
			file := path.Join(folder, "..", row[0])
			r.sums[file] = append(r.sums[file], recorded{sum, folder})
		}
	}
	return nil
}

// brought reports whether a package brought the content of a file.
func (r origins) brought(name string, content []byte) bool {
	old, sum := md5.Sum(content), sha256.Sum256(content) //nolint:gosec // it is what dpkg records
	of := []string{hex.EncodeToString(old[:]), base64.RawURLEncoding.EncodeToString(sum[:])}
	return slices.ContainsFunc(r.sums[name], func(one recorded) bool { return !r.local[one.by] && slices.Contains(of, one.sum) })
}

// ours reports whether a wheel that came from a file or a repository, and so from the makers, brought a file.
func (r origins) ours(name string) bool {
	return slices.ContainsFunc(r.sums[name], func(one recorded) bool { return r.local[one.by] })
}

// maxPackaged bounds a file that is held in memory to be compared; a larger one is searched in full.
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

// archive is a tar that is written when it has its first file.
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
	// Nothing but name and content: equal files give equal bytes, and so an answer that is known.
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

// eachFile visits the regular files of an archive that are not empty.
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

// side is how many layers are sorted and searched side by side: both use one thread for each.
const side = 2

// search lets Gitleaks look at every layer by itself: an engine knows the result of one that it has searched
// before. It writes to a stage of its own, as it runs beside the comparison of packages.
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
	if len(names) == 0 { // what is planted must be found all the same
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
		if !looked[i] { // what one layer lacks, the others lack too
			a.problems = append(a.problems, part.problems...)
			return seen, false
		}
	}
	return seen, true
}

// inLayersFound judges what was found in the layers.
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

package supply

import (
	"archive/tar"
	"crypto/md5" //nolint:gosec // it is what dpkg records
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
)

// genericRule is the only rule of Gitleaks that goes by the name beside a value, and not by the form of
// the value. Only its findings are excused by a package.
const genericRule = "generic-api-key"

// maxRecord bounds the record of a package's files.
const maxRecord = 32 << 20

// published are those findings in layers that are in files as a package of Debian or a wheel of an index
// brought them, by the package's own record of their digests. dir has the layers, as NN.tar.
func published(dir string, found []secrets.Finding) ([]secrets.Finding, error) {
	wanted := map[string]bool{}
	for _, f := range found {
		if layer, name, ok := strings.Cut(f.File, "!"); ok && f.Rule == genericRule && !strings.Contains(name, "!") {
			wanted[layer+"!"+name] = true
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return nil, err
	}
	r := ownership{wanted: wanted, recorded: map[string][]string{}, local: map[string]bool{}, sums: map[string][2]string{}}
	for _, file := range files {
		if err := r.read(file); err != nil {
			return nil, err
		}
	}
	var known []secrets.Finding
	for _, f := range found {
		if wanted[f.File] && f.Rule == genericRule && r.has(f.File) {
			known = append(known, f)
		}
	}
	return known, nil
}

// ownership is what packages say of their files, and what the wanted ones are.
type ownership struct {
	// wanted are files as NN.tar!path.
	wanted map[string]bool
	// recorded are the sums that packages have for a path, each with its package; local are the packages
	// that did not come from an index.
	recorded map[string][]string
	local    map[string]bool
	// sums are the MD5 and SHA-256 of the wanted files.
	sums map[string][2]string
}

func (r *ownership) has(file string) bool {
	_, name, _ := strings.Cut(file, "!")
	for _, entry := range r.recorded[name] {
		sum, by, _ := strings.Cut(entry, " ")
		if !r.local[by] && (sum == r.sums[file][0] || sum == r.sums[file][1]) {
			return true
		}
	}
	return false
}

// read reads a layer.
func (r *ownership) read(file string) error {
	return eachFile(file, func(header *tar.Header, archive io.Reader) error {
		name := strings.TrimPrefix(path.Clean(header.Name), "/")
		info := path.Dir(name)
		switch key := filepath.Base(file) + "!" + name; {
		case r.wanted[key]:
			// The name as Gitleaks has it may have another form than the archive's; then it stays a finding.
			old, sum := md5.New(), sha256.New() //nolint:gosec // it is what dpkg records
			if _, err := io.Copy(io.MultiWriter(old, sum), archive); err != nil {
				return err
			}
			r.sums[key] = [2]string{hex.EncodeToString(old.Sum(nil)), base64.RawURLEncoding.EncodeToString(sum.Sum(nil))}
		case header.Size > maxRecord:
		case info == "var/lib/dpkg/info" && strings.HasSuffix(name, ".md5sums"):
			content, err := io.ReadAll(archive)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(content)) {
				if sum, path, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
					r.recorded[path] = append(r.recorded[path], sum+" dpkg")
				}
			}
		case strings.HasSuffix(info, ".dist-info") && path.Base(name) == "direct_url.json":
			r.local[info] = true
		case strings.HasSuffix(info, ".dist-info") && path.Base(name) == "RECORD":
			reader := csv.NewReader(archive)
			reader.FieldsPerRecord = -1
			rows, err := reader.ReadAll()
			if err != nil {
				return nil //nolint:nilerr // it excuses nothing
			}
			for _, row := range rows {
				if sum, ok := strings.CutPrefix(row[min(1, len(row)-1)], "sha256="); ok {
					inner := path.Join(path.Dir(info), row[0])
					r.recorded[inner] = append(r.recorded[inner], sum+" "+info)
				}
			}
		}
		return nil
	})
}

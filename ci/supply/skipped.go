package supply

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
)

// byName matches files that Gitleaks skips by name although they may be text of the source: a directory gitleaks.toml/ would
// hide everything in it, and settings.bin itself.
var byName = regexp.MustCompile(`gitleaks\.toml|verification-metadata\.xml|Database.refactorlog|(?:^|/)vendor/|` +
	`(?i)\.(?:svg|bin|socket|vsidx|v2|suo|wsuo|.dll|pdb|exe|gltf|gem)$|` +
	`(?:^|/)node_modules/|(?:^|/)bower_components/|(?:^|/)(?:v?env|virtualenv)/lib|(?:^|/)lib(?:64)?/python|(?:^|/)python/[23]|\.dist-info/|` +
	`(?:^|/)(?:angular|bootstrap|jquery|plotly|swagger)[^/]*\.js(?:\.map)?$|(?:^|/)javascript\.json$|(?:^|/)(?:gradlew|mvnw)|` +
	`(?:^|/)MavenWrapperDownloader\.java$|go\.(?:mod|work)$`)

// zipped matches zip archives used by Python and machine learning. Gitleaks recognises archives by name, and takes these for
// single binary files.
var zipped = regexp.MustCompile(`(?i)\.(?:npz|keras|pt|pth|mar|whl|egg|pyz|jar|docx|xlsx|pptx|od[tsp])$`)

// closedFormats match files that Gitleaks skips and that are not copied for it: pictures, fonts, documents, and tools' locks,
// whose digests look like secrets.
var closedFormats = regexp.MustCompile(`(?i)\.(?:bmp|gif|jpe?g|png|tiff?|eot|[ot]tf|woff2?|doc|xls|pdf)$|go\.(?:work\.)?sum$|` +
	`(?:^|/)(?:gradle\.lockfile|deno\.lock|npm-shrinkwrap\.json|package-lock\.json|pnpm-lock\.yaml|yarn\.lock|Pipfile\.lock|poetry\.lock)$`)

// Limits of what is copied, in bytes: per file, per archive, and in total.
const (
	maxCopies    = 2000
	copyLimit    = 2 << 20
	archiveLimit = 32 << 20
	copiesLimit  = 256 << 20
)

// copies are files that Gitleaks would skip because of their name, under other names.
type copies struct {
	files map[string][]byte
	names map[string]string
	// left is the number of further ones.
	left int
}

// copied reads the source files that Gitleaks would skip.
func copied(ctx context.Context, source runner.Files, names []string) copies {
	c, total := copies{files: map[string][]byte{}, names: map[string]string{}}, 0
	for _, name := range names {
		archive, limit := zipped.MatchString(name), int64(copyLimit)
		switch {
		case archive:
			limit = archiveLimit
		case closedFormats.MatchString(name):
			c.left++
			continue
		case !byName.MatchString(name):
			continue
		}
		if len(c.files) == maxCopies || total > copiesLimit {
			c.left++
			continue
		}
		content, err := source.Read(ctx, name, limit)
		if err != nil {
			c.left++
			continue
		}
		total += len(content)
		other := fmt.Sprintf("copies/%05d.txt", len(c.files))
		if archive && bytes.HasPrefix(content, []byte("PK")) {
			other = fmt.Sprintf("copies/%05d.zip", len(c.files))
		}
		c.files[searched+"/"+other], c.names[other] = content, name
	}
	return c
}

// original replaces the file name in a finding by the one in the source.
func (c copies) original(f secrets.Finding) (secrets.Finding, bool) {
	file, inner, archive := strings.Cut(f.File, "!")
	name, is := c.names[file]
	if f.File = name; archive {
		f.File += "!" + inner
	}
	return f, is
}

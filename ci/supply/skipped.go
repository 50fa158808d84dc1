package supply

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
)

// byName are the names whose files Gitleaks does not open, by its own rules, and that may be text of the
// source all the same: a folder gitleaks.toml/ would hide all that is in it. Not among them are the locks
// of other tools, whose digests look like secrets, and formats that are no text.
var byName = regexp.MustCompile(`gitleaks\.toml|verification-metadata\.xml|Database.refactorlog|(?i)\.svg$|(?:^|/)vendor/|` +
	`(?:^|/)node_modules/|(?:^|/)bower_components/|(?:^|/)(?:v?env|virtualenv)/lib|(?:^|/)lib(?:64)?/python|(?:^|/)python/[23]|\.dist-info/|` +
	`(?:^|/)(?:angular|bootstrap|jquery|plotly|swagger)[^/]*\.js(?:\.map)?$|(?:^|/)javascript\.json$|(?:^|/)(?:gradlew|mvnw)`)

// The bounds of what is copied.
const (
	maxCopies = 2000
	copyLimit = 2 << 20
)

// copies are files that Gitleaks would skip for their name, under other names.
type copies struct {
	files map[string][]byte
	names map[string]string
	// left is how many there are besides.
	left int
}

// copied reads the files of the source that Gitleaks would skip.
func copied(ctx context.Context, source runner.Files, names []string) copies {
	c := copies{files: map[string][]byte{}, names: map[string]string{}}
	for _, name := range names {
		if !byName.MatchString(name) {
			continue
		}
		content, err := source.Read(ctx, name, copyLimit)
		if err != nil || len(c.files) == maxCopies {
			c.left++
			continue
		}
		other := fmt.Sprintf("copies/%05d.txt", len(c.files))
		c.files[searched+"/"+other], c.names[other] = content, name
	}
	return c
}

// original gives a finding the name that its file has in the source.
func (c copies) original(f secrets.Finding) (secrets.Finding, bool) {
	file, inner, archive := strings.Cut(f.File, "!")
	name, is := c.names[file]
	if f.File = name; archive {
		f.File += "!" + inner
	}
	return f, is
}

package pyenv

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAFileThatGitLFSDidNotFetchIsNamed(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
	for attributes, found := range map[string]bool{
		"*.joblib filter=lfs diff=lfs merge=lfs -text\n": true, "m/*.joblib filter=lfs": true, "/m/** filter=lfs": true, "**/*.joblib\tfilter=lfs": true,
		"*.joblib text": false, "# *.joblib filter=lfs": false, "/*.joblib filter=lfs": false, "": false,
	} {
		p := detectFor(t, verdict.Train, map[string]string{".gitattributes": "*.sh eol=lf\n" + attributes, "m/a.joblib": pointer, "requirements.txt": "six"})
		assert.Equal(t, found, len(p.Findings) > 0, attributes)
		if found {
			assert.Equal(t, For(verdict.Train, LFSPointer), p.Findings[0].Code)
			assert.Contains(t, p.Findings[0].Cause, "m/a.joblib is a pointer")
		}
	}
	fetched := detectFor(t, verdict.Train, map[string]string{".gitattributes": "* filter=lfs", "a": strings.Repeat("x", 2<<10), "b": "small", "requirements.txt": "six"})
	assert.Empty(t, fetched.Findings)
}

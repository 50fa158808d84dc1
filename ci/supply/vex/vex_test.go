package vex

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const document = `{"@context":"https://openvex.dev/ns/v0.2.0","author":"us","timestamp":"2026-11-01T00:00:00Z","version":1,"statements":[
{"vulnerability":{"name":"CVE-2026-1","aliases":["GHSA-a"]},"products":[{"@id":"pkg:oci/app@sha256:aa","subcomponents":[{"@id":"pkg:pypi/jinja2@3.1.0"}]}],
"status":"not_affected","justification":"vulnerable_code_not_in_execute_path","impact_statement":"templates\ncome from us"},
{"vulnerability":{"name":"CVE-2026-2"},"products":[{"@id":"pkg:deb/debian/openssl?distro=debian-12"}],"status":"affected"}]}`

func TestRead(t *testing.T) {
	all, err := Read([]byte(document), "image")
	require.NoError(t, err)
	require.Len(t, all, 2, "both names of the first, nothing of what is affected")
	assert.Equal(t, "CVE-2026-1", all[0].ID)
	assert.Equal(t, "GHSA-a", all[1].ID)
	assert.Equal(t, "jinja2", all[0].Package)
	assert.Equal(t, "3.1.0", all[0].Version)
	assert.Equal(t, "image", all[0].In)
	assert.Equal(t, "vulnerable_code_not_in_execute_path templates come from us", all[0].Reason)
	assert.Equal(t, "2027-04-30", all[0].Until)
	first := `{"@context":"https://openvex.dev/ns","timestamp":"2026-11-01T00:00:00Z","statements":[{"vulnerability":"CVE-1","products":["pkg:deb/debian/lib%2Bx"],` +
		`"status":"not_affected","impact_statement":"no"}]}`
	all, err = Read([]byte(first), "locks")
	require.NoError(t, err)
	assert.Equal(t, "lib+x", all[0].Package)
	for name, change := range map[string][2]string{
		"no JSON": {document, "no"}, "another format": {"https://openvex.dev/ns/v0.2.0", "https://cyclonedx.org"},
		"a word that is no status": {"not_affected", "harmless"}, "no reason": {`"justification":"vulnerable_code_not_in_execute_path","impact_statement":"templates\ncome from us"`, `"x":1`},
		"no time": {`"timestamp":"2026-11-01T00:00:00Z",`, ""}, "no package": {"pkg:pypi/jinja2@3.1.0", "jinja2"},
		"an image alone": {`,"subcomponents":[{"@id":"pkg:pypi/jinja2@3.1.0"}]`, ""}, "another type": {`"statements":[`, `"statements":{"x":[`},
	} {
		_, err := Read([]byte(strings.Replace(document, change[0], change[1], 1)), "locks")
		require.ErrorContains(t, err, "read VEX", name)
	}
}

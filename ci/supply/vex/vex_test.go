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
	read, err := Read([]byte(document), "image")
	require.NoError(t, err)
	all := Exceptions(read)
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
	read, err = Read([]byte(first), "locks")
	require.NoError(t, err)
	assert.Equal(t, "lib+x", Exceptions(read)[0].Package)
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

// TestTheLatestStatementCounts has what an earlier statement and a later one say, and whether the exception stays.
func TestTheLatestStatementCounts(t *testing.T) {
	const not, affected = `"status":"not_affected","justification":"component_not_present"`, `"status":"affected"`
	const looked, fixed = `"status":"under_investigation"`, `"status":"fixed"`
	statement := func(names, time, product, status string) string {
		return `{"vulnerability":` + names + `,"timestamp":"` + time + `","products":[` + product + `],` + status + `}`
	}
	const cve, ghsa, both = `{"name":"CVE-2026-1"}`, `{"name":"GHSA-a"}`, `{"name":"GHSA-A","aliases":["CVE-2026-1"]}`
	const march, may = "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z"
	const other = `{"@id":"pkg:oci/b@sha256:bb"}`
	const web, app = `{"@id":"pkg:pypi/a.web@1.0"}`, `{"@id":"pkg:oci/app@sha256:aa","subcomponents":[{"@id":"pkg:pypi/a-web@1.0"}]}`
	for name, c := range map[string]struct {
		statements []string
		stays      bool
	}{
		"affected later":              {[]string{statement(cve, march, web, not), statement(cve, may, web, affected)}, false},
		"affected later, above":       {[]string{statement(cve, may, web, affected), statement(cve, march, web, not)}, false},
		"affected later, by an alias": {[]string{statement(both, march, web, not), statement(cve, may, web, affected)}, false},
		"an alias is affected later":  {[]string{statement(ghsa, march, web, not), statement(both, may, web, affected)}, false},
		"looked into again":           {[]string{statement(cve, march, web, not), statement(cve, may, web, looked)}, false},
		"affected below, of one time": {[]string{statement(cve, may, web, not), statement(cve, may, web, affected)}, false},
		"affected above, of one time": {[]string{statement(cve, may, web, affected), statement(cve, may, web, not)}, true},
		"affected before":             {[]string{statement(cve, march, web, affected), statement(cve, may, web, not)}, true},
		"affected in the product":     {[]string{statement(cve, march, web, not), statement(cve, may, app, affected)}, false},
		"the product is affected": {[]string{statement(cve, march, app, not),
			statement(cve, may, `{"@id":"pkg:oci/app@sha256:bb?tag=2"}`, affected)}, false},
		"another product is":       {[]string{statement(cve, march, app, not), statement(cve, may, other, affected)}, true},
		"another version is":       {[]string{statement(cve, march, web, not), statement(cve, may, `{"@id":"pkg:pypi/a.web@2.0"}`, affected)}, true},
		"every version is":         {[]string{statement(cve, march, web, not), statement(cve, may, `{"@id":"pkg:pypi/a.web"}`, affected)}, false},
		"another package is":       {[]string{statement(cve, march, web, not), statement(cve, may, `{"@id":"pkg:pypi/b@1.0"}`, affected)}, true},
		"another vulnerability is": {[]string{statement(cve, march, web, not), statement(ghsa, may, web, affected)}, true},
		"fixed later":              {[]string{statement(cve, march, web, not), statement(cve, may, web, fixed)}, true},
	} {
		// Each statement is in a document of its own, then both in one.
		var apart []Statement
		for _, one := range c.statements {
			read, err := Read([]byte(`{"@context":"https://openvex.dev/ns/v0.2.0","statements":[`+one+`]}`), "locks")
			require.NoError(t, err, name)
			apart = append(apart, read...)
		}
		together, err := Read([]byte(`{"@context":"https://openvex.dev/ns/v0.2.0","statements":[`+strings.Join(c.statements, ",")+`]}`), "locks")
		require.NoError(t, err, name)
		assert.Equal(t, c.stays, len(Exceptions(apart)) > 0, name)
		assert.Equal(t, c.stays, len(Exceptions(together)) > 0, name)
	}
}

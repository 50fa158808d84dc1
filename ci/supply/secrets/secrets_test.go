package secrets

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

func TestRead(t *testing.T) {
	found, err := Read([]byte(`[{"RuleID":"generic-api-key","File":"scan/source/a.py","StartLine":3,"Secret":"REDACTED","Match":"key = REDACTED"}]`), "scan")
	require.NoError(t, err)
	assert.Equal(t, []Finding{{Rule: "generic-api-key", File: "source/a.py", Line: 3}}, found)
	assert.Equal(t, "source/a.py:3 (generic-api-key)", found[0].String())
	found[0].Commit = "0123456789abcdef"
	assert.Equal(t, "source/a.py:3 in commit 0123456789ab (generic-api-key)", found[0].String())
	found[0].Commit, found[0].Object = "", "0123456789abcdef"
	assert.Equal(t, "source/a.py:3 in object 0123456789ab of the history (generic-api-key)", found[0].String())
	none, err := Read([]byte("[]"), "scan")
	require.NoError(t, err)
	assert.Empty(t, none)
	for name, text := range map[string]string{
		"empty": "", "null": "null", "cut off": `[{"RuleID":"a","Secret":"the-value`, "an object": `{"runs":[]}`, "outside": `[{"RuleID":"a","File":"scan/../b"}]`,
		"no rule": `[{"File":"scan/a"}]`,
	} {
		_, err := Read([]byte(text), "scan")
		require.ErrorContains(t, err, "read report of gitleaks", name)
		assert.NotContains(t, err.Error(), "the-value")
	}
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	found := []Finding{{Rule: "r", File: "tests/data/a.txt", Line: 1}, {Rule: "r", File: "main.py", Line: 2}, {Rule: "s", File: "tests/data/a.txt", Line: 3}}
	allowed := func(until string) []config.AllowedSecret {
		return []config.AllowedSecret{{Rule: "r", Path: "tests/data/**", Reason: "made up", Until: until}}
	}
	v := Judge(found, allowed("2027-01-31"), now)
	assert.Len(t, v.Allowed, 1)
	assert.Equal(t, []Finding{found[1], found[2]}, v.Failed)
	ended := Judge(found, allowed("2026-11-28"), now)
	assert.Len(t, ended.Failed, 3)
	assert.Len(t, ended.Expired, 1)
	assert.Len(t, Judge(nil, allowed("2027-01-31"), now).Unused, 1)
	assert.Len(t, Judge(found, allowed("2028-01-31"), now).TooLong, 1)
}

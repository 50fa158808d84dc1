package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadRules(t *testing.T) {
	empty, err := LoadRules(nil, "rules.yaml")
	require.NoError(t, err)
	assert.Equal(t, Default().Security, empty, "without a rule, the defaults")
	rules, err := LoadRules([]byte("security:\n  severity: {medium: fail}\n  unfixed: fail\n"), "rules.yaml")
	require.NoError(t, err)
	assert.Equal(t, "fail", rules.Severity["medium"])
	assert.Equal(t, "fail", rules.Severity["critical"], "what is not named has its default")
	assert.Equal(t, "fail", rules.Unfixed)
	for content, want := range map[string]string{
		"severity: {high: note}":                                            "rules.yaml",
		"name: other":                                                       "rules.yaml: name: only security can be here",
		"security: {max_data_age: 8000h}":                                   "rules.yaml: security.max_data_age: only severity, unfixed, grace, allow can be here",
		"security: {severity: {high: maybe}}":                               "rules.yaml:1:",
		"security: {allow: [{id: CVE-2026-1, package: a, in: image}]}":      "an exception needs reason",
		"security: {}\nenvironments: {production: {security: {audit: []}}}": "rules.yaml: environments: only security can be here",
		"security: [":                           "rules.yaml",
		"security: {severity: {unknown: note}}": "may be critical",
	} {
		_, err := LoadRules([]byte(content), "rules.yaml")
		require.ErrorContains(t, err, want, content)
	}
}

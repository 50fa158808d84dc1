package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryCaseLoads(t *testing.T) {
	cases, err := LoadCases("cases")
	require.NoError(t, err)
	byKind, used, engine := map[string]int{}, map[string]bool{}, 0
	for _, c := range cases {
		byKind[c.Kind]++
		used[c.Servers] = true
		if c.Engine {
			engine++
		}
	}
	assert.GreaterOrEqual(t, len(cases)-byKind["control"], 150, "hostile or faulty")
	assert.GreaterOrEqual(t, engine, 20, "on an engine")
	assert.GreaterOrEqual(t, byKind["control"], 10, "without honest ones, failing always would do")
	for kind := range kinds {
		assert.GreaterOrEqual(t, byKind[kind], 5, kind)
	}
	for name := range behaviours {
		assert.True(t, used[name], "no case has servers that are %s", name)
	}
}

func TestALaxCaseIsRefused(t *testing.T) {
	known := map[string]bool{"TESTS_FAILED": true, "NO_TESTS": true, "TIMEOUT": true, "INTERNAL": true}
	const head = "title: t\nkind: K1\nbase: tiny\nrun: [test]\n"
	for name, c := range map[string]struct{ content, want string }{
		"no expectation":             {head, "expect.verdict"},
		"any verdict":                {head + "expect: {verdict: any}", "expect.verdict"},
		"several verdicts":           {head + "expect: {verdict: [fail, pass]}", "cannot unmarshal"},
		"a failure of any kind":      {head + "expect: {verdict: fail}", "expect.codes"},
		"too many codes":             {head + "expect: {verdict: fail, codes: [TESTS_FAILED, NO_TESTS, TIMEOUT, INTERNAL]}", "expect.codes"},
		"a code that does not exist": {head + "expect: {verdict: fail, codes: [TEST_FAILED]}", "TEST_FAILED"},
		"a pass that shows nothing":  {head + "expect: {verdict: pass}", "expect.says"},
		"a pass with a code":         {head + "expect: {verdict: pass, codes: [NO_TESTS], says: [passed]}", "a pass has no codes"},
		"a refusal without a text":   {head + "expect: {verdict: refused}", "expect.says"},
		"a text found everywhere":    {head + "expect: {verdict: pass, says: [a]}", "found everywhere"},
		"servers it does not have":   {head + "expect: {verdict: pass, says: [passed], committed: 1}", "servers that it does not have"},
		"unknown servers":            {"servers: liars\n" + head + "expect: {verdict: pass, says: [passed]}", "behaviours"},
		"an unknown key":             {head + "expects: {verdict: pass}", "expects"},
		"an unknown kind":            {"title: t\nkind: K9\nbase: tiny\nrun: [test]\nexpect: {verdict: pass, says: [passed]}", "kind"},
		"no title":                   {"kind: K1\nbase: tiny\nrun: [test]\nexpect: {verdict: pass, says: [passed]}", "no title"},
		"no base":                    {"title: t\nkind: K1\nrun: [test]\nexpect: {verdict: pass, says: [passed]}", "no base"},
		"no command":                 {"title: t\nkind: K1\nbase: tiny\nexpect: {verdict: pass, says: [passed]}", "without a command"},
		"a limit of hours":           {"limit: 2h\n" + head + "expect: {verdict: pass, says: [passed]}", "limit"},
		"a lax later call":           {head + "expect: {verdict: pass, says: [passed]}\nthen: [{run: [test], expect: {verdict: fail}}]", "expect.codes"},
		"a control that fails":       {strings.Replace(head, "K1", "control", 1) + "expect: {verdict: fail, codes: [NO_TESTS]}", "a control"},
		"one variant":                {"vary: {X: [a]}\n" + head + "expect: {verdict: pass, says: [passed]}", "two values"},
		"an odd entry":               {"special: {x: device}\n" + head + "expect: {verdict: pass, says: [passed]}", "not known"},
		"two documents":              {head + "expect: {verdict: pass, says: [passed]}\n---\n{}", "more than one document"},
		"no YAML":                    {"\t", "yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(c.content), known)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := parse([]byte(head+"expect: {verdict: fail, codes: [TESTS_FAILED]}"), known)
	assert.NoError(t, err)
}

func TestChoose(t *testing.T) {
	cases := []Case{{Name: "coverage-a", Engine: true}, {Name: "coverage-b"}, {Name: "policy-a"}}
	names := func(only string, engine bool) (names []string) {
		chosen, err := choose(cases, only, engine)
		require.NoError(t, err)
		for _, c := range chosen {
			names = append(names, c.Name)
		}
		return names
	}
	assert.Equal(t, []string{"coverage-a", "coverage-b"}, names("coverage-*", false))
	assert.Equal(t, []string{"coverage-a"}, names("*", true))
	assert.Equal(t, []string{"coverage-b", "policy-a"}, names("policy-a,*-b", false))
	for _, wrong := range []string{"nothing", "["} {
		_, err := choose(cases, wrong, false)
		assert.Error(t, err, wrong)
	}
}

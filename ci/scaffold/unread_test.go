package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTestsThatAreRunInSeveralCallsAreNotNarrowedToOne(t *testing.T) {
	p, cfg := propose(t, map[string]string{"Makefile": "test:\n\tpytest tests/unit && pytest tests/slow\n", "tests/unit/test_a.py": "", "tests/slow/test_b.py": ""})
	assert.Equal(t, []string{"python", "-m", "pytest", "tests/", "-v"}, cfg.Test.Command)
	assert.Contains(t, strings.Join(p.Found, "\n"), "Makefile runs tests in a way that is not taken over")
}

func TestAVariableThatLooksLikeASecretIsNotTakenOver(t *testing.T) {
	key := "AKIA" + "Q7NZ4M2KX5TR8WPL"
	p, cfg := propose(t, map[string]string{"Makefile": "test:\n\tACCESS=" + key + " pytest tests\n", "tests/test_a.py": ""})
	assert.Empty(t, cfg.Test.Vars)
	assert.NotContains(t, p.Config(), key)
	assert.NotContains(t, p.Text(nil, func(string) (string, bool) { return "", false }), key)
}

func TestTheMarkOfAWindowsEditorIsNoPartOfAFile(t *testing.T) {
	p, cfg := propose(t, map[string]string{"Dockerfile": "\ufeffFROM python:3.12\r\n", "app.py": "\ufeffimport numpy\n", "tests/test_a.py": ""})
	assert.Equal(t, "3.12", cfg.Python)
	assert.Contains(t, p.Unknown[0].What, "the code imports numpy")
}

func TestASourceOfCoverageIsWrittenAsThePipelineTakesIt(t *testing.T) {
	for given, want := range map[string][]string{"./": {"."}, "./app/": {"app"}} {
		_, cfg := propose(t, map[string]string{"Makefile": "test:\n\tpytest --cov=" + given + " tests\n", "app/__init__.py": "", "tests/test_a.py": ""})
		assert.Equal(t, want, cfg.Test.Coverage.Source, given)
	}
}

func TestRequirementsOfPowerShellDeclareWhatIsStarted(t *testing.T) {
	wide := "\xff\xfe"
	for _, c := range "fastapi\r\nuvicorn\r\n" {
		wide += string(c) + "\x00"
	}
	p, _ := propose(t, map[string]string{"app.py": "from fastapi import FastAPI\napp = FastAPI()\n", "requirements.txt": wide, "tests/test_a.py": ""})
	for _, unknown := range p.Unknown {
		assert.NotContains(t, unknown.What, "where uvicorn comes from")
	}
}

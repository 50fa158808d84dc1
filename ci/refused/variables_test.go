package refused

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheVariablesThatAreMissedAreNamed(t *testing.T) {
	for output, want := range map[string]string{
		">       key = os.getenv('API_KEY')\nE       assert None":                              "API_KEY",
		"    url = os.environ[\"database_url\"]\nE   KeyError: 'database_url'":                 "database_url",
		"AssertionError: API_KEY must be set in .env file or environment":                      "API_KEY",
		"decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a": "SECRET_KEY",
		"django.core.exceptions.ImproperlyConfigured: Set the DJANGO_KEY environment variable": "DJANGO_KEY",
		"ValueError: missing environment variable: TOKEN\n  os.environ.get('OTHER')":           "OTHER TOKEN",
		"    level = os.getenv('LEVEL', 'INFO')\nE   assert 1 == 2":                            "", // it has a default
		"    os.environ['HOME']\n    os.environ['GIVEN']":                                      "",
		"KeyError: 'API_KEY'":                "", // of any dictionary
		"the environment variables are fine": "",
		"":                                   "",
		"os.environ['A1'] os.environ['A2'] os.environ['A3'] os.environ['A4'] os.environ['A5'] os.environ['A6']": "A1 A2 A3 A4 A5",
	} {
		assert.Equal(t, want, strings.Join(Variables(output, map[string]string{"GIVEN": ""}), " "), output)
	}
	assert.Empty(t, Give(nil, "test.vars"))
	assert.Contains(t, Give([]string{"A"}, "test.vars"), "A is not set here")
	assert.Contains(t, Give([]string{"A", "B"}, "train.vars"), "A, B are not set here: no variable of this machine or of the CI system is passed "+
		"on. train.vars of pipeline.yaml")
}

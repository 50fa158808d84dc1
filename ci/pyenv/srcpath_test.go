package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSrcIsNotOnThePathWhereItHidesOtherModules(t *testing.T) {
	root, src := []string{"."}, []string{"src"}
	for sentence, c := range map[string]struct {
		names []string
		want  []string
	}{
		"a package":                          {[]string{"src/app/logging.py", "src/core.py"}, src},
		"a module of the standard library":   {[]string{"src/logging.py", "src/core.py"}, root},
		"a package of the standard library":  {[]string{"src/types/user.py"}, root},
		"one that nothing imports early":     {[]string{"src/statistics/a.py", "src/test/test_a.py"}, src},
		"a folder of the root, src imported": {[]string{"src/__init__.py", "src/monitoring.py", "monitoring/drift.py"}, root},
		"a file of the root, src imported":   {[]string{"src/__init__.py", "src/app/api.py", "app.py"}, src},
		"a package of the root":              {[]string{"src/__init__.py", "src/app.py", "app/__init__.py", "app/a.py"}, src},
		"a folder of the root":               {[]string{"src/app/api.py", "src/tests/test_a.py", "tests/test_b.py"}, src},
		"a folder without Python":            {[]string{"src/__init__.py", "src/data/a.py", "data/a.csv"}, src},
		"no file of Python":                  {[]string{"src/logging.js", "src/app.py"}, src},
	} {
		files := map[string]string{}
		for _, name := range c.names {
			files[name] = ""
		}
		assert.Equal(t, c.want, detect(t, files).PythonPath(), sentence)
	}
}

package pyenv

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// settings reads pytest's settings, and finds those without effect.
func (p *Project) settings(t *tree) {
	if p.Stage != verdict.Test {
		return
	}
	t.pytestSettings(&p.Stated)
	for _, c := range []struct{ file, ignored, read string }{
		{"pytest.ini", "tool:pytest", "pytest"},
		{".pytest.ini", "tool:pytest", "pytest"},
		{"tox.ini", "tool:pytest", "pytest"},
		{"setup.cfg", "pytest", "tool:pytest"},
	} {
		sections := parseINI(t.text(c.file))
		_, ignored := sections[c.ignored]
		_, read := sections[c.read]
		if ignored && !read {
			p.find(PytestConfigIgnored, "%s has its settings under [%s], which pytest ignores in this file: name the section [%s]",
				c.file, c.ignored, c.read)
		}
	}
	if t.toml.sub("pytest", "ini_options") != nil || t.toml.has("tool:pytest") {
		p.find(PytestConfigIgnored, "pyproject.toml has pytest's settings in a table that pytest ignores: name it [tool.pytest.ini_options]")
	}
}

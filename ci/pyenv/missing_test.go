package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAMissingPackageIsAddedWhereThePackagesComeFrom(t *testing.T) {
	const lacks = "E   ModuleNotFoundError: No module named 'sklearn.tree'\n"
	uv := map[string]string{"uv.lock": "version = 1\n[[package]]\nname = \"six\"\n", "pyproject.toml": "[project]\nname='a'\nversion='1'\ndependencies=['six']\n"}
	for sentence, c := range map[string]struct {
		files               map[string]string
		stage, output, want string
	}{
		"a file":            {map[string]string{"requirements.txt": "six\n"}, verdict.Test, lacks, "Add scikit-learn to requirements.txt"},
		"a lock of a file":  {map[string]string{"requirements.lock": "six==1 --hash=sha256:00\n"}, verdict.Test, lacks, "Add scikit-learn to what requirements.lock is locked from, and lock again"},
		"uv, for the tests": {uv, verdict.Test, lacks, "Add the missing package: uv add --dev scikit-learn"},
		"uv, for training":  {uv, verdict.Train, "No module named 'my_lib'", "Add the missing package: uv add my-lib"},
		"advice of a library": {map[string]string{"requirements.txt": "fastapi\n"}, verdict.Test,
			"E   RuntimeError: Form data requires \"python-multipart\" to be installed.\nE   You can install \"python-multipart\" with:\n\npip install python-multipart\n", "Add python-multipart to requirements.txt"},
		"advice with an extra":   {map[string]string{"requirements.txt": "a\n"}, verdict.Test, "ImportError: Try `pip install 'uvicorn[standard]'`", "Add uvicorn[standard] to requirements.txt"},
		"the last of two causes": {map[string]string{"requirements.txt": "a\n"}, verdict.Test, "No module named 'tomllib'\nDuring handling:\nNo module named 'tomli'", "Add tomli to requirements.txt"},
		"a file that is not installed": {map[string]string{"requirements.txt": "six\n", "requirements-prod.txt": "-r ml.txt\n", "ml.txt": "Scikit_Learn>1\n"}, verdict.Test, lacks,
			"Write test.requirements: [requirements.txt, requirements-prod.txt] into pipeline.yaml: requirements-prod.txt has scikit-learn"},
		"a file without it": {map[string]string{"requirements.txt": "six\n", "requirements-prod.txt": "-r gone.txt\nx\n"}, verdict.Test, lacks, "Add scikit-learn to requirements.txt"},
		"the file for tests of two": {map[string]string{"requirements-all.txt": "scikit-learn\n", "requirements-quality.txt": "-r requirements-all.txt\npytest\n"}, verdict.Test, lacks,
			"Write test.requirements: [requirements-quality.txt] into pipeline.yaml: requirements-quality.txt has scikit-learn"},
		"the other for training": {map[string]string{"requirements-all.txt": "-r requirements-any.txt\npytest\n", "requirements-any.txt": "scikit-learn\n"}, verdict.Train, lacks,
			"Write train.requirements: [requirements-any.txt] into pipeline.yaml: requirements-any.txt has scikit-learn"},
		"a file beside a group": {map[string]string{"pyproject.toml": "[project]\nname='a'\nversion='1'\n[dependency-groups]\ntest=['pytest']\n", "requirements-ml.txt": "scikit-learn\n"}, verdict.Test, lacks,
			`Write test.requirements: [pyproject.toml, ".[test]", requirements-ml.txt] into pipeline.yaml: requirements-ml.txt has scikit-learn`},
		"a file of another tool": {map[string]string{"requirements.txt": "six\n", "Pipfile": "[packages]\n", "noxfile.py": ""}, verdict.Test, lacks,
			"If one of Pipfile has scikit-learn, name that file under test.requirements of pipeline.yaml. Otherwise: Add scikit-learn to requirements.txt"},
		"an extra of setup.py": {map[string]string{"setup.py": "setup(extras_require={'test': ['pytest'], \"ml\": [\n 'numpy',\n \"scikit-learn>=1\"]})"}, verdict.Test, lacks,
			`Write test.requirements: [".[ml]"] into pipeline.yaml: extra ml has scikit-learn`},
		"a computed extra of setup.py": {map[string]string{"setup.py": "E = {'test': ['pytest'], 'x': ['six']}\nE['all'] = more()\nsetup(extras_require=E)"}, verdict.Test, lacks,
			`If one of the extras all has scikit-learn, write test.requirements: [".[NAME]"] into pipeline.yaml. Otherwise: Add scikit-learn to setup.py`},
		"a group that the lock does not have": {map[string]string{"uv.lock": uv["uv.lock"], "pyproject.toml": uv["pyproject.toml"] + "[tool.poetry.group.dev.dependencies]\nscikit-learn='*'\n"}, verdict.Test, lacks,
			"Add the missing package: uv add --dev scikit-learn"},
		"no declaration": {map[string]string{"a.py": ""}, verdict.Train, lacks, "Add scikit-learn to requirements.txt"},
		"a module of the source": {map[string]string{"requirements.txt": "six\n", "ml/data.py": ""}, verdict.Test, "No module named 'data'",
			"The source has data in ml, where Python does not look. Write into pipeline.yaml: test.vars: {PYTHONPATH: ml}"},
		"a module of its root": {map[string]string{"app.py": "", "x/y/app.py": "", "x/app/b.py": ""}, verdict.Train, "No module named 'app'",
			"The source has app in its root, where Python does not look. Write into pipeline.yaml: train.vars: {PYTHONPATH: .}"},
		"a part of a package of the source": {map[string]string{"requirements.txt": "six\n", "x/ml/data.py": ""}, verdict.Test, "No module named 'ml.data'", ""},
		"a fixture of a plugin":             {map[string]string{"requirements.txt": "six\n"}, verdict.Test, "E  fixture 'mocker' not found", "Add pytest-mock to requirements.txt"},
		"an option of a plugin":             {map[string]string{"requirements.txt": "six\n"}, verdict.Test, "error: unrecognized arguments: -n auto", "Add pytest-xdist to requirements.txt"},
		"asynchronous tests":                {uv, verdict.Test, "async def functions are not natively supported.", "Add the missing package: uv add --dev pytest-asyncio"},
		"a fixture of the project":          {map[string]string{"requirements.txt": "six\n"}, verdict.Test, "fixture 'shop' not found", ""},
		"another failure":                   {map[string]string{"requirements.txt": "six\n"}, verdict.Test, "AssertionError: pip", ""},
	} {
		assert.Equal(t, c.want, detectFor(t, c.stage, c.files).MissingNext(c.output), sentence)
	}
	assert.Empty(t, (*Project)(nil).MissingNext(lacks))
}

func TestALockThatIsOlderThanWhatIsDeclaredIsTold(t *testing.T) {
	declared := "[project]\nname='a-b'\nversion='1'\ndependencies=['six>=1', 'Fast_API[all]>=0.1', 'tomli; python_version < \"3.11\"', 'a_b[x]']\n[dependency-groups]\ndev=['pytest', {include-group='x'}]\nx=[]\n"
	for sentence, c := range map[string]struct {
		lock, toml, want string
	}{
		"uv":               {"uv.lock", declared, "uv.lock does not have fast-api, pytest, which pyproject.toml declares"},
		"uv, up to date":   {"uv.lock", "[project]\nname='a'\nversion='1'\ndependencies=['SIX']\n", ""},
		"Poetry":           {"poetry.lock", "[tool.poetry]\nname='a'\nversion='1'\n[tool.poetry.dependencies]\npython='^3.10'\nsix='*'\nhttpx='^0.2'\ntomli={version='*', python='<3.11'}\nz=[{version='1', python='<3.11'}]\n[tool.poetry.group.dev.dependencies]\npytest='*'\n", "poetry.lock does not have httpx, pytest, which pyproject.toml declares"},
		"PDM":              {"pdm.lock", declared, "pdm.lock does not have fast-api, pytest, which pyproject.toml declares"},
		"another's groups": {"requirements.txt", declared, ""},
	} {
		p := detectFor(t, verdict.Test, map[string]string{"pyproject.toml": c.toml, c.lock: map[bool]string{true: "six\n",
			false: "version = 1\n[[package]]\nname = \"six\"\nversion = \"1\"\n"}[c.lock == "requirements.txt"]})
		said := ""
		for _, f := range p.Findings {
			if f.Code.Name == LockStale.Name {
				said = f.Cause
				assert.Contains(t, f.Next, " lock", sentence)
			}
		}
		assert.Equal(t, c.want, said, sentence)
	}
	p := detectFor(t, verdict.Test, map[string]string{"pyproject.toml": declared, "uv.lock": "version = 1\n[[package]]\nname = \"six\"\n"})
	assert.Contains(t, p.MissingNext("No module named 'fast_api'"), "fast-api is not in uv.lock, which is older than what declares it. Lock again")
}

func TestALockOfPoetryWithoutHashesIsInstalled(t *testing.T) {
	const toml = "[tool.poetry]\nname='a'\nversion='1'\n[tool.poetry.dependencies]\nsix='*'\n"
	for lock, hashed := range map[string]bool{
		"[[package]]\nname = \"six\"\nversion = \"1\"\n[metadata.files]\nsix = []\n":                             false,
		"[[package]]\nname = \"six\"\nversion = \"1\"\nfiles = []\n":                                             false,
		"[[package]]\nname = \"six\"\nversion = \"1\"\n[metadata.files]\nsix = [{file='a', hash='sha256:00'}]\n": true,
		"[[package]]\nname = \"six\"\nversion = \"1\"\nfiles = [{file='a', hash='sha256:00'}]\n":                 true,
	} {
		p := detectFor(t, verdict.Test, map[string]string{"pyproject.toml": toml, "poetry.lock": lock})
		assert.Equal(t, hashed, p.Locked, lock)
	}
}

func TestAnOldReleaseThatMustBeBuiltAsksForANewerOne(t *testing.T) {
	const said = "error: Failed to build `scikit-learn==0.24.2`\n  cause: The build backend returned an error\n"
	for sentence, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a file": {map[string]string{"requirements.txt": "scikit-learn==0.24.2\n"},
			"scikit-learn 0.24.2 has no wheel for Python 3.12, and its source did not build: allow a newer version in requirements.txt"},
		"a lock": {map[string]string{"uv.lock": "version = 1\n", "pyproject.toml": "[project]\nname='a'\nversion='1'\n"},
			"scikit-learn 0.24.2 has no wheel for Python 3.12, and its source did not build: allow a newer version. Lock again, and correct what that names: uv lock; where uv is missing: pip install uv"},
	} {
		assert.Equal(t, c.want, detect(t, c.files).InstallNext(said), sentence)
	}
	assert.NotContains(t, detect(t, map[string]string{"requirements.txt": "x\n"}).InstallNext("error: Failed to build `file:///src`"), "newer")
}

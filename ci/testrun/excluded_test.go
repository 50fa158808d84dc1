package testrun

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAFileThatTheConfigurationHidesIsNamed(t *testing.T) {
	planned := &plan{source: []string{".gitignore", "README.md", "app.py", "docs/a/b.rst", "template/.env", "template/.gitignore", "tests/test_a.py"},
		names: []string{"app.py", "template/.gitignore", "tests/test_a.py"}}
	j := &testJudge{plan: planned, outcome: &outcome{events: &events{directory: "/src", tests: map[string]*eventTest{}}}}
	for message, want := range map[string]string{
		"FileNotFoundError: [Errno 2] No such file or directory: 'README.md'":            "README.md",
		"FileNotFoundError: [Errno 2] No such file or directory: '/src/tests/../docs/a'": "docs/a",
		"FileNotFoundError: [Errno 2] No such file or directory: '/src/docs'":            "docs",
		"FileNotFoundError: [Errno 2] No such file or directory: 'gone.md'":              "",
		"FileNotFoundError: [Errno 2] No such file or directory: '/etc/README.md'":       "",
		"FileNotFoundError: [Errno 2] No such file or directory: 'app.py'":               "",
		"At index 0 diff: PosixPath('.gitignore') != PosixPath('.env')":                  "template/.env",
		"Right contains one more item: PosixPath('b.rst')":                               "docs/a/b.rst",
		"assert [PosixPath('app.py')] == [PosixPath('/tmp/README.md')]":                  "",
		"assert 1 == 2": "",
	} {
		assert.Equal(t, want, j.hidden([]junit.Case{{Name: "x"}, {Name: "y", Message: message}}), message)
	}
	assert.Contains(t, unhide("README.md"), "exclude")
}

func TestTestsThatNeedTheTrainedModelAreToldSo(t *testing.T) {
	planned := &plan{source: []string{"app.py", "model/readme.txt"}, names: []string{"app.py"}}
	planned.in.Config = config.Default()
	j := &testJudge{plan: planned, outcome: &outcome{events: &events{directory: "/src", tests: map[string]*eventTest{}}}}
	for _, c := range []struct{ model, message, want string }{
		{"model/xgb.json", "FileNotFoundError: Model file not found: model/xgb.json. Please run train.py", "xgb.json"},
		{"models/*.keras", "ValueError: File not found: filepath=/tmp/w/models/a.keras. Please ensure", "a.keras"},
		{"**/m.pkl", "FileNotFoundError: [Errno 2] No such file or directory: 'artifacts/m.pkl'", "m.pkl"},
		{"m.onnx", "Load model from m.onnx failed: Load model m.onnx failed. File doesn't exist", "m.onnx"},
		{"m.onnx", "NoSuchFile: Load model from m.onnx failed: does not exist", "m.onnx"},
		{"model/readme.txt", "No such file: 'model/readme.txt'", ""},
		{"models/*.keras", "No such file or directory: 'data/x.csv'", ""},
		{"models/*.keras", "assert 'models/a.keras' == 1", ""},
	} {
		j.in.Config.Train.Model = c.model
		assert.Equal(t, c.want, j.untrained([]junit.Case{{Name: "x"}, {Name: "y", Message: c.message}}), c.message)
	}
	j.in.Config.Train.Command, j.in.Config.Test.Command = []string{"python", "train.py"}, []string{"python", "-m", "pytest"}
	assert.Contains(t, j.trainFirst("a"), `test.command: [sh, -c, "python train.py && python -m pytest"]`)
	j.in.Config.Train.Command = []string{"python", "-c", "print('x')"}
	assert.NotContains(t, j.trainFirst("a"), "sh, -c")
}

func TestAVariableThatAFailedTestMissesIsNamed(t *testing.T) {
	cfg := config.Default()
	cfg.Test.Vars = map[string]string{"GIVEN": "1"}
	j := &testJudge{plan: &plan{in: Input{Config: cfg}}, outcome: &outcome{events: &events{tests: map[string]*eventTest{
		"tests/test_a.py::test_b": {text: "    token = os.getenv('API_TOKEN')"},
	}}}}
	for _, c := range []struct {
		of   junit.Case
		want string
	}{
		{junit.Case{Name: "x", Message: "KeyError: 'DATABASE_URL'", Tail: []string{"    url = os.environ[\"DATABASE_URL\"]"}}, "DATABASE_URL is not set here"},
		{junit.Case{File: "tests/test_a.py", ClassName: "tests.test_a", Name: "test_b", Message: "assert None"}, "API_TOKEN is not set here"},
	} {
		p := &verdict.Problem{}
		j.lacking(p, []junit.Case{c.of})
		assert.Contains(t, p.Next, c.want)
		assert.Contains(t, p.Next, "test.vars of pipeline.yaml")
		assert.Contains(t, p.Next, "Then openstack-rca test --verbose --path")
	}
	p := &verdict.Problem{Next: "stays"}
	j.lacking(p, []junit.Case{{Name: "x", Message: "assert 1 == 2", Tail: []string{"os.environ['GIVEN']"}}})
	assert.Equal(t, "stays", p.Next)
}

func TestWhatAWorkflowGivesTheTestsIsTold(t *testing.T) {
	j := &testJudge{plan: &plan{in: Input{Config: config.Default()}, project: &pyenv.Project{Around: pyenv.Surroundings{
		From: ".github/workflows/ci.yml", Services: []string{"redis"}, Vars: map[string]string{"MODEL_DIR": "models"},
	}}}, outcome: &outcome{events: &events{tests: map[string]*eventTest{}}}}
	for message, want := range map[string]string{
		"Error 111 connecting to localhost:6379. Connection refused.": ".github/workflows/ci.yml starts redis beside the tests",
		`KeyError: os.environ["MODEL_DIR"]`:                           `.github/workflows/ci.yml sets it, so write test.vars: {MODEL_DIR: "models"}`,
		"assert 1 == 2":                                               "stays",
	} {
		p := &verdict.Problem{Next: "stays"}
		j.lacking(p, []junit.Case{{Name: "x", Message: message}})
		assert.Contains(t, p.Next, want)
	}
}

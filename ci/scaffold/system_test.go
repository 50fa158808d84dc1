package scaffold

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPackagesOfDebianAreTakenOver(t *testing.T) {
	for sentence, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a Dockerfile": {map[string]string{"Dockerfile": "FROM python:3.12-slim\nRUN apt-get update && \\\n  apt-get install -y --no-install-recommends \\\n" +
			"    build-essential libgomp1 \\\n    libpq-dev curl $EXTRA libgl1 && rm -rf /var/lib/apt/lists/*\n"}, []string{"libgomp1", "libgl1"}},
		"a workflow": {map[string]string{".github/workflows/ci.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: |\n          sudo apt-get -qq install -y libsndfile1 \\\n            ffmpeg\n          pytest\n"},
			[]string{"libsndfile1", "ffmpeg"}},
		"a job without tests": {map[string]string{".github/workflows/ci.yml": "on: push\njobs:\n  image:\n    steps:\n      - run: |\n          sudo apt-get install -y podman\n          make build\n"}, nil},
		"a source of somebody else": {map[string]string{"Dockerfile": "FROM python:3.12-slim\nRUN apt-get install -y libgl1\n" +
			"RUN curl x > /etc/apt/sources.list.d/a.list && apt-get install -y msodbcsql18\n"}, []string{"libgl1"}},
		"a list for a host":       {map[string]string{"packages.txt": "# fonts\nlibgl1  # OpenCV\ntesseract-ocr\n"}, []string{"libgl1", "tesseract-ocr"}},
		"a package that is known": {map[string]string{"app.py": "import lightgbm as lgb\n"}, []string{"libgomp1"}},
		"tools alone":             {map[string]string{"Dockerfile": "FROM python:3.12-slim\nRUN apt-get install -y gcc git python3-dev\n"}, nil},
		"another package manager": {map[string]string{"Dockerfile": "FROM alpine\nRUN apk add libgomp1\n"}, nil},
		"a file of another kind":  {map[string]string{"docs/packages.txt": "libgl1\n"}, nil},
	} {
		c.files["tests/test_a.py"] = ""
		_, cfg := propose(t, c.files)
		assert.ElementsMatch(t, c.want, cfg.SystemPackages, sentence)
	}
}

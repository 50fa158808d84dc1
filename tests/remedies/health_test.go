package remedies

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// served is a project whose application needs no library. It answers 503 for some seconds.
func served(health string) map[string]string {
	return app(map[string]string{
		"requirements.txt": "pytest\niniconfig\n",
		"fit.py": "import json, pathlib, pickle\npathlib.Path('m.pkl').write_bytes(pickle.dumps([1]))\n" +
			"pathlib.Path('scores.json').write_text(json.dumps({'accuracy': 0.9}))\n",
		"serve.py": `import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

began = time.time()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path in ("/", "/healthz")
        self.send_response(503 if time.time() < began + 3 else 200 if known else 404)
        self.end_headers()
        self.wfile.write(b"here" if known else b"not found")


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
`,
		"pipeline.yaml": `train: {command: [python, fit.py], model: m.pkl, metrics: scores.json, allow_formats: [pickle], recurrent: false}
image: {command: [python, serve.py, "{{port}}"], health: ` + health + `, script_health: "", model_dir: model}
`,
	})
}

// TestAWrongHealthPathIsCorrectedByTheRemedy, long before the budget of a start is spent.
func TestAWrongHealthPathIsCorrectedByTheRemedy(t *testing.T) {
	w := bench(t)
	source := write(t, served("/helthz"))
	began := time.Now()
	all := w.run(t, source, "image", "--ref", "main")
	before, ok := all["UNHEALTHY"]
	require.True(t, ok, "%v", all)
	assert.Less(t, time.Since(began), 80*time.Second)
	assert.Contains(t, before.Cause, "has no /helthz: status 404")
	health := regexp.MustCompile(`Set image\.health: (\S+) in pipeline\.yaml`).FindStringSubmatch(before.Next)
	require.NotNil(t, health, before.Next)
	config := filepath.Join(source, "pipeline.yaml")
	content, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(string(content), "/helthz", health[1], 1)), 0o644))
	after := w.run(t, source, "image", "--ref", "main")
	assert.NotContains(t, after, "UNHEALTHY")
	assert.Equal(t, "pass", after[""].Cause)
}

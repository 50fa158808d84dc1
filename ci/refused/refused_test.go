package refused

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheHostsOfAFailedConnectionAreNamed(t *testing.T) {
	for output, want := range map[string]string{
		"requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /x":  "huggingface.co",
		"Exception: URL fetch failure on https://storage.example.com/tf/x.npz: None -- [Errno -3] Temporary failure in name resolution": "storage.example.com",
		"curl: (6) Could not resolve host: data.example.org":                                                                            "data.example.org",
		"fatal: unable to access 'https://git.example.org/x/': Could not resolve host: git.example.org":                                 "git.example.org",
		"urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>":                                        Unknown,
		"botocore: Could not connect to the endpoint URL: \"http://127.0.0.1:9000/b\"":                                                  "127.0.0.1",
		"ConnectionRefusedError: [Errno 111] Connection refused\nsee https://fine.example.com":                                          "a host that the output does not name",
		"aiohttp: Cannot connect to host api.example.com:443 ssl:default\nFailed to resolve 'two.example.com'":                          "api.example.com two.example.com",
		"  File \"main.py\", line 2\n    urlopen(\"https://data.example.org/x\")\nURLError: <urlopen error [Errno -3] x>":               "data.example.org",
		"[nltk_data] Error loading punkt: <urlopen error pathsec.urlopen: no\n[nltk_data]     validated address for host\n" +
			"[nltk_data]     'raw.example.com'; refusing>\n[nltk_data] Error loading x": "raw.example.com",
		"httpx.ConnectError: [Errno -2] Name or service not known\nRuntimeError: Failed to reach API at http://prefect:4200/api/": "prefect",
		"ConnectionError: Connection refused\nredis.exceptions.ConnectionError: see http://redis:6379/0 and https://docs.x.io":    "redis",
		"ConnectionError: Connection refused\nINFO started at http://web:80":                                                      Unknown,
		"WARNING mlflow.utils.environment: Failed to resolve installed pip version.":                                              "",
		"redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.":                           "localhost",
		"psycopg.OperationalError: connection to server at \"db.example.com\" (10.0.0.1), port 5432 failed: Connection refused":   "db.example.com",
		"pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'localhost' ([Errno 111] Connection refused)\")": "localhost",
		"pymongo.errors.ServerSelectionTimeoutError: localhost:27017: [Errno 111] Connection refused (configured timeouts: x)":    "localhost",
		"loaded https://fine.example.com": "",
		"AssertionError: 1 == 2":          "",
		"":                                "",
	} {
		assert.Equal(t, want, strings.Join(Hosts(output), " "), output)
	}
	assert.Len(t, Hosts(strings.Repeat("Could not resolve host: a.example.com\n", 3)), 1)
}

func TestEveryCodeHasARemedy(t *testing.T) {
	for _, c := range []struct{ remedy, key string }{{Train.Remedy, "train.network"}, {Test.Remedy, "test.services"}, {Image.Remedy, "source"}} {
		assert.Contains(t, c.remedy, c.key)
	}
}

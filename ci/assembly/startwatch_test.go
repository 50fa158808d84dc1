package assembly

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// listening is a line of the kernel's table of a socket that listens on a port, in hexadecimal, of all addresses.
func listening(port string) string {
	return "   0: 00000000:" + port + " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
}

// TestOnlyAnApplicationThatCannotKnowItsPortIsGivenUp: a port for metrics may open long before the application's own.
func TestOnlyAnApplicationThatCannotKnowItsPortIsGivenUp(t *testing.T) {
	told := []string{"uvicorn", "app:app", "--port", "{{port}}"}
	for sentence, c := range map[string]struct {
		app     config.Image
		sockets func(second int) string
		gaveUp  bool
	}{
		"it listens on a port of its own":                {config.Image{Command: []string{"python", "app.py"}}, func(int) string { return listening("1F90") }, true},
		"it will, after a slow start":                    {config.Image{Command: []string{"python", "app.py"}}, func(n int) string { return map[bool]string{true: listening("1F90")}[n > 60] }, true},
		"nothing listens":                                {config.Image{Command: []string{"python", "app.py"}}, func(int) string { return "" }, false},
		"metrics first":                                  {config.Image{Command: told}, func(int) string { return listening("2382") }, false},
		"metrics first, and the port is in a variable":   {config.Image{Command: []string{"python", "app.py"}, Vars: map[string]string{"PORT": "{{port}}"}}, func(int) string { return listening("2382") }, false},
		"a helper's port on the loopback interface only": {config.Image{Command: []string{"python", "app.py"}}, func(int) string { return "   0: 0100007F:9C42 00000000:0000 0A 0:0 0:0 0 0 0 1 1 0 100 0 0 10 0\n" }, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			c.app.StartBudget = config.Duration(2 * time.Minute)
			var lines []string
			w := &startWatch{app: c.app, now: func() time.Time { return now }, tell: func(line string) { lines = append(lines, line) }}
			gaveUp, second := false, 0
			for ; second < 120 && !gaveUp; second++ {
				gaveUp = w.look(c.sockets(second), 40001)
				now = now.Add(time.Second)
			}
			assert.Equal(t, c.gaveUp, gaveUp)
			if !gaveUp {
				assert.NotEmpty(t, lines)
				assert.LessOrEqual(t, len(lines), 5)
			}
		})
	}
	now := time.Now()
	var lines []string
	w := &startWatch{app: config.Image{Command: told, StartBudget: config.Duration(2 * time.Minute)}, now: func() time.Time { return now },
		tell: func(line string) { lines = append(lines, line) }}
	for range 15 {
		w.look(listening("2382"), 40001)
		now = now.Add(time.Second)
	}
	assert.Equal(t, []string{"after 10s it listens on 0.0.0.0:9090, not yet on port 40001, which it was given; it has until 2m0s"}, lines)
	silent := &startWatch{app: config.Image{Command: told}, now: time.Now}
	assert.False(t, silent.look("", 1), "nobody listens to it")
}

// TestWhatAnswersItsHealthCheckElsewhereIsGivenUp: the port that the pipeline waits for is image.port, and the application is
// not told it: something else may open a port before.
func TestWhatAnswersItsHealthCheckElsewhereIsGivenUp(t *testing.T) {
	for sentence, answers := range map[string]bool{"metrics first": false, "the application itself": true} {
		now := time.Now()
		w := &startWatch{app: config.Image{Command: []string{"python", "app.py"}, Port: 8501, Health: "/up", StartBudget: config.Duration(2 * time.Minute)},
			now: func() time.Time { return now }, answers: func(addresses, path string) bool {
				assert.Equal(t, "0.0.0.0:9090 /up", addresses+" "+path)
				return answers
			}}
		gaveUp := false
		for range 60 {
			gaveUp = gaveUp || w.look(listening("2382"), 8501)
			now = now.Add(time.Second)
		}
		assert.Equal(t, answers, gaveUp, sentence)
	}
}

func TestAnAnswerElsewhereIsOfTheHealthPath(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/up" {
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	}))
	defer server.Close()
	at := server.Listener.Addr().String()
	assert.True(t, answersAt("0.0.0.0:1, "+at, "/up"))
	assert.False(t, answersAt(at, "/other"), "a redirect")
	assert.False(t, answersAt("nonsense, 127.0.0.1:1", "/up"))
	metrics := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer metrics.Close()
	assert.False(t, answersAt(metrics.Listener.Addr().String(), "/up"), "it answers every path")
}

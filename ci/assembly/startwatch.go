package assembly

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/probe"
)

const (
	// tellElsewhere is how long an application may listen elsewhere before that is told: one for metrics often comes first.
	tellElsewhere = 10 * time.Second
	// tellAgain is the time between two lines.
	tellAgain = 30 * time.Second
	// blindFor is how long one that cannot know its port may listen elsewhere before it is given up.
	blindFor = 3 * time.Second
)

// startWatch looks at an application that does not answer yet: it tells what is waited for, and gives up one that can
// never answer. Which port it listens on proves nothing by itself, as that for its metrics may open first.
type startWatch struct {
	app  config.Image
	tell func(line string)
	now  func() time.Time
	// answers reports whether something at the addresses answers the health path.
	answers func(addresses, path string) bool

	began, since, told time.Time
	last               string
}

// look is runner.Service.Waiting.
func (w *startWatch) look(sockets string, port int) (hopeless bool) {
	now, elsewhere := w.now(), probe.Listening(sockets, port)
	if w.began.IsZero() {
		w.began, w.since, w.told = now, now, now
	}
	if elsewhere != w.last {
		w.last, w.since = elsewhere, now
	}
	text := "nothing listens yet"
	if elsewhere != "" {
		text = fmt.Sprintf("it listens on %s, not yet on port %d, which it was given", elsewhere, port)
	}
	first := w.told.Equal(w.began) && elsewhere != "" && now.Sub(w.since) >= tellElsewhere
	if w.tell != nil && (first || now.Sub(w.told) >= tellAgain) {
		w.told = now
		w.tell(fmt.Sprintf("after %s %s; it has until %s", now.Sub(w.began).Round(time.Second), text, time.Duration(w.app.StartBudget)))
	}
	if elsewhere == "" || toldPort(w.app) || now.Sub(w.since) < blindFor {
		return false
	}
	// On image.port it may still come; what answers its health check elsewhere has come.
	return port != w.app.Port || w.answers != nil && w.answers(elsewhere, w.app.Health)
}

// answersAt reports whether one of several addresses answers the path with success, and not any path: a server of metrics
// answers all of them.
func answersAt(addresses, path string) bool {
	client := &http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, address := range strings.Split(addresses, ", ") {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			continue
		}
		host := at.Addr().String()
		if at.Addr().IsUnspecified() {
			host = "127.0.0.1"
		}
		base := "http://" + net.JoinHostPort(host, strconv.Itoa(int(at.Port())))
		if succeeds(client, base+path) && !succeeds(client, base+probe.Impossible()) {
			return true
		}
	}
	return false
}

// succeeds reports whether an address answers with success.
func succeeds(client *http.Client, address string) bool {
	//nolint:noctx // bounded by the client's Timeout
	answer, err := client.Get(address)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode < http.StatusMultipleChoices
}

// toldPort reports whether the application is told on which port to listen.
func toldPort(app config.Image) bool {
	texts := strings.Join(app.Command, " ")
	for _, value := range app.Vars {
		texts += " " + value
	}
	return strings.Contains(texts, "{{port}}")
}

package pipeline

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// A clock that is off is a warning of the doctor, with its figure, and no failed check.
func TestDoctorTellsAWrongClock(t *testing.T) {
	by := time.Hour
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	s := doctor{&call{opts: Options{Environment: "staging"}, cfg: config.Default()}, nil}
	run := func() (string, error) { return s.checkClock()[0].run(t.Context()) }
	_, err := run()
	assert.ErrorContains(t, err, "not checked: rollout.account is empty")
	s.cfg.Rollout.Account = "111122223333"
	_, err = run()
	var doubt *doubtful
	assert.ErrorAs(t, err, &doubt)
	assert.Regexp(t, `clock is (1h|59m)[0-9m]*s behind that of http://127`, err.Error())
	server.Close()
	_, err = run()
	assert.ErrorContains(t, err, "for the time")
	var blind *unchecked
	assert.ErrorAs(t, err, &blind, "a clock that was not asked is not wrong")
	s.opts.Environment = "sandbox"
	assert.Empty(t, s.checkClock())
}

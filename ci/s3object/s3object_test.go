package s3object_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

// clock passes in sleep alone.
type clock struct {
	now   atomic.Int64
	slept atomic.Int64
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (c *clock) Now() time.Time { return noon.Add(time.Duration(c.now.Load())) }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.now.Add(int64(d))
	c.slept.Add(int64(d))
	return ctx.Err()
}

func start(t *testing.T, profile ledgertest.Profile) (*ledgertest.Store, *s3object.Store, *clock) {
	t.Helper()
	store, c := ledgertest.Start(t, "records-bucket"), &clock{}
	store.Profile, store.Now = profile, c.Now
	region := "ap-south-1"
	if len(profile.Regions) > 0 {
		region = profile.Regions[0]
	}
	key := credentials.NewStaticCredentialsProvider("key", "none", "")
	client := s3object.NewClient(aws.Config{Region: region, Credentials: key, RetryMaxAttempts: 1}, store.URL, false)
	return store, s3object.New(client, c, "records-bucket"), c
}

// Each store that knows conditional writes keeps the same promise, whatever else it lacks.
func TestStoresKeepThePromiseOrAreFoundOut(t *testing.T) {
	for _, profile := range ledgertest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			ctx := t.Context()
			_, s, _ := start(t, profile)
			err := s.Probe(ctx, "probe", true)
			if profile.NoConditions {
				require.True(t, s3object.IsKind(err, s3object.NoCAS), "%v", err)
				require.ErrorContains(t, err, "does not implement conditional writes")
				return
			}
			require.NoError(t, err)
			require.NoError(t, s.Keep(ctx, "a", []byte("one"), "text/plain"))
			_, err = s.Create(ctx, "a", []byte("two"), "text/plain")
			require.True(t, s3object.IsKind(err, s3object.Precondition), "%v", err)
			read, err := s.Read(ctx, "a")
			require.NoError(t, err)
			_, err = s.Replace(ctx, "a", []byte("two"), "text/plain", read.ETag)
			require.NoError(t, err)
			_, err = s.Replace(ctx, "a", []byte("three"), "text/plain", read.ETag)
			require.True(t, s3object.IsKind(err, s3object.Precondition), "%v", err)
			_, err = s.Replace(ctx, "missing", []byte("three"), "text/plain", read.ETag)
			require.True(t, s3object.IsKind(err, s3object.NotFound), "%v", err)
			read, err = s.Read(ctx, "a")
			require.NoError(t, err)
			assert.Equal(t, "two", string(read.Content))
		})
	}
}

func TestAStoreThatIgnoresAConditionIsFoundOut(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	store.IgnoreConditions = true
	require.ErrorContains(t, s.Probe(t.Context(), "probe", false), "ignores If-None-Match")
	store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("If-Match")
		return false
	})
	store.IgnoreConditions = false
	require.ErrorContains(t, s.Probe(t.Context(), "probe", true), "ignores If-Match")
	require.NoError(t, s.Probe(t.Context(), "probe", false))
}

// What a store refused once is not sent to it again.
func TestARefusedChecksumIsReplacedByMD5AndNotTriedAgain(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{NoChecksums: true})
	var sums, md5s atomic.Int64
	store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			sums.Add(1)
		}
		if r.Header.Get("Content-Md5") != "" {
			md5s.Add(1)
		}
		return false
	})
	for _, key := range []string{"a", "b", "c"} {
		_, err := s.Create(t.Context(), key, []byte(key), "text/plain")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, sums.Load())
	assert.EqualValues(t, 3, md5s.Load())
}

// A refusal that has nothing to do with checksums teaches nothing: Object Lock demands them.
func TestARefusalOfBothDoesNotTurnChecksumsOff(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{NoConditions: true})
	_, err := s.Create(t.Context(), "a", []byte("a"), "text/plain")
	require.True(t, s3object.IsKind(err, s3object.NotImplemented), "%v", err)
	store.Profile = ledgertest.Profile{}
	var sums atomic.Int64
	store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			sums.Add(1)
		}
		return false
	})
	_, err = s.Create(t.Context(), "a", []byte("a"), "text/plain")
	require.NoError(t, err)
	assert.EqualValues(t, 1, sums.Load())
}

func TestADamagedWriteIsRefusedAndNotCalledCorrupt(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
		ledgertest.Fail(w, http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match")
		return true
	})
	_, err := s.Create(t.Context(), "a", []byte("a"), "text/plain")
	require.True(t, s3object.IsKind(err, s3object.Refused), "%v", err)
}

func TestAWriteWhoseAnswerWasLostIsOurs(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	lose := func() {
		var n atomic.Int64
		store.SetAfter(func(r *http.Request) bool { return r.Method == http.MethodPut && n.Add(1) == 1 })
	}
	lose()
	_, err := s.Create(t.Context(), "a", []byte("ours"), "text/plain")
	require.Error(t, err, "nobody heard")
	etag, err := s.Create(t.Context(), "a", []byte("ours"), "text/plain")
	require.NoError(t, err)
	lose()
	_, err = s.Replace(t.Context(), "a", []byte("next"), "text/plain", etag)
	require.Error(t, err)
	again, err := s.Replace(t.Context(), "a", []byte("next"), "text/plain", etag)
	require.NoError(t, err)
	assert.NotEqual(t, etag, again)

	// A store may forget for a moment what it has: what is there is ours all the same.
	store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			ledgertest.Fail(w, http.StatusNotFound, "NoSuchKey", "no")
		}
		return r.Method == http.MethodPut
	})
	_, err = s.Replace(t.Context(), "a", []byte("next"), "text/plain", etag)
	require.NoError(t, err)

	// Whose it is cannot be said while it cannot be read.
	store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		ledgertest.Fail(w, http.StatusForbidden, "AccessDenied", "no")
		return true
	})
	_, err = s.Create(t.Context(), "a", []byte("next"), "text/plain")
	require.True(t, s3object.IsKind(err, s3object.AccessDenied), "%v", err)
}

func TestAWriteThatIsNotKeptIsLost(t *testing.T) {
	store, s, c := start(t, ledgertest.Profile{})
	store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			w.Header().Set("ETag", `"x"`)
			return true
		}
		return false
	})
	err := s.Keep(t.Context(), "a", []byte("a"), "text/plain")
	require.True(t, s3object.IsKind(err, s3object.Lost), "%v", err)
	assert.Positive(t, c.slept.Load(), "a store that is slow to show it is given a moment")
	store.Set("a", []byte("something else"))
	err = s.Keep(t.Context(), "a", []byte("a"), "text/plain")
	require.True(t, s3object.IsKind(err, s3object.Lost), "%v", err)
	require.ErrorContains(t, err, "the object has sha256")

	// It shows up late.
	store, s, _ = start(t, ledgertest.Profile{})
	var gets atomic.Int64
	store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || gets.Add(1) > 2 {
			return false
		}
		ledgertest.Fail(w, http.StatusNotFound, "NoSuchKey", "not yet")
		return true
	})
	require.NoError(t, s.Keep(t.Context(), "a", []byte("a"), "text/plain"))
}

func TestTimesAreTheStores(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, -2 * time.Minute, 0, 2 * time.Minute, time.Hour} {
		store, s, c := start(t, ledgertest.Profile{})
		assert.False(t, s.Clock().Measured())
		var passed atomic.Int64
		store.Now = func() time.Time { return noon.Add(skew + time.Duration(passed.Load())) }
		require.NoError(t, s.Keep(t.Context(), "a", []byte("a"), "text/plain"))
		passed.Store(int64(90 * time.Second))
		c.now.Add(int64(-time.Hour)) // this machine's clock jumps
		read, err := s.Read(t.Context(), "a")
		require.NoError(t, err)
		age, known := read.Age()
		assert.True(t, known)
		assert.Equal(t, 90*time.Second, age, "skew %s", skew)
		assert.True(t, s.Clock().Measured())
		measured, _ := s.Clock().Ahead()
		largest := skew + 90*time.Second + time.Hour
		if skew.Abs() > largest.Abs() {
			largest = skew
		}
		assert.Equal(t, largest, measured)
	}
	_, known := (&s3object.Object{Now: noon}).Age()
	assert.False(t, known, "without both times an age is unknown")
}

func TestReadRefusesWhatIsNoRecord(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	_, err := s.Read(t.Context(), "a")
	require.True(t, s3object.IsKind(err, s3object.NotFound), "%v", err)
	store.Set("a", []byte(strings.Repeat(" ", s3object.MaxRecord+1)))
	_, err = s.Read(t.Context(), "a")
	require.True(t, s3object.IsKind(err, s3object.Unreadable), "%v", err)
}

func TestKindsOfAnswers(t *testing.T) {
	for code, want := range map[string]struct {
		status int
		kind   s3object.Kind
	}{
		"NotImplemented": {501, s3object.NotImplemented}, "": {501, s3object.NotImplemented}, "InvalidRegionName": {400, s3object.WrongRegion},
		"XAmzContentSHA256Mismatch": {400, s3object.Refused}, "InternalError": {500, s3object.Unreachable}, "SlowDown": {503, s3object.Throttled},
		"ConditionalRequestConflict": {409, s3object.Busy}, "InvalidArgument": {400, s3object.Other},
		"SecondLevelDomainForbidden": {403, s3object.NotImplemented}, "PathStyleDomainForbidden": {403, s3object.NotImplemented},
		"Unauthorized": {401, s3object.BadCredentials}, "ProxyAuthenticationRequired": {407, s3object.Unreachable},
	} {
		store, s, _ := start(t, ledgertest.Profile{})
		store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
			ledgertest.Fail(w, want.status, code, "injected")
			return true
		})
		_, err := s.Create(t.Context(), "a", []byte("a"), "text/plain")
		var own *s3object.Error
		require.True(t, errors.As(err, &own), code)
		assert.Equal(t, want.kind, own.Kind, code)
	}
	assert.NoError(t, s3object.Wrap("op", "b", "k", nil))
}

// A login page answers every request with success. No operation may take it for the store's answer.
func TestAWebPageIsNoAnswerOfAStore(t *testing.T) {
	page := func(change func(http.ResponseWriter) int) (*ledgertest.Store, *s3object.Store) {
		store, s, _ := start(t, ledgertest.Profile{})
		store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
			w.WriteHeader(change(w))
			_, _ = w.Write([]byte("<!doctype html><title>Sign in</title>"))
			return true
		})
		return store, s
	}
	for name, change := range map[string]func(http.ResponseWriter) int{
		"a page": func(http.ResponseWriter) int { return http.StatusOK },
		"a redirect to one": func(w http.ResponseWriter) int {
			w.Header().Set("Location", "https://login.example.org/")
			return http.StatusFound
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, s := page(change)
			_, readErr := s.Read(t.Context(), "a")
			_, writeErr := s.Create(t.Context(), "a", []byte("a"), "text/plain")
			for _, err := range []error{readErr, writeErr, s.Probe(t.Context(), "a", true)} {
				require.True(t, s3object.IsKind(err, s3object.NotS3), "%v", err)
				require.ErrorContains(t, err, strings.TrimPrefix(store.URL, "http://")+map[bool]string{
					false: " answers with a web page", true: " redirects to https://login.example.org (HTTP 302)"}[name == "a redirect to one"])
			}
		})
	}
	// A page with an error status says what is wrong; a page that a store hands out is an object.
	_, s := page(func(http.ResponseWriter) int { return http.StatusForbidden })
	_, err := s.Read(t.Context(), "a")
	require.True(t, s3object.IsKind(err, s3object.AccessDenied), "%v", err)
	_, s = page(func(w http.ResponseWriter) int { w.Header().Set("X-Amz-Request-Id", "1"); return http.StatusOK })
	read, err := s.Read(t.Context(), "a")
	require.NoError(t, err)
	assert.Contains(t, string(read.Content), "Sign in")
}

// TestARedirectToAnotherServerNamesIt: a proxy in front of a store often demands https. Followed, a write would arrive as a read.
func TestARedirectToAnotherServerNamesIt(t *testing.T) {
	for status, region := range map[int]string{301: "", 302: "", 303: "", 307: "", 308: "", 1301: "eu-west-1", 1307: "eu-west-1"} {
		store, s, _ := start(t, ledgertest.Profile{})
		store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "https://s3.example.org"+r.URL.Path)
			if region != "" {
				w.Header().Set("X-Amz-Bucket-Region", region)
			}
			w.WriteHeader(status % 1000)
			return true
		})
		_, err := s.Create(t.Context(), "a", []byte("a"), "text/plain")
		if region != "" {
			require.True(t, s3object.IsKind(err, s3object.WrongRegion), "AWS's own: %v", err)
			continue
		}
		require.True(t, s3object.IsKind(err, s3object.NotS3), "%d: %v", status, err)
		assert.ErrorContains(t, err, "redirects to https://s3.example.org")
	}
}

// TestAnotherServerIsNoStore: MLflow, a console, or the https port itself at the address of the store.
func TestAnotherServerIsNoStore(t *testing.T) {
	for name, of := range map[string]struct {
		status           int
		form, body, text string
	}{
		"an application":     {404, "application/json", `{"detail":"Not Found"}`, `answers with application/json (HTTP 404): {"detail":"Not Found"}`},
		"a web server":       {404, "text/html", "<html>\n<title>404 Not Found</title>", "answers with a web page (HTTP 404): 404 Not Found"},
		"a port of https":    {400, "", "Client sent an HTTP request to an HTTPS server.\n", "(HTTP 400): Client sent an HTTP request to an HTTPS server."},
		"a health check":     {200, "text/plain", "OK", "answers with text/plain (HTTP 200): OK"},
		"nothing":            {204, "", "", "answers with no content type (HTTP 204)"},
		"a store's own page": {404, "application/xml", "<Error><Code>NoSuchBucket</Code></Error>", ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{of.form}
			w.WriteHeader(of.status)
			_, _ = io.WriteString(w, of.body)
		}))
		defer server.Close()
		client := s3object.NewClient(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}, server.URL, false)
		_, err := client.ListObjectsV2(t.Context(), "records-bucket", "", "")
		err = s3object.Wrap("list", "records-bucket", "", err)
		assert.Equal(t, of.text != "", s3object.IsKind(err, s3object.NotS3), "%s: %v", name, err)
		assert.ErrorContains(t, err, of.text, name)
	}
}

// TestAnAnswerThatBreaksOffIsNoRefusal: a server of https closes a connection of http in the middle of its words.
func TestAnAnswerThatBreaksOffIsNoRefusal(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusBadRequest)
		return true
	})
	_, err := s.Read(t.Context(), "a")
	require.True(t, s3object.IsKind(err, s3object.Unreachable), "%v", err)
}

func TestAConditionThatIsRefusedByNameIsNotHonoured(t *testing.T) {
	for _, header := range []string{"If-None-Match", "If-Match"} {
		store, s, _ := start(t, ledgertest.Profile{})
		store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get(header) == "" {
				return false
			}
			ledgertest.Fail(w, http.StatusBadRequest, "InvalidArgument", header+" is not supported")
			return true
		})
		err := s.Probe(t.Context(), "probe", true)
		require.True(t, s3object.IsKind(err, s3object.NoCAS), "%v", err)
	}
}

func TestAPageOfAProxySaysWhatIsWrong(t *testing.T) {
	store, s, _ := start(t, ledgertest.Profile{})
	store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"))
		return true
	})
	_, err := s.Read(t.Context(), "a")
	require.ErrorContains(t, err, "The plain HTTP request was sent to HTTPS port")
}

func TestDigestsAreThoseOfTheHeaders(t *testing.T) {
	// RFC 1321 and FIPS 180-4, of the empty message, in base64.
	assert.Equal(t, "1B2M2Y8AsgTpgAmY7PhCfg==", s3object.MD5(nil))
	assert.Equal(t, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", s3object.SHA256(nil))
}

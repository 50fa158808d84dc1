package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/openstack-rca/openstack-rca/ci/awscall/machine" // profiles and default credentials
	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
)

var series = ledger.Series{App: "openstack-rca-system", Environment: "prod", Model: "lstm_model"}

// clock does not wait.
type clock struct{}

func (clock) Now() time.Time                                   { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
func (clock) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func options(s *ledgertest.Store) ledger.Options {
	return ledger.Options{Root: "s3://" + s.Bucket + "/root", Series: series, Endpoint: s.URL, Region: "ap-south-1",
		AccessKey: "test-access", SecretKey: "test-secret", Clock: clock{}, Attempts: 2, MaxBackoff: time.Millisecond}
}

func open(t testing.TB, opts ledger.Options) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), opts)
	require.NoError(t, err)
	return l
}

func start(t testing.TB) (*ledgertest.Store, *ledger.Ledger) {
	t.Helper()
	s := ledgertest.Start(t, "models-bucket")
	return s, open(t, options(s))
}

func local(t testing.TB, content []byte) ledger.Local {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return ledger.Local{Path: path, SHA256: hash(content), Bytes: int64(len(content))}
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestNamesAreTheDocuments(t *testing.T) {
	assert.Equal(t, "openstack-rca-system-prod_0007", series.Folder(7))
	assert.Equal(t, "openstack-rca-system-prod_12345", series.Folder(12345))
	assert.Equal(t, "models/lstm_model_v7.keras", series.ModelFile(7, ".keras"))
	assert.Equal(t, "models/labels.json", ledger.SideFile("labels.json"))
	_, l := start(t)
	assert.Equal(t, "s3://models-bucket/root/openstack-rca-system-prod_0001", l.Folder(1))
	assert.Equal(t, "s3://models-bucket/root/openstack-rca-system-prod_0001/COMMIT.json", l.URI(1, "COMMIT.json"))
}

func TestParseURI(t *testing.T) {
	for in, want := range map[string][2]string{"s3://bucket": {"bucket", ""}, "s3://my.bucket-1/a/b/": {"my.bucket-1", "a/b"}} {
		bucket, key, err := ledger.ParseURI(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, [2]string{bucket, key})
	}
	for _, in := range []string{"", "bucket/key", "https://bucket", "s3://", "s3://B_ad/x", "s3://a..b/x", "s3://bucket/a//b", "s3://bucket/../x",
		"s3://bucket/a?b", "s3://bucket/a\nb", "s3://" + strings.Repeat("x", 300), "s3://models--use1-az4--x-s3/a"} {
		_, _, err := ledger.ParseURI(in)
		assert.Error(t, err, in)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	s, _ := start(t)
	for name, c := range map[string]struct {
		change func(*ledger.Options)
		want   string
	}{
		"no root":             {func(o *ledger.Options) { o.Root = "" }, "s3://"},
		"no region":           {func(o *ledger.Options) { o.Region = "" }, "region"},
		"no credentials":      {func(o *ledger.Options) { o.AccessKey, o.SecretKey = "", "" }, "no AWS credentials"},
		"half of credentials": {func(o *ledger.Options) { o.SecretKey = "" }, "needs its secret key"},
	} {
		opts := options(s)
		c.change(&opts)
		_, err := ledger.Open(t.Context(), opts)
		assert.ErrorContains(t, err, c.want, name)
	}
}

func TestDefaultCredentialsOnlyWhenAllowed(t *testing.T) {
	s, _ := start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	var seen string
	s.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		seen = r.Header.Get("Authorization")
		return false
	})
	opts := options(s)
	opts.AccessKey, opts.SecretKey, opts.DefaultCredentials = "", "", true
	_, err := open(t, opts).Scan(t.Context())
	require.NoError(t, err)
	assert.Contains(t, seen, "from-the-environment")
	opts.AccessKey, opts.SecretKey = "given", "x"
	_, err = open(t, opts).Scan(t.Context())
	require.NoError(t, err)
	assert.Contains(t, seen, "given")
}

func TestRootMayBeTheBucketItself(t *testing.T) {
	s, _ := start(t)
	opts := options(s)
	opts.Root = "s3://" + s.Bucket
	l := open(t, opts)
	_, err := l.Take(t.Context(), ledger.Claim{Key: "k"}, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{"openstack-rca-system-prod_0001/CLAIM.json"}, s.Keys())
	state, err := l.Scan(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, state.Next())
}

func TestProbe(t *testing.T) {
	s, l := start(t)
	require.NoError(t, l.Probe(t.Context()))
	before := s.Writes()
	require.NoError(t, l.Probe(t.Context()))
	assert.Equal(t, 1, s.Writes()-before, "one request once the key is there")

	s, l = start(t)
	s.IgnoreConditions = true
	err := l.Probe(t.Context())
	assert.True(t, ledger.IsKind(err, ledger.NoCAS), "%v", err)
	s.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
		ledgertest.Fail(w, 403, "AccessDenied", "no")
		return true
	})
	assert.True(t, ledger.IsKind(l.Probe(t.Context()), ledger.AccessDenied))
}

func TestScanReadsAllPagesAndIgnoresJunk(t *testing.T) {
	s, l := start(t)
	for n := 1; n <= 1200; n++ {
		s.Set(fmt.Sprintf("root/openstack-rca-system-prod_%04d/CLAIM.json", n), nil)
		if n != 1200 {
			s.Set(fmt.Sprintf("root/openstack-rca-system-prod_%04d/COMMIT.json", n), nil)
		}
	}
	for _, junk := range []string{"prod_v007/COMMIT.json", "prod_007/x", "prod_99999999999999999999/x", "prod_0000/x", "prod_", "prod_5000", "prod_-001/x"} {
		s.Set("root/openstack-rca-system-"+junk, nil)
	}
	for _, other := range []string{"staging_5000/COMMIT.json", "production_5000/COMMIT.json"} {
		s.Set("root/openstack-rca-system-"+other, nil)
	}
	s.Set("root/openstack-rca-system-prod_1201/models/by-something-else.keras", nil)
	state, err := l.Scan(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1202, state.Next(), "a folder without a claim is taken, too")
	assert.Equal(t, []int{1200}, state.Open())
	assert.Equal(t, 7, state.Ignored)
	empty := ledger.State{}
	assert.Equal(t, 1, empty.Next())
}

func TestFiftyClaimsAreFiftyNumbers(t *testing.T) {
	_, l := start(t)
	var taken sync.Map
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			n, err := l.Take(t.Context(), ledger.Claim{Key: fmt.Sprint("key", i), Nonce: fmt.Sprint(i)}, 1)
			if assert.NoError(t, err) {
				_, twice := taken.LoadOrStore(n, i)
				assert.False(t, twice, "number %d", n)
			}
		})
	}
	group.Wait()
	for n := 1; n <= 50; n++ {
		_, ok := taken.Load(n)
		assert.True(t, ok, "number %d", n)
	}
}

func TestConflictingRequestsAreSentAgain(t *testing.T) {
	s, l := start(t)
	var n atomic.Int64
	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || n.Add(1) > 3 {
			return false
		}
		ledgertest.Fail(w, 409, "ConditionalRequestConflict", "another request is in flight")
		return true
	})
	number, err := l.Take(t.Context(), ledger.Claim{Key: "k"}, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, number, "409 is retried on the same number")
}

// Of two that upload the same file at once, S3 may refuse both or one for the other's sake (409).
func TestAnUploadThatMetAnotherIsBegunAgain(t *testing.T) {
	for name, content := range map[string]string{"as a whole": "small", "in parts": strings.Repeat("large", 2000)} {
		t.Run(name, func(t *testing.T) {
			for _, kept := range []bool{true, false} {
				s := ledgertest.Start(t, "models-bucket")
				opts := options(s)
				opts.PartSize = 64
				l := open(t, opts)
				var refused atomic.Int64
				uri := l.URI(1, "models/"+fmt.Sprint(kept)+".bin")
				file := local(t, []byte(content))
				s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
					complete := r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.Method == http.MethodPut &&
						!r.URL.Query().Has("uploadId")
					if !complete || refused.Add(1) > 2 {
						return false
					}
					if kept {
						s.Set(strings.TrimPrefix(uri, "s3://models-bucket/"), []byte(content))
					}
					ledgertest.Fail(w, http.StatusConflict, "ConditionalRequestConflict", "another request is in flight")
					return true
				})
				written, err := l.Put(t.Context(), uri, file)
				require.NoError(t, err)
				assert.Equal(t, !kept, written)
				o, there := s.Get(strings.TrimPrefix(uri, "s3://models-bucket/"))
				assert.True(t, there && string(o.Content) == content)
				assert.Empty(t, s.Uploads())
			}
		})
	}
}

func TestContentIsFoundByItsKey(t *testing.T) {
	s, l := start(t)
	ctx := t.Context()
	find := func(key string) int {
		state, err := l.Scan(ctx)
		require.NoError(t, err)
		found, err := l.Find(ctx, key, state)
		require.NoError(t, err)
		assert.Equal(t, 1, found.Turn)
		return found.Number
	}
	assert.Zero(t, find("k1"))
	n, err := l.Take(ctx, ledger.Claim{Key: "k1"}, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, find("k1"), "by its open claim")
	assert.Zero(t, find("k2"))
	n, err = l.Point(ctx, "k1", 1, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	n, err = l.Point(ctx, "k1", 1, 5)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "the first holds")
	assert.Equal(t, 1, find("k1"))
	n, err = l.Take(ctx, ledger.Claim{Key: "k1"}, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "the same content joins its claim")

	s.Set("root/openstack-rca-system-prod.keys/k9.json", []byte(`{"schema":1,"number":3,"idempotency_key":"other"}`))
	_, err = l.Find(ctx, "k9", &ledger.State{})
	assert.True(t, ledger.IsKind(err, ledger.Unreadable), "%v", err)
}

func commit(n int, key, sum string) ledger.Commit {
	return ledger.Commit{Number: n, Key: key, Model: "models/m.keras", Files: []ledger.File{{Path: "models/m.keras", SHA256: sum, Bytes: 1}}}
}

func TestCommitIsWrittenOnce(t *testing.T) {
	s, l := start(t)
	ctx := t.Context()
	_, err := l.ReadCommit(ctx, 1)
	assert.True(t, ledger.IsKind(err, ledger.NotFound), "%v", err)
	first := commit(1, "k", "aa")
	first.RunID = "run-1"
	held, err := l.Commit(ctx, first)
	require.NoError(t, err)
	assert.Equal(t, "run-1", held.RunID)
	second := commit(1, "k", "aa")
	second.RunID = "run-2"
	held, err = l.Commit(ctx, second)
	require.NoError(t, err)
	assert.Equal(t, "run-1", held.RunID, "the first holds")
	for name, other := range map[string]ledger.Commit{"another content": commit(1, "other", "aa"), "another model": commit(1, "k", "bb")} {
		_, err = l.Commit(ctx, other)
		assert.True(t, ledger.IsKind(err, ledger.Conflict), "%s: %v", name, err)
	}
	for name, content := range map[string]string{
		"not JSON": "<html>", "a newer schema": `{"schema": 99}`, "another number": `{"schema":1,"number":9}`,
		"wrong type": `{"schema":1,"number":"x"}`, "too large": `{"schema":1,"x":"` + strings.Repeat("x", 5<<20) + `"}`,
		"no model": `{"schema":1,"number":2,"model":"m","files":[]}`,
	} {
		s.Set("root/openstack-rca-system-prod_0002/COMMIT.json", []byte(content))
		_, err := l.ReadCommit(ctx, 2)
		assert.True(t, ledger.IsKind(err, ledger.Unreadable), "%s: %v", name, err)
		assert.ErrorContains(t, err, "openstack-rca-system-prod_0002", name)
	}
}

func TestAnAbandonedNumberIsNeverAVersionAndNeverGivenOutAgain(t *testing.T) {
	s, l := start(t)
	ctx := t.Context()
	scan := func() *ledger.State {
		state, err := l.Scan(ctx)
		require.NoError(t, err)
		return state
	}
	n, err := l.Take(ctx, ledger.Claim{Key: "k1"}, 1)
	require.NoError(t, err)
	_, err = l.Point(ctx, "k1", 1, n)
	require.NoError(t, err)
	_, err = l.Put(ctx, l.URI(n, "models/m.keras"), local(t, []byte("orphan")))
	require.NoError(t, err)
	_, err = l.Discard(ctx, n)
	assert.True(t, ledger.IsKind(err, ledger.NotFound), "only what was abandoned is removed: %v", err)

	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	require.NoError(t, l.Abandon(ctx, ledger.Claim{Number: n, Key: "k1"}, at))
	require.NoError(t, l.Abandon(ctx, ledger.Claim{Number: n, Key: "k1"}, at), "a second time")
	removed, err := l.Discard(ctx, n)
	require.NoError(t, err)
	assert.Equal(t, []string{"s3://models-bucket/root/openstack-rca-system-prod_0001/models/m.keras"}, removed)
	removed, err = l.Discard(ctx, n)
	require.NoError(t, err)
	assert.Empty(t, removed)

	// A publisher that was only slow loses.
	_, err = l.Commit(ctx, commit(n, "k1", "aa"))
	assert.True(t, ledger.IsKind(err, ledger.Abandoned), "%v", err)
	assert.Empty(t, scan().Open())
	newest, err := l.Newest(ctx, scan(), 0)
	require.NoError(t, err)
	assert.Nil(t, newest)

	// The same content gets another number.
	found, err := l.Find(ctx, "k1", scan())
	require.NoError(t, err)
	assert.Equal(t, ledger.Found{Turn: 2}, found)
	n, err = l.Take(ctx, ledger.Claim{Key: "k1"}, scan().Next())
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	n, err = l.Point(ctx, "k1", found.Turn, n)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	_, err = l.Commit(ctx, commit(n, "k1", "aa"))
	require.NoError(t, err)
	found, err = l.Find(ctx, "k1", scan())
	require.NoError(t, err)
	assert.Equal(t, 2, found.Number)
	require.NotNil(t, found.Commit)
	newest, err = l.Newest(ctx, scan(), 1)
	require.NoError(t, err)
	assert.Equal(t, 2, newest.Number)

	// What is committed stays.
	for _, err := range []error{l.Abandon(ctx, ledger.Claim{Number: 2, Key: "k1"}, at), second(l.Discard(ctx, 2))} {
		assert.True(t, ledger.IsKind(err, ledger.Conflict), "%v", err)
	}
	assert.Contains(t, s.Keys(), "root/openstack-rca-system-prod.keys/k1-2.json")
}

func second[T any](_ T, err error) error { return err }

func TestDiscardNamesTheActionThatIsNotAllowed(t *testing.T) {
	s, l := start(t)
	ctx := t.Context()
	_, err := l.Take(ctx, ledger.Claim{Key: "k1"}, 1)
	require.NoError(t, err)
	_, err = l.Put(ctx, l.URI(1, "models/m.keras"), local(t, []byte("orphan")))
	require.NoError(t, err)
	require.NoError(t, l.Abandon(ctx, ledger.Claim{Number: 1, Key: "k1"}, time.Now()))
	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			ledgertest.Fail(w, http.StatusForbidden, "AccessDenied", "no")
			return true
		}
		return false
	})
	_, err = l.Discard(ctx, 1)
	assert.True(t, ledger.IsKind(err, ledger.AccessDenied), "%v", err)
	assert.ErrorContains(t, err, "s3:DeleteObject")
}

func TestPutStoresOnceAndNeverOverwrites(t *testing.T) {
	for name, size := range map[string]int{"in one piece": 10, "in parts": 200} {
		t.Run(name, func(t *testing.T) {
			s := ledgertest.Start(t, "models-bucket")
			opts := options(s)
			opts.PartSize = 64
			l := open(t, opts)
			ctx := t.Context()
			content := bytes.Repeat([]byte("x"), size)
			file := local(t, content)
			written, err := l.Put(ctx, l.URI(1, "models/m"), file)
			require.NoError(t, err)
			assert.True(t, written)
			object, _ := s.Get("root/openstack-rca-system-prod_0001/models/m")
			assert.Equal(t, content, object.Content)
			sum, n, err := l.Hash(ctx, l.URI(1, "models/m"), 1<<30)
			require.NoError(t, err)
			assert.Equal(t, file.SHA256, sum)
			assert.Equal(t, int64(size), n)

			writes := s.Writes()
			written, err = l.Put(ctx, l.URI(1, "models/m"), file)
			require.NoError(t, err)
			assert.False(t, written)
			assert.Equal(t, writes, s.Writes())

			_, err = l.Put(ctx, l.URI(1, "models/m"), local(t, bytes.Repeat([]byte("y"), size)))
			assert.True(t, ledger.IsKind(err, ledger.Conflict), "%v", err)
			s.Set("root/openstack-rca-system-prod_0001/models/plain", content)
			written, err = l.Put(ctx, l.URI(1, "models/plain"), file)
			require.NoError(t, err, "the same bytes, written by something else")
			assert.False(t, written)
			assert.Empty(t, s.Uploads())
			assert.Empty(t, l.Warnings())
		})
	}
}

func TestPutURIAndCopyURI(t *testing.T) {
	_, l := start(t)
	file := local(t, []byte("abc"))
	written, err := l.Put(t.Context(), "s3://models-bucket/elsewhere/a", file)
	require.NoError(t, err)
	assert.True(t, written)
	var content bytes.Buffer
	again := func() error { content.Reset(); return nil }
	n, err := l.Copy(t.Context(), "s3://models-bucket/elsewhere/a", 1<<20, &content, again)
	require.NoError(t, err)
	assert.Equal(t, int64(3), n)
	assert.Equal(t, "abc", content.String())
	_, err = l.Copy(t.Context(), "s3://models-bucket/elsewhere/a", 1<<20, &content, func() error { return errors.New("disk full") })
	assert.True(t, ledger.IsKind(err, ledger.LocalFile), "%v", err)
	_, err = l.Put(t.Context(), "nonsense", file)
	require.Error(t, err)
	_, err = l.Copy(t.Context(), "nonsense", 1<<20, &content, again)
	require.Error(t, err)
	_, err = l.Copy(t.Context(), "s3://models-bucket/nothing", 1<<20, &content, again)
	assert.True(t, ledger.IsKind(err, ledger.NotFound), "%v", err)
}

func TestPutOfAFileThatIsNotWhatItShouldBe(t *testing.T) {
	s, l := start(t)
	file := local(t, []byte("abc"))
	file.SHA256 = hash([]byte("other"))
	_, err := l.Put(t.Context(), l.URI(1, "models/m"), file)
	assert.True(t, ledger.IsKind(err, ledger.Refused), "the store checks the hash: %v", err)
	assert.Empty(t, s.Keys())
	file.Path = "/nothing/here"
	_, err = l.Put(t.Context(), l.URI(1, "models/m"), file)
	assert.True(t, ledger.IsKind(err, ledger.LocalFile), "%v", err)
}

func TestPartsAreRemovedWhenAnUploadFails(t *testing.T) {
	s := ledgertest.Start(t, "models-bucket")
	opts := options(s)
	opts.PartSize = 64
	l := open(t, opts)
	file := local(t, make([]byte, 400))
	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "3" {
			return false
		}
		ledgertest.Fail(w, 403, "AccessDenied", "no")
		return true
	})
	_, err := l.Put(t.Context(), l.URI(1, "models/m"), file)
	assert.True(t, ledger.IsKind(err, ledger.AccessDenied), "%v", err)
	assert.Empty(t, s.Uploads(), "aborted")

	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "3" && r.Method != http.MethodDelete {
			return false
		}
		ledgertest.Fail(w, 403, "AccessDenied", "no")
		return true
	})
	_, err = l.Put(t.Context(), l.URI(1, "models/m"), file)
	require.True(t, ledger.IsKind(err, ledger.Partial), "%v", err)
	require.Len(t, s.Uploads(), 1)
	assert.ErrorContains(t, err, s.Uploads()[0])

	// The next upload of the file succeeds but may not remove the parts: a warning.
	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		ledgertest.Fail(w, 403, "AccessDenied", "no")
		return true
	})
	_, err = l.Put(t.Context(), l.URI(1, "models/m"), file)
	require.NoError(t, err)
	require.Len(t, l.Warnings(), 1)
	s.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("uploads") {
			return false
		}
		ledgertest.Fail(w, 403, "AccessDenied", "no")
		return true
	})
	_, err = l.Put(t.Context(), l.URI(1, "models/m"), file)
	require.NoError(t, err)
	assert.Contains(t, l.Warnings()[1], "s3:ListBucketMultipartUploads")

	s.SetBefore(nil)
	_, err = l.Put(t.Context(), l.URI(1, "models/m"), file)
	require.NoError(t, err)
	assert.Empty(t, s.Uploads(), "removed by the one after")
}

func TestBrokenReadIsRepeated(t *testing.T) {
	s, l := start(t)
	_, err := l.Put(t.Context(), l.URI(1, "models/m"), local(t, []byte("abc")))
	require.NoError(t, err)
	var n atomic.Int64
	var always atomic.Bool
	s.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
		if n.Add(1) > 1 && !always.Load() {
			return false
		}
		w.Header().Set("Content-Length", "3")
		_, err := w.Write([]byte("a"))
		assert.NoError(t, err)
		panic(http.ErrAbortHandler)
	})
	sum, _, err := l.Hash(t.Context(), l.URI(1, "models/m"), 1<<30)
	require.NoError(t, err)
	assert.Equal(t, hash([]byte("abc")), sum)
	always.Store(true)
	_, _, err = l.Hash(t.Context(), l.URI(1, "models/m"), 1<<30)
	assert.True(t, ledger.IsKind(err, ledger.Unreachable), "%v", err)
}

func TestAReadThatStandsStillIsTriedOnceMore(t *testing.T) {
	store := ledgertest.Start(t, "models-bucket")
	opts := options(store)
	opts.StallTimeout = 50 * time.Millisecond
	l := open(t, opts)
	store.Set("root/x", []byte("content"))
	var n atomic.Int64
	store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if n.Add(1) > 2 {
			return false
		}
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte("a"))
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-r.Context().Done()
		return true
	})
	var got bytes.Buffer
	read := func() error {
		_, err := l.Copy(t.Context(), "s3://models-bucket/root/x", 1<<20, &got, func() error { got.Reset(); return nil })
		return err
	}
	err := read()
	require.True(t, ledger.IsKind(err, ledger.Unreachable), "%v", err)
	require.ErrorContains(t, err, "no byte came for 50ms")
	n.Store(1) // one more stall
	require.NoError(t, read())
	assert.Equal(t, "content", got.String())
}

func TestStoresRefusalsBecomeKinds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		want   ledger.Kind
	}{
		"expired token":   {400, "ExpiredToken", ledger.BadCredentials},
		"unknown key":     {403, "InvalidAccessKeyId", ledger.BadCredentials},
		"denied":          {403, "AccessDenied", ledger.AccessDenied},
		"denied, uncoded": {403, "Something", ledger.AccessDenied},
		"no bucket":       {404, "NoSuchBucket", ledger.NoBucket},
		"404, uncoded":    {404, "Something", ledger.NotFound},
		"wrong region":    {400, "AuthorizationHeaderMalformed", ledger.WrongRegion},
		"moved":           {301, "Something", ledger.WrongRegion},
		"clock":           {403, "RequestTimeTooSkewed", ledger.ClockSkew},
		"slow down":       {503, "SlowDown", ledger.Throttled},
		"busy, uncoded":   {503, "Something", ledger.Throttled},
		"server error":    {500, "InternalError", ledger.Unreachable},
		"precondition":    {412, "Something", ledger.Precondition},
		"other":           {400, "InvalidArgument", ledger.Other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := start(t)
			s.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
				ledgertest.Fail(w, c.status, c.code, "the message")
				return true
			})
			_, err := l.Scan(t.Context())
			require.True(t, ledger.IsKind(err, c.want), "%v", err)
			assert.ErrorContains(t, err, "s3:ListBucket")
			assert.ErrorContains(t, err, "s3://models-bucket/root/")
			assert.ErrorContains(t, err, "eu-central-1")
			assert.NotContains(t, err.Error(), "test-secret")
		})
	}
}

func TestStoreThatDoesNotAnswer(t *testing.T) {
	s, _ := start(t)
	opts := options(s)
	opts.Endpoint = "http://127.0.0.1:1"
	_, err := open(t, opts).Scan(t.Context())
	require.True(t, ledger.IsKind(err, ledger.Unreachable), "%v", err)
	assert.ErrorContains(t, err, "connection refused")
	opts.Endpoint = "http://no-such-host.invalid"
	_, err = open(t, opts).Scan(t.Context())
	require.True(t, ledger.IsKind(err, ledger.Unreachable), "%v", err)
	assert.ErrorContains(t, err, "no-such-host.invalid: not found")

	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	opts.Endpoint = server.URL
	_, err = open(t, opts).Scan(t.Context())
	assert.True(t, ledger.IsKind(err, ledger.Untrusted), "%v", err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = open(t, options(s)).Scan(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAConnectionThatWentDeadIsLeftForANewOne(t *testing.T) {
	s := ledgertest.Start(t, "models-bucket")
	opts := options(s)
	opts.AnswerTimeout = 50 * time.Millisecond
	l := open(t, opts)
	var once sync.Once
	s.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		once.Do(func() { <-r.Context().Done() }) // the first request is never answered
		return false
	})
	_, err := l.Scan(t.Context())
	require.NoError(t, err)
}

func TestUploadInPartsKeepsMemoryBounded(t *testing.T) {
	// The store of the other tests keeps what it gets; this one counts.
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buffer)
			if r.Method == http.MethodPut {
				received.Add(int64(n))
			}
			if err != nil {
				break
			}
		}
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodGet:
			_, _ = fmt.Fprint(w, "<ListMultipartUploadsResult/>")
		case r.URL.Query().Has("uploads"):
			_, _ = fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, "<CompleteMultipartUploadResult/>")
		}
	}))
	t.Cleanup(server.Close)
	opts := options(&ledgertest.Store{Bucket: "models-bucket", URL: server.URL})
	opts.PartSize = 5 << 20
	l := open(t, opts)
	const size = 64 << 20
	path := filepath.Join(t.TempDir(), "big")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, size)) // a hole: no disk is used

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := l.Put(t.Context(), l.URI(1, "models/m"), ledger.Local{Path: path, SHA256: strings.Repeat("0", 64), Bytes: size})
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Equal(t, int64(size), received.Load(), "all bytes arrived")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "not even the sum of all allocations comes near the file's size")
}

package journal

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

const at = "bucket/p/app.rollouts/staging/svc.json"

type world struct {
	t     *testing.T
	clock *fakeaws.Clock
	aws   *fakeaws.Account
}

func newWorld(t *testing.T) *world {
	clock := fakeaws.NewClock()
	return &world{t, clock, fakeaws.NewAccount(clock)}
}

func (w *world) open(name string) *Journal {
	w.t.Helper()
	j, problem := Open(w.aws.Objects, w.clock, Options{Root: "s3://bucket/p", App: "app", Environment: "staging", Service: "svc", Name: name})
	require.Nil(w.t, problem)
	return j
}

func (w *world) read(j *Journal) State {
	w.t.Helper()
	s, err := j.Read(context.Background())
	require.NoError(w.t, err)
	return s
}

func TestALockIsTakenRenewedAndLetGo(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	first, second := w.open("one"), w.open("two")
	w.read(first)
	require.NoError(t, first.Hold(ctx))
	assert.True(t, first.Holding())
	assert.Nil(t, w.open("x").Held(State{}))
	held := second.Held(w.read(second))
	require.NotNil(t, held)
	assert.Equal(t, "one", held.Name)

	writes := len(fakeaws.Writes(w.aws.Calls()))
	require.NoError(t, first.Hold(ctx))
	assert.Len(t, fakeaws.Writes(w.aws.Calls()), writes, "a fresh lock is not renewed")
	for range 20 { // 20 minutes of renewing
		require.NoError(t, w.clock.Sleep(ctx, time.Minute))
		require.NoError(t, first.Hold(ctx))
		require.NotNil(t, second.Held(w.read(second)))
	}
	require.NoError(t, first.Release(ctx))
	assert.False(t, first.Holding())
	assert.Nil(t, second.Held(w.read(second)))
	require.NoError(t, first.Release(ctx), "again is no error")
}

func TestADeadHoldersLockIsTakenOverAndItsNextWriteIsRefused(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	dead, heir := w.open("dead"), w.open("heir")
	w.read(dead)
	require.NoError(t, dead.Record(ctx, Run{Kind: Deploy, Image: "i"}))
	require.NoError(t, w.clock.Sleep(ctx, Lease+Skew-time.Second))
	require.NotNil(t, heir.Held(w.read(heir)), "clocks may differ a little")
	require.NoError(t, w.clock.Sleep(ctx, 2*time.Second))
	s := w.read(heir)
	require.Nil(t, heir.Held(s))
	assert.Equal(t, "i", s.Run.Image, "what it was doing is there")
	require.NoError(t, heir.Hold(ctx))
	assert.Equal(t, s.Token+1, w.read(w.open("x")).Token)

	require.ErrorIs(t, dead.Hold(ctx), ErrMoved)
	require.ErrorIs(t, dead.End(ctx, Run{}), ErrMoved)
	require.ErrorIs(t, dead.Record(ctx, Run{}), ErrMoved)
	require.NoError(t, dead.Release(ctx))
	assert.Equal(t, "heir", w.read(w.open("x")).Holder.Name)
}

func TestOfManyOnlyOneGetsTheLock(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	won := make(chan string, 50)
	for n := range 50 {
		j := w.open(strconv.Itoa(n))
		w.read(j)
		group.Go(func() {
			if err := j.Hold(context.Background()); err == nil {
				won <- strconv.Itoa(n)
			} else {
				assert.ErrorIs(t, err, ErrMoved)
			}
		})
	}
	group.Wait()
	close(won)
	var names []string
	for name := range won {
		names = append(names, name)
	}
	require.Len(t, names, 1)
	assert.Equal(t, names[0], w.read(w.open("x")).Holder.Name)
}

func TestAnAnswerThatIsLostIsNotTakenForALostLock(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	j := w.open("one")
	w.read(j)
	require.NoError(t, j.Hold(ctx))
	w.aws.Cut(1, true)
	require.Error(t, j.Record(ctx, Run{Image: "i"}), "it was written, and nobody heard")
	w.aws.Cut(0, false)
	require.NoError(t, j.Record(ctx, Run{Image: "i"}))
	assert.Equal(t, "i", w.read(j).Run.Image)
}

// The next write comes later, and says another time: what is there is ours all the same.
func TestAWriteThatWasCarriedOutUnheardIsGoneOnFrom(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	j := w.open("one")
	w.read(j)
	require.NoError(t, j.Record(ctx, Run{Image: "i"}))
	for range 3 {
		require.NoError(t, w.clock.Sleep(ctx, 70*time.Second))
		w.aws.Cut(1, true)
		require.NoError(t, j.Hold(ctx), "it was renewed, and nobody heard")
		w.aws.Cut(0, false)
		require.NoError(t, w.clock.Sleep(ctx, 5*time.Second))
		require.NoError(t, j.Hold(ctx))
		require.True(t, j.Holding())
	}
	w.aws.Cut(1, true)
	require.Error(t, j.Record(ctx, Run{Image: "i", Deployment: "d"}))
	w.aws.Cut(0, false)
	require.NoError(t, w.clock.Sleep(ctx, time.Second))
	require.NoError(t, j.End(ctx, Run{Image: "i", Verdict: Passed}))
	s := w.read(w.open("x"))
	assert.Nil(t, s.Run)
	assert.Nil(t, s.Holder)
	assert.Len(t, s.Ended, 1)

	// What another wrote meanwhile is not ours.
	j, other := w.open("one"), w.open("two")
	w.read(j)
	require.NoError(t, j.Hold(ctx))
	require.NoError(t, w.clock.Sleep(ctx, 70*time.Second))
	w.aws.Cut(1, true)
	require.NoError(t, j.Hold(ctx))
	w.aws.Cut(0, false)
	require.NoError(t, w.clock.Sleep(ctx, 3*time.Minute))
	w.read(other)
	require.NoError(t, other.Hold(ctx))
	require.ErrorIs(t, j.Hold(ctx), ErrMoved)
	assert.False(t, j.Holding())
}

func TestAStoreThatIsDownForAMomentLosesNoLock(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	j := w.open("one")
	w.read(j)
	require.NoError(t, j.Hold(ctx))
	require.NoError(t, w.clock.Sleep(ctx, 70*time.Second))
	w.aws.Fail("s3:PutObject", errors.New("no route"))
	require.NoError(t, j.Hold(ctx))
	require.NoError(t, w.clock.Sleep(ctx, time.Minute))
	w.aws.Fail("s3:PutObject", errors.New("no route"))
	require.ErrorContains(t, j.Hold(ctx), "no route", "now it may be over")
}

func TestAnEndIsRememberedAndOldOnesAreForgotten(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	for n := range keepRuns + 5 {
		j := w.open("one")
		w.read(j)
		require.NoError(t, j.Record(ctx, Run{Kind: Deploy, TaskDefinition: strconv.Itoa(n)}))
		require.NoError(t, j.End(ctx, Run{Kind: Deploy, TaskDefinition: strconv.Itoa(n), Verdict: Passed}))
	}
	s := w.read(w.open("x"))
	assert.Len(t, s.Ended, keepRuns)
	assert.Equal(t, strconv.Itoa(keepRuns+4), s.Last().TaskDefinition)
	assert.EqualValues(t, keepRuns+5, s.Last().Token)
	assert.Nil(t, s.Run)
	assert.Nil(t, s.Holder)
}

func TestTheLastGoodRelease(t *testing.T) {
	good := func(td string) Run { return Run{Kind: Deploy, TaskDefinition: td, Verdict: Passed} }
	bad := func(td string) Run { return Run{Kind: Deploy, TaskDefinition: td, Verdict: "fail"} }
	back := func(to, from string) Run {
		return Run{Kind: Rollback, TaskDefinition: to, Previous: from, Verdict: Passed}
	}
	for name, c := range map[string]struct {
		ended   []Run
		current string
		want    string
		left    int
	}{
		"nothing":               {nil, "1", "", 0},
		"the only one":          {[]Run{good("1")}, "1", "", 0},
		"the one before":        {[]Run{good("1"), good("2")}, "2", "1", 0},
		"not a failed one":      {[]Run{good("1"), bad("2"), good("3")}, "3", "1", 0},
		"not one that was left": {[]Run{good("1"), good("2"), good("3"), back("2", "3")}, "2", "1", 1},
		"one that came back":    {[]Run{good("1"), good("2"), back("1", "2"), good("2"), good("3")}, "3", "2", 0},
		"something else runs":   {[]Run{good("1")}, "9", "1", 0},
	} {
		s := State{Ended: c.ended}
		got := ""
		if run := s.LastGood(c.current); run != nil {
			got = run.TaskDefinition
		}
		assert.Equal(t, c.want, got, name)
		assert.Len(t, s.Left(), c.left, name)
	}
	assert.Nil(t, (&State{}).Last())
}

func TestADigestIsMarkedOnce(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	j := w.open("one")
	ran, err := j.Ran(ctx, "staging", "sha256:abc")
	require.NoError(t, err)
	assert.False(t, ran)
	require.NoError(t, j.MarkRan(ctx, "repo@sha256:abc", "sha256:abc"))
	require.NoError(t, j.MarkRan(ctx, "repo@sha256:abc", "sha256:abc"))
	ran, err = j.Ran(ctx, "staging", "sha256:abc")
	require.NoError(t, err)
	assert.True(t, ran)
	ran, err = j.Ran(ctx, "production", "sha256:abc")
	require.NoError(t, err)
	assert.False(t, ran)
	w.aws.Fail("s3:PutObject", errors.New("no route"))
	require.ErrorContains(t, j.MarkRan(ctx, "repo@sha256:abd", "sha256:abd"), "no route")
}

func TestWhatCannotBeReadIsNotGuessedAt(t *testing.T) {
	for content, want := range map[string]string{"{": "not JSON", `{"schema": 9}`: "its schema is 9",
		strings.Repeat(" ", s3object.MaxRecord+1): "too large"} {
		w := newWorld(t)
		w.aws.Objects.Set(at, content)
		_, err := w.open("one").Read(context.Background())
		require.ErrorContains(t, err, want)
	}
	w := newWorld(t)
	w.aws.Fail("s3:GetObject", errors.New("no route"))
	_, err := w.open("one").Read(context.Background())
	require.ErrorContains(t, err, "read record (s3:GetObject) s3://"+at)
}

func TestAStoreThatIgnoresConditionsIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.aws.Objects.IgnoreConditions = true
	j := w.open("one")
	w.read(j)
	require.ErrorContains(t, j.Hold(context.Background()), "ignores If-None-Match")
	assert.False(t, j.Holding())
	_, written := w.aws.Objects.Content(at)
	assert.False(t, written)
}

func TestAJournalNeedsAnAddress(t *testing.T) {
	for _, root := range []string{"", "bucket/x", "s3://UPPER"} {
		_, problem := Open(nil, nil, Options{Root: root})
		require.NotNil(t, problem)
		assert.Equal(t, JournalFailed.Name, problem.Code.Name)
	}
	assert.Equal(t, "s3://"+at, newWorld(t).open("x").Where())
	assert.Len(t, Codes(), 2)
}

// The same journal in stores that people have: under Object Lock each write needs a
// checksum, others refuse the header.
func TestTheJournalIsKeptInEveryStoreWithConditions(t *testing.T) {
	for _, profile := range ledgertest.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			ctx := context.Background()
			store := ledgertest.Start(t, "bucket")
			store.Profile = profile
			region := "ap-south-1"
			if len(profile.Regions) > 0 {
				region = profile.Regions[0]
			}
			key := credentials.NewStaticCredentialsProvider("key", "none", "")
			client := s3object.NewClient(aws.Config{Region: region, Credentials: key, RetryMaxAttempts: 1}, store.URL, false)
			j, problem := Open(client, fakeaws.NewClock(), Options{Root: "s3://bucket/p", App: "app", Environment: "staging", Service: "svc"})
			require.Nil(t, problem)
			_, err := j.Read(ctx)
			require.NoError(t, err)
			if profile.NoConditions {
				require.ErrorContains(t, j.Hold(ctx), "does not implement conditional writes")
				return
			}
			require.NoError(t, j.Record(ctx, Run{Kind: Deploy, Image: "i"}))
			require.NoError(t, j.MarkRan(ctx, "repo@sha256:abc", "sha256:abc"))
			require.NoError(t, j.End(ctx, Run{Kind: Deploy, Image: "i", Verdict: Passed}))
			s, err := j.Read(ctx)
			require.NoError(t, err)
			assert.Len(t, s.Ended, 1)
			ran, err := j.Ran(ctx, "staging", "sha256:abc")
			require.NoError(t, err)
			assert.True(t, ran)
		})
	}
}

// A proxy that compresses makes W/"x" or "x-gzip" of an ETag. What is refused then is the store's fault, and of no other run.
func TestAnETagThatIsNotTakenIsNoOtherRun(t *testing.T) {
	for name, change := range map[string]func(tag string) string{
		"none": func(string) string { return "" }, "weak": func(tag string) string { return "W/" + tag },
		"compressed": func(tag string) string { return strings.TrimSuffix(tag, `"`) + `-gzip"` },
	} {
		t.Run(name, func(t *testing.T) {
			store := ledgertest.New("bucket")
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				store.ServeHTTP(answer, r)
				if tag := answer.Header().Get("ETag"); tag != "" {
					answer.Header().Set("ETag", change(tag))
				}
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			}))
			defer server.Close()
			client := s3object.NewClient(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}, server.URL, false)
			j, problem := Open(client, fakeaws.NewClock(), Options{Root: "s3://bucket/p", App: "app", Environment: "staging", Service: "svc"})
			require.Nil(t, problem)
			require.NoError(t, j.Hold(t.Context()), "there is nothing to be replaced yet")
			err := j.Record(t.Context(), Run{Kind: Deploy, Image: "i"})
			require.NotErrorIs(t, err, ErrMoved)
			require.True(t, s3object.IsKind(err, s3object.NoCAS), "%v", err)
			assert.Equal(t, JournalFailed.Name, Problem(err).Code.Name)
		})
	}
}

// A right to read and write helps nobody whom a policy denies it.
func TestTheRemedyOfADenial(t *testing.T) {
	assert.Contains(t, Problem(&s3object.Error{Kind: s3object.AccessDenied, Message: "s3:PutObject with an explicit deny in a resource-based " +
		"policy"}).Next, "default encryption")
	assert.Empty(t, Problem(&s3object.Error{Kind: s3object.AccessDenied, Message: "Access Denied"}).Next, "that of the code")
}

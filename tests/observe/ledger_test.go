package observe

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestAMonthOfRunsIsReadInSeconds reads 30 days of 50 runs a day from an S3 API of this machine,
// record by record, and then from the files of the months.
func TestAMonthOfRunsIsReadInSeconds(t *testing.T) {
	store := ledgertest.Start(t, "bucket")
	opened, err := ledger.Open(t.Context(), ledger.Options{Root: "s3://bucket/models", Endpoint: store.URL, Region: "eu-west-1",
		AccessKey: "access", SecretKey: "secret"})
	require.NoError(t, err)
	l := runledger.Open(opened.Beside(runledger.FolderOf("openstack-rca-system")), "production")
	until := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for n := range 1500 {
		r := record(n, until.Add(-time.Duration(n+1)*29*time.Minute), verdict.Pass)
		require.NoError(t, l.Write(t.Context(), r))
	}
	read := func() time.Duration {
		began := time.Now()
		h, err := l.Read(t.Context(), until.AddDate(0, 0, -31), until)
		require.NoError(t, err)
		assert.Equal(t, 1500, len(h.Records)) //nolint:testifylint // the records say nothing
		return time.Since(began)
	}
	single := read()
	began := time.Now()
	last := record(1600, until.AddDate(0, 0, 5), verdict.Pass)
	require.NoError(t, l.Write(t.Context(), last))
	rolled := time.Since(began)
	began = time.Now()
	_, err = l.Last(t.Context(), 60, until)
	require.NoError(t, err)
	trend := time.Since(began)
	began = time.Now()
	require.NoError(t, l.Write(t.Context(), record(1601, until.AddDate(0, 0, 6), verdict.Pass)))
	t.Logf("record by record %s, with the file of the month %s; writing that file %s; a trend %s, a record %s",
		single, read(), rolled, trend, time.Since(began))
	assert.Less(t, single, 3*time.Second)
}

// TestALedgerCostsARunLittle compares runs that end at once, with and without a ledger of a month, trends and
// a channel of notify included.
func TestALedgerCostsARunLittle(t *testing.T) {
	backend := failing(t)
	state := t.TempDir()
	l := runledger.Open(runledger.InDir(state, "openstack-rca-system"), "sandbox")
	for n := range 1500 {
		r := record(n, time.Now().Add(-time.Duration(n+1)*29*time.Minute), verdict.Pass)
		r.Environment = "sandbox"
		require.NoError(t, l.Write(t.Context(), r))
	}
	took := func(o pipeline.Observe) time.Duration {
		var all []time.Duration
		for range 5 {
			began := time.Now()
			run := pipeline.Run(t.Context(), backend, pipeline.Options{Ref: "main", Observe: o}).Run
			all = append(all, time.Since(began))
			require.Equal(t, verdict.Fail, run.Verdict)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	without, with := took(pipeline.Observe{}), took(pipeline.Observe{State: state})
	t.Logf("without a ledger %s, with 1,500 runs in one %s", without.Round(time.Millisecond), with.Round(time.Millisecond))
	assert.Less(t, with-without, 500*time.Millisecond)
}

// TestAGatewayThatHangsCostsFiveSeconds pushes to a server that accepts and never answers.
func TestAGatewayThatHangsCostsFiveSeconds(t *testing.T) {
	var listen net.ListenConfig
	silent, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	backend := failing(t)
	run := func(o pipeline.Observe) (*verdict.Run, time.Duration) {
		began := time.Now()
		return pipeline.Run(t.Context(), backend, pipeline.Options{Ref: "main", Observe: o}).Run, time.Since(began)
	}
	plain, quick := run(pipeline.Observe{})
	hung, slow := run(pipeline.Observe{PushgatewayURL: "http://" + silent.Addr().String(), OTLPEndpoint: "http://" + silent.Addr().String()})
	t.Logf("without %s, with both hanging %s", quick.Round(time.Millisecond), slow.Round(time.Millisecond))
	assert.Equal(t, plain.Verdict, hung.Verdict)
	assert.Equal(t, plain.Code, hung.Code)
	assert.Less(t, slow-quick, 5*time.Second)
}

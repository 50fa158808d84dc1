package publish

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// phase is the part of the protocol in which an error occurred. It determines what a failing MLflow server means for what is
// already published.
type phase int

const (
	preparing phase = iota
	uploading
	logging
	registering
	verifying
	committing
	aliasing
)

var mlflowCodes = map[mlflow.Kind]verdict.Code{
	mlflow.Unreachable: CodeUnreachable, mlflow.Broken: CodeUnreachable, mlflow.Server: CodeUnreachable,
	mlflow.Untrusted: CodeTLS, mlflow.Auth: CodeAuth, mlflow.Forbidden: CodeAuth, mlflow.Throttled: CodeThrottled,
	mlflow.NotJSON: CodeNotJSON, mlflow.Redirected: CodeNotJSON, mlflow.TooLarge: CodeNotJSON, mlflow.Unsupported: CodeUnsupported,
	mlflow.Local: CodeUploadFailed, mlflow.NoWorkspace: CodeInput, mlflow.Endless: CodeTooLong,
	mlflow.NotServed: CodeArtifactsElsewhere,
}

var ledgerCodes = map[ledger.Kind]verdict.Code{
	ledger.Unreachable: CodeS3Unreachable, ledger.NotS3: CodeS3Unreachable, ledger.Untrusted: CodeTLS, ledger.AccessDenied: CodeS3Denied,
	ledger.BadCredentials: CodeS3Denied,
	ledger.NoBucket:       CodeS3NoBucket, ledger.WrongRegion: CodeS3Region, ledger.ClockSkew: CodeClockSkew, ledger.Throttled: CodeThrottled,
	ledger.NoCAS: CodeNoCAS, ledger.Unreadable: CodeLedgerUnreadable, ledger.Corrupt: CodeCorrupt, ledger.Conflict: CodeConflict,
	ledger.Partial: CodeUploadPartial, ledger.Lost: CodeCommitLost, ledger.Taken: CodeSeriesTaken, ledger.TooLong: CodeTooLong,
	ledger.NotImplemented: CodeS3Unsupported, ledger.Abandoned: CodeClaimAbandoned,
}

// problem converts an error to a problem for the user.
func problem(ctx context.Context, at phase, err error) *verdict.Problem {
	var ready *verdict.Problem
	if errors.As(err, &ready) {
		return ready
	}
	if ctx.Err() != nil {
		return verdict.Problemf(CodeCancelled, "%v: %v", context.Cause(ctx), err)
	}
	var server *mlflow.Error
	var store *ledger.Error
	if errors.As(err, &server) {
		if next := room(server.Status, server.ErrorCode); next != "" {
			return withNext(next, err)
		}
		code, known := mlflowCodes[server.Kind]
		// A late failure leaves something behind; the code says what.
		late := map[phase]verdict.Code{registering: CodeRegistryFailed, aliasing: CodeAliasFailed}[at]
		switch {
		case !known && late.Name != "", code.Name == CodeUnreachable.Name && late.Name != "":
			code = late
		case !known && at == verifying:
			code = CodeVerifyFailed
		case !known:
			code = CodeRunFailed
		}
		p := verdict.Problemf(code, "%v", err)
		switch {
		case server.Status >= http.StatusInternalServerError && code.Name == CodeUnreachable.Name:
			p.Next = answered
		case server.Kind == mlflow.NoWorkspace:
			p.Next = "Set publish.workspace to a workspace that this server has and the account may use, or create it there; then " + again
		case server.Kind == mlflow.Unsupported && server.ErrorCode == "": // of an older MLflow, or of a path beside it
			p.Next = address + ". If it is right, use MLflow 2.3 or newer; then " + again
		case server.ErrorCode == "FEATURE_DISABLED": // MLflow's name for a store without a registry
			p.Next = "Start MLflow with a registry: with a database as its --backend-store-uri or --registry-store-uri; then " + again
		case strings.Contains(server.Message, mlflow.AllowedHosts):
			p.Next = "Start MLflow with " + mlflow.AllowedHosts + " and this name (MLflow 3.5 and newer), or use a name that it takes; then " + again
		}
		return p
	}
	if errors.As(err, &store) {
		if next := room(store.Status, store.Code); next != "" {
			return withNext(next, err)
		}
		code, known := ledgerCodes[store.Kind]
		switch {
		case !known && store.Kind == ledger.Other && strings.HasPrefix(store.Op, "list "): // AWS refuses no other listing this way
			code = CodeS3Unsupported
		case !known:
			code = CodeUploadFailed
		}
		p := verdict.Problemf(code, "%v", err)
		switch {
		case store.Denied() != "":
			p.Next = store.Denied() + ". Then " + again
		case store.Status >= http.StatusInternalServerError && code.Name == CodeS3Unreachable.Name:
			p.Next = answered
		case store.Kind == ledger.BadCredentials:
			p.Next = "Check the access key, its secret and its session token: one is wrong, or they have expired. Then " + again
		}
		return p
	}
	if at == preparing {
		return verdict.Problemf(CodeInput, "%v", err)
	}
	return verdict.Problemf(CodeUploadFailed, "%v", err)
}

// address is the remedy for a tracking URI that does not belong to MLflow.
const address = "Give the address of the MLflow server itself, with the path that its pages are below, if any; without /api"

// answered is the remedy for a server that responds with failures.
const answered = "See in the log of that server, or of the proxy in front of it, why it answers with an error; then " + again

// room returns the remedy for a server without space for a file, or a proxy that limits its size; it is empty for any other
// refusal. For lack of space each store has its own code.
func room(status int, code string) string {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return "Let the proxy in front of that server take larger bodies (nginx: client_max_body_size 0), then " + again
	case status == http.StatusInsufficientStorage, strings.Contains(code, "Quota"), strings.Contains(code, "StorageFull"):
		return "Make room in that store, or raise its quota, then " + again
	}
	return ""
}

func withNext(next string, err error) *verdict.Problem {
	p := verdict.Problemf(CodeUploadFailed, "%v", err)
	p.Next = next
	return p
}

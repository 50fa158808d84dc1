package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	_ "github.com/openstack-rca/openstack-rca/ci/awscall/machine" // profiles and default credentials
)

const (
	accountID = "111122223333"
	role      = "arn:aws:iam::" + accountID + ":role/deployer"
	other     = "arn:aws:iam::" + accountID + ":role/other"
)

// server answers as STS, and keeps what it was asked.
type server struct {
	*httptest.Server
	mu sync.Mutex
	// lifetime is that of the sessions it gives out.
	lifetime time.Duration
	// refusals are how many calls are throttled first.
	refusals int
	calls    []url.Values
	headers  []http.Header
}

func serve(t *testing.T) *server {
	s := &server{lifetime: time.Hour}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.calls, s.headers = append(s.calls, r.PostForm), append(s.headers, r.Header)
	if s.refusals > 0 {
		s.refusals--
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>`)
		return
	}
	action := r.PostForm.Get("Action")
	switch action {
	case "GetCallerIdentity":
		fmt.Fprintf(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::%[1]s:assumed-role/x/y</Arn><Account>%[1]s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, accountID)
	case "AssumeRole", "AssumeRoleWithWebIdentity":
		until := time.Now().Add(s.lifetime).UTC().Format(time.RFC3339)
		fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>key-%[2]d</AccessKeyId><SecretAccessKey>none</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%[3]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, len(s.calls), until)
	default:
		fmt.Fprint(w, `{}`)
	}
}

func (s *server) actions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, call := range s.calls {
		all = append(all, call.Get("Action"))
	}
	return all
}

// signer is the access key that the last call was signed with.
func (s *server) signer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, rest, _ := strings.Cut(s.headers[len(s.headers)-1].Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// alone keeps what this machine knows of AWS out of a test.
func alone(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func options(s *server) Options {
	return Options{Region: "ap-south-1", Endpoint: s.URL, AccessKey: "key-0", SecretKey: "none"}
}

func mustOpen(t *testing.T, o Options) *Clients {
	clients, problem := Open(context.Background(), o)
	require.Nil(t, problem)
	return clients
}

func TestTheGuardPassesTheRightAccountOnly(t *testing.T) {
	alone(t)
	s := serve(t)
	clients := mustOpen(t, options(s))
	who, problem := Guard(context.Background(), clients.STS, accountID)
	require.Nil(t, problem)
	assert.Equal(t, "arn:aws:sts::"+accountID+":assumed-role/x/y", who)
	assert.Equal(t, "key-0", s.signer())
	for _, wrong := range []string{"444455556666", ""} {
		_, problem = Guard(context.Background(), clients.STS, wrong)
		require.NotNil(t, problem)
		assert.Equal(t, WrongAccount.Name, problem.Code.Name)
		assert.Contains(t, problem.Error(), accountID)
	}
}

func TestEveryMistakeInTheOptionsIsNamedAtOnce(t *testing.T) {
	_, problem := Open(context.Background(), Options{
		Region: "nowhere", Endpoint: "localhost:4566", AccessKey: "key", Profile: "p", WebIdentityRole: "me", ExternalID: "x",
		Session: time.Second,
	})
	require.NotNil(t, problem)
	assert.Equal(t, CredentialsInvalid.Name, problem.Code.Name)
	for _, part := range []string{"region", "endpoint", "secret key", "needs a role", "more than one", "not the ARN of a role", "external id",
		"15m..12h"} {
		assert.Contains(t, problem.Error(), part)
	}
	_, problem = Open(context.Background(), Options{Region: "ap-south-1", SessionToken: "t", Endpoint: "https://someone:hidden@host"})
	require.NotNil(t, problem)
	assert.Contains(t, problem.Error(), "session token needs its access key")
	assert.NotContains(t, problem.Error(), "hidden")
}

func TestARoleIsAssumedAgainBeforeItsSessionEnds(t *testing.T) {
	alone(t)
	s := serve(t)
	s.lifetime = refreshBefore - time.Second // already inside the window of renewal
	o := options(s)
	o.Role, o.ExternalID, o.SessionName, o.Session = role, "ours", "deploy of c0ffee / 7", time.Hour
	clients := mustOpen(t, o)
	for range 2 {
		_, problem := Guard(context.Background(), clients.STS, accountID)
		require.Nil(t, problem)
	}
	assert.Equal(t, []string{"AssumeRole", "GetCallerIdentity", "AssumeRole", "GetCallerIdentity"}, s.actions())
	assert.Equal(t, "key-3", s.signer())
	assert.Equal(t, "deploy-of-c0ffee-7", s.calls[0].Get("RoleSessionName"))
	assert.Equal(t, "ours", s.calls[0].Get("ExternalId"))
	assert.Equal(t, "3600", s.calls[0].Get("DurationSeconds"))

	s.lifetime = time.Hour
	before := len(s.actions())
	for range 3 {
		_, problem := Guard(context.Background(), clients.STS, accountID)
		require.Nil(t, problem)
	}
	assert.Len(t, s.actions()[before:], 4, "a fresh session is used until it is near its end")
}

func TestAWebIdentityIsExchangedAndThenTakesAnotherRole(t *testing.T) {
	alone(t)
	s := serve(t)
	clients := mustOpen(t, Options{
		Region: "ap-south-1", Endpoint: s.URL, WebIdentityRole: role, Role: other,
		WebIdentity: func() ([]byte, error) { return []byte("header.payload.signature\n"), nil },
	})
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.Nil(t, problem)
	assert.Equal(t, []string{"AssumeRoleWithWebIdentity", "AssumeRole", "GetCallerIdentity"}, s.actions())
	assert.Equal(t, "header.payload.signature", s.calls[0].Get("WebIdentityToken"))
	assert.Equal(t, role, s.calls[0].Get("RoleArn"))
	assert.Equal(t, "openstack-rca", s.calls[0].Get("RoleSessionName"))
	assert.Equal(t, other, s.calls[1].Get("RoleArn"))
	assert.Empty(t, s.headers[0].Get("Authorization"), "the exchange is not signed")
}

func TestAWebIdentityWithoutTokenIsNoCredentials(t *testing.T) {
	alone(t)
	for text, token := range map[string]func() ([]byte, error){
		"it is empty":  func() ([]byte, error) { return []byte(" \n"), nil },
		"no such file": func() ([]byte, error) { return nil, errors.New("no such file") },
	} {
		s := serve(t)
		clients := mustOpen(t, Options{Region: "ap-south-1", Endpoint: s.URL, WebIdentityRole: role, WebIdentity: token, Attempts: 1})
		_, problem := Guard(context.Background(), clients.STS, accountID)
		require.NotNil(t, problem)
		assert.Equal(t, CredentialsInvalid.Name, problem.Code.Name)
		assert.Contains(t, problem.Error(), text)
		assert.NotContains(t, problem.Error(), "\n")
		assert.Empty(t, s.actions())
	}
}

func TestAProfileIsReadFromTheSharedFiles(t *testing.T) {
	alone(t)
	s := serve(t)
	file := filepath.Join(t.TempDir(), "credentials")
	require.NoError(t, os.WriteFile(file, []byte("[staging]\naws_access_key_id = key-staging\naws_secret_access_key = none\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	clients := mustOpen(t, Options{Region: "ap-south-1", Endpoint: s.URL, Profile: "staging"})
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.Nil(t, problem)
	assert.Equal(t, "key-staging", s.signer())

	_, problem = Open(context.Background(), Options{Region: "ap-south-1", Profile: "nobody"})
	require.NotNil(t, problem)
	assert.Equal(t, CredentialsInvalid.Name, problem.Code.Name)
	assert.Contains(t, problem.Error(), "nobody")
}

func TestTheEnvironmentNamesCredentialsAndEndpoint(t *testing.T) {
	alone(t)
	s := serve(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "key-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "none")
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	clients := mustOpen(t, Options{Region: "ap-south-1"})
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.Nil(t, problem)
	assert.Equal(t, "key-environment", s.signer())
	_, err := clients.CloudWatch.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{})
	require.Error(t, err, "the stand-in knows no alarms")
	assert.Contains(t, s.actions(), "DescribeAlarms", "other servers than AWS's own are asked by the query protocol")
}

func TestWithoutCredentialsTheGuardSaysSo(t *testing.T) {
	alone(t)
	s := serve(t)
	clients := mustOpen(t, Options{Region: "ap-south-1", Endpoint: s.URL})
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.NotNil(t, problem)
	assert.Equal(t, CredentialsInvalid.Name, problem.Code.Name)
	assert.Empty(t, s.actions())
}

func TestAnotherServerIsNotTakenForWrongCredentials(t *testing.T) {
	alone(t)
	for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusForbidden, http.StatusNotFound} {
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://login.example.org/")
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html><title>Sign in</title></html>"))
		}))
		defer page.Close()
		o := options(serve(t))
		o.Endpoint, o.Attempts = page.URL, 1
		_, problem := Guard(context.Background(), mustOpen(t, o).STS, accountID)
		require.NotNil(t, problem)
		assert.Equal(t, Unreachable.Name, problem.Code.Name, "%d: %s", status, problem.Cause)
		assert.Contains(t, problem.Next, "--aws-endpoint-url")
	}
}

func TestWhatDoesNotAnswerIsNotTakenForWrongCredentials(t *testing.T) {
	alone(t)
	s := serve(t)
	o := options(s)
	o.Attempts = 1
	clients := mustOpen(t, o)
	s.Close()
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.NotNil(t, problem)
	assert.Equal(t, Unreachable.Name, problem.Code.Name)
	assert.Contains(t, problem.Error(), "connection refused")
}

func TestAThrottledCallIsTriedAgain(t *testing.T) {
	alone(t)
	s := serve(t)
	s.refusals = 1
	clients := mustOpen(t, options(s))
	_, problem := Guard(context.Background(), clients.STS, accountID)
	require.Nil(t, problem)
	assert.Len(t, s.actions(), 2)

	s.refusals = 2
	o := options(s)
	o.Attempts = 1
	_, problem = Guard(context.Background(), mustOpen(t, o).STS, accountID)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Error(), "Rate exceeded")
}

func TestEveryClientGoesToTheEndpoint(t *testing.T) {
	alone(t)
	s := serve(t)
	_, err := mustOpen(t, options(s)).ECS.ListTasks(context.Background(), &ecs.ListTasksInput{})
	require.NoError(t, err)
	assert.Contains(t, s.headers[0].Get("X-Amz-Target"), "ListTasks")
}

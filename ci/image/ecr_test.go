package image_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// api is ECR's API: it answers each call with a status and a body.
func api(t *testing.T, status int, body string) (string, *[]*http.Request) {
	t.Helper()
	var asked []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL, &asked
}

// inECR is a push to ECR with AWS credentials instead of a login.
func inECR(w *world, endpoint string) image.Push {
	client := w.engine.Client(w.t)
	return image.Push{
		Address: "123456789012.dkr.ecr.ap-south-1.amazonaws.com/acme/rca",
		AWS:     image.AWS{AccessKey: client.SetSecret("key", "x"), SecretKey: client.SetSecret("secret", "x"), Endpoint: endpoint},
	}
}

func TestALoginToECRIsMadeOfAWSCredentials(t *testing.T) {
	w := newWorld(t)
	token := base64.StdEncoding.EncodeToString([]byte("AWS:a-password"))
	endpoint, asked := api(t, 200, `{"authorizationData":[{"authorizationToken":"`+token+`","expiresAt":1}]}`)
	w.in.Push = inECR(w, endpoint)
	user, password, problem := image.Login(t.Context(), w.engine.Client(t), w.in)
	require.Nil(t, problem)
	assert.Equal(t, "AWS", user)
	assert.Equal(t, "a-password", password)
	require.Len(t, *asked, 1)
	request := (*asked)[0]
	assert.Equal(t, "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", request.Header.Get("X-Amz-Target"))
	assert.Contains(t, request.Header.Get("Authorization"), "/ap-south-1/ecr/aws4_request", "signed for the registry's own region")
}

func TestALoginThatIsGivenComesFirst(t *testing.T) {
	w := newWorld(t)
	endpoint, asked := api(t, 500, "")
	w.in.Push = inECR(w, endpoint)
	w.in.Push.Username, w.in.Push.Password = "AWS", w.engine.Client(t).SetSecret("registry", "hunter2-hunter2")
	user, password, problem := image.Login(t.Context(), w.engine.Client(t), w.in)
	require.Nil(t, problem)
	assert.Equal(t, "AWS", user)
	assert.Equal(t, "hunter2-hunter2", password)
	assert.Empty(t, *asked)
}

func TestWhatECRRefuses(t *testing.T) {
	for sentence, c := range map[string]struct {
		status int
		body   string
		change func(*world)
		code   verdict.Code
		cause  string
	}{
		"wrong keys":   {400, `{"__type":"UnrecognizedClientException","message":"The security token is invalid"}`, nil, image.CodePushAuth, "UnrecognizedClientException"},
		"denied":       {400, `{"__type":"AccessDeniedException","message":"not authorized to perform ecr:GetAuthorizationToken"}`, nil, image.CodePushAuth, "ecr:GetAuthorizationToken"},
		"throttled":    {400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, nil, image.CodePushThrottled, "ThrottlingException"},
		"down":         {500, `{"__type":"ServerException","message":"oops"}`, nil, image.CodePushUnavailable, "ServerException"},
		"no answer":    {0, "", func(w *world) { w.in.Push.AWS.Endpoint = "http://127.0.0.1:1" }, image.CodePushUnavailable, "connection refused"},
		"no login":     {200, `{"authorizationData":[]}`, nil, image.CodePushFailed, "the answer has no login"},
		"not a login":  {200, `{"authorizationData":[{"authorizationToken":"%%"}]}`, nil, image.CodePushFailed, "the answer has no login"},
		"no keys":      {200, "", func(w *world) { w.in.Push.AWS = image.AWS{} }, image.CodePushAuth, "neither its login nor AWS credentials"},
		"keys unread":  {200, "", func(w *world) { w.engine.Answer("setSecret.plaintext", errors.New("gone")) }, image.CodePushAuth, "cannot be read"},
		"a wrong word": {400, `{"__type":"InvalidParameterException","message":"x"}`, nil, image.CodePushAuth, "InvalidParameter"},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			endpoint, _ := api(t, max(c.status, 200), c.body)
			w.in.Push = inECR(w, endpoint)
			if c.change != nil {
				c.change(w)
			}
			_, _, problem := image.Login(t.Context(), w.engine.Client(t), w.in)
			require.NotNil(t, problem)
			assert.Equal(t, c.code.Name, problem.Code.Name)
			assert.Contains(t, problem.Cause, c.cause)
			assert.NotContains(t, problem.Cause, "hunter2")
		})
	}
}

// TestATokenIsAskedForWhereTheRegistryWantsOne is how Docker Hub and GHCR do it: 401 with the
// address of a token server, which takes the login and gives a token for the repository.
func TestATokenIsAskedForWhereTheRegistryWantsOne(t *testing.T) {
	w := newWorld(t)
	w.production()
	var logins []string
	behind := w.registry
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		switch {
		case r.URL.Path == "/token":
			logins = append(logins, user+" "+r.URL.Query().Get("scope"))
			if !basic || password != "hunter2-hunter2" {
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = rw.Write([]byte(`{"token":"a-token"}`))
		case r.Header.Get("Authorization") != "Bearer a-token":
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			forward(rw, r, behind)
		}
	}))
	t.Cleanup(front.Close)
	w.in.Push.Address = strings.TrimPrefix(front.URL, "http://") + "/acme/rca"
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.Contains(t, strings.Join(logins, "\n"), "ci repository:acme/rca:push,pull")
	assert.Equal(t, r.Reference.Digest, w.tags(behind, "acme/rca")["latest"])

	w.in.Commit = strings.Repeat("2", 40)
	w.engine.Answer("setSecret.plaintext", "wrong")
	r = w.run()
	assert.Equal(t, image.CodePushAuth.Name, r.Stage.Code)
	assert.NotContains(t, w.tags(behind, "acme/rca"), "sha-"+w.in.Commit)
}

// forward is as much of a reverse proxy as a registry needs.
func forward(rw http.ResponseWriter, r *http.Request, host string) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", host, ""
	out.Host = r.Host
	out.Header.Del("Authorization")
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	for name, values := range answer.Header {
		rw.Header()[name] = values
	}
	rw.WriteHeader(answer.StatusCode)
	buffer := make([]byte, 1<<16)
	for {
		n, err := answer.Body.Read(buffer)
		_, _ = rw.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}

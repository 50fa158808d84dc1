//go:build unix

package publishstage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// told is what a call printed and its exit status.
type told struct {
	exit   int
	stdout string
	all    string
}

// run runs a command at the root of the repository.
func run(t *testing.T, env []string, name string, args ...string) told {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir, command.Env = reachable.Root(), append(os.Environ(), env...)
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &all
	err := command.Run()
	said := told{stdout: stdout.String(), all: stdout.String() + all.String()}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		said.exit = failed.ExitCode()
	} else {
		require.NoError(t, err, said.all)
	}
	return said
}

// reported is what these tests read of report.json.
type reported struct {
	Verdict string
	Stages  []reportedStage
}

type reportedStage struct {
	Name, Verdict, Code, Cause, Next string
	Published                        []string
	Evidence                         []struct{ Name, Value string }
	Warnings                         []struct{ Code, Cause string }
}

func (r reported) publish(t *testing.T) reportedStage {
	t.Helper()
	for _, s := range r.Stages {
		if s.Name == "publish" {
			return s
		}
	}
	t.Fatalf("no stage publish in %+v", r)
	return reportedStage{}
}

func (s reportedStage) fact(name string) string {
	for _, e := range s.Evidence {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// objects are the keys of the sandbox's bucket with their times.
func (s *servers) objects(t *testing.T) map[string]string {
	t.Helper()
	client := s3.New(s3.Options{BaseEndpoint: aws.String(s.target.S3Endpoint), UsePathStyle: true, Region: sandbox.Region,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKey, sandbox.SecretKey, "")})
	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(sandbox.Bucket)})
	require.NoError(t, err)
	found := map[string]string{}
	for _, o := range listed.Contents {
		found[aws.ToString(o.Key)] = o.LastModified.String()
	}
	return found
}

// TestPublishUnderTheEngine publishes by the CLI and a real engine to a real MLflow server
// and S3 API of this test, twice, and then works on what is published.
func TestPublishUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	s := start(t, sandbox.MLflow)
	call := func(args ...string) told {
		t.Helper()
		all := append([]string{"--progress=plain", "call", "--source", filepath.Join("tests", "fixtures", "tiny"), "--commit", "0123456789abcdef",
			"--sandbox-mlflow", "tcp://" + s.mlflow.Address, "--sandbox-s3", "tcp://" + s.s3.Address}, args...)
		return run(t, nil, "dagger", all...)
	}
	report := func(said told) reportedStage {
		t.Helper()
		require.Equal(t, 0, said.exit, said.all)
		var r reported
		require.NoError(t, json.Unmarshal([]byte(said.stdout), &r), said.all)
		return r.publish(t)
	}
	first := report(call("train", "publish", "json"))
	require.Equal(t, "pass", first.Verdict, first.Cause)
	assert.Equal(t, "1, committed", first.fact("version"))
	assert.Equal(t, "the golden sample scores as trained", first.fact("model loaded from the registry"))
	written := s.objects(t)
	require.Contains(t, written, "models/tiny-sandbox_0001/COMMIT.json")

	second := report(call("train", "publish", "json"))
	assert.Equal(t, "1, already published", second.fact("version"))
	assert.Equal(t, written, s.objects(t), "nothing is written")

	listed := report(call("models", "json"))
	assert.Equal(t, "1", listed.fact("committed versions listed"))
	var list struct {
		Versions []publish.Listed `json:"versions"`
	}
	machines := call("models", "list")
	require.NoError(t, json.Unmarshal([]byte(machines.stdout), &list), machines.all)
	require.Len(t, list.Versions, 1)
	assert.Equal(t, "0123456789abcdef", list.Versions[0].Commit)
	promoted := report(call("promote", "--by", "release team", "json"))
	assert.Equal(t, "version 1 (number 1), before: none", promoted.fact("alias production"))
	const model = "tiny_sandbox_tiny_model"
	pointed, err := s.client(t).ModelVersionByAlias(t.Context(), model, "production")
	require.NoError(t, err)
	require.NotNil(t, pointed)
	assert.Equal(t, "0123456789abcdef", pointed.Tags["git_commit"])
	refused := call("rollback-model", "enforce")
	assert.Equal(t, 1, refused.exit)
	assert.Contains(t, refused.all, "FAIL publish NO_PREVIOUS_VERSION")
	assert.Equal(t, "0", report(call("clean-claims", "json")).fact("claims cleaned"))
	assert.Equal(t, written, s.objects(t), "no file was uploaded or removed")
	summary := call("models", "summary")
	require.Equal(t, 0, summary.exit, summary.all)
	assert.Contains(t, summary.stdout, "champion, production, sandbox")
	assert.False(t, strings.Contains(summary.all, sandbox.SecretKey), "not even the sandbox's")
}

package assembly

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAnEngineHasImages(t *testing.T) {
	client := daggertest.New(t).Client(t)
	e := OnEngine(client, client.Directory(), t.TempDir(), Push{}, nil, nil)
	assert.Equal(t, "engine", e.Backend.Runner.Name())
	assert.NotNil(t, e.Backend.BuildImage)
	assert.Nil(t, e.Backend.ServeApp)
	require.NoError(t, e.Close(t.Context()))
}

func TestTheImageIsHandedItsPortAndItsDestination(t *testing.T) {
	d := daggertest.New(t)
	d.Answer("setSecret.plaintext", "robot")
	client := d.Client(t)
	e := OnEngine(client, client.Directory(), t.TempDir(), Push{Address: "ghcr.io/acme/rca", Username: client.SetSecret("user", "robot"), Password: client.SetSecret("password", "x"), AWS: image.AWS{AccessKey: client.SetSecret("key", "x")}}, nil, nil)
	in, err := e.input(t.Context(), pipeline.ImageRequest{Config: config.Default(), Source: e.Backend.Source,
		Environment: "production", Pushes: true, Redact: strings.ToUpper})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(in.Config.Image.Command, " "), "--server.port=7051")
	assert.Equal(t, "ghcr.io/acme/rca", in.Push.Address)
	assert.Equal(t, "robot", in.Push.Username)
	assert.NotNil(t, in.Push.AWS.AccessKey)
	assert.False(t, in.Push.Sandbox)
	assert.Equal(t, "A", in.Redact("a"))

	for _, request := range []pipeline.ImageRequest{{Environment: config.Sandbox, Pushes: true}, {Environment: "production"}} {
		request.Config, request.Source = config.Default(), e.Backend.Source
		in, err = e.input(t.Context(), request)
		require.NoError(t, err)
		assert.True(t, in.Push.Sandbox, "whatever login was given")
	}
}

func TestAnImageIsPushedOnlyWithThePermit(t *testing.T) {
	client := daggertest.New(t).Client(t)
	to := image.Push{Address: "ghcr.io/acme/rca", Username: "robot", Password: client.SetSecret("password", "x")}
	gate := policy.NewGate(config.Default(), policy.Request{Ref: "main", Environment: "production", Runner: policy.Engine})
	permit := func(action policy.Action) policy.Permit {
		permit, refused := gate.Ask(action, nil)
		require.Nil(t, refused)
		return permit
	}
	assert.Equal(t, to, permitted(to, permit(policy.Action{Stage: verdict.Image, Recorded: true})))
	kept := image.Push{Address: "ghcr.io/acme/rca", Sandbox: true}
	assert.Equal(t, kept, permitted(to, policy.Permit{}))
	assert.Equal(t, kept, permitted(to, permit(policy.Action{Stage: verdict.Publish, Recorded: true})), "one permit, one stage")
	assert.Equal(t, kept, permitted(to, permit(policy.Action{Stage: verdict.Image, Reads: true})))
}

func TestALoginThatCannotBeReadStopsTheImage(t *testing.T) {
	d := daggertest.New(t)
	d.Answer("setSecret.plaintext", errors.New("no such secret"))
	client := d.Client(t)
	e := OnEngine(client, client.Directory(), t.TempDir(), Push{Username: client.SetSecret("user", "robot")}, nil, nil)
	request := pipeline.ImageRequest{Config: config.Default(), Source: e.Backend.Source, Model: &model.Artifact{Files: e.Backend.Source}}
	e.Backend.WarmUp(t.Context(), request) // nothing to begin with, and no reason to fall
	stage := e.Backend.BuildImage(t.Context(), request).Stage
	assert.NotEqual(t, verdict.Pass, stage.Verdict)
	assert.Equal(t, image.CodeBuildFailed.Name, stage.Code)
	assert.Contains(t, stage.Cause, "read the registry's user name")
	require.NoError(t, e.Close(t.Context()))
}

package release

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (w *world) imports(from Source) *Result {
	in := w.in
	in.Spec, in.Journal = config.Default().RolloutSpec(), ""
	return Import(w.ctx, w.clients(), w.clock, in, from)
}

func TestAfterAnImportAPlanChangesNothing(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, "sha256:"+strings.Repeat("9", 64))
	was := len(w.aws.Calls())
	from := Source{Cluster: theirCluster, Service: theirService, Region: "ap-south-1", Container: "web", Journal: "s3://bucket/models"}
	result := w.imports(from)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Empty(t, writes(w.aws.Calls()[was:]))

	cfg, err := config.Load([]byte(result.Text), "staging")
	require.NoError(t, err, result.Text)
	w.in.Spec, w.in.Journal = cfg.RolloutSpec(), ""
	assert.Equal(t, 8080, w.in.Spec.App.Port)
	w.in.Image = image("9")
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	require.Equal(t, verdict.Pass, plan.Stage.Verdict, plan.Stage.Cause)
	assert.False(t, plan.Changed, plan.Text)
	w.deployed("b")
	assert.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService))

	// What was deployed here is imported as well, and without a journal a plan is still made.
	from.Journal = ""
	again := w.imports(from)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Cause)
	cfg, err = config.Load([]byte(again.Text), "staging")
	require.NoError(t, err)
	assert.Empty(t, cfg.Rollout.Journal)
}

func TestWhatCannotBeImported(t *testing.T) {
	digest := "sha256:" + strings.Repeat("9", 64)
	for name, test := range map[string]struct {
		from   Source
		task   func(*ecs.RegisterTaskDefinitionInput)
		tagged bool
		env    string
		code   verdict.Code
		cause  string
	}{
		"the sandbox":            {env: rollout.Sandbox, code: NoSandbox},
		"no such service":        {from: Source{Cluster: theirCluster, Service: "none"}, code: deployment.TargetMissing, cause: "none"},
		"no such cluster":        {from: Source{Cluster: "none", Service: theirService}, code: deployment.TargetMissing, cause: "none"},
		"two may be meant":       {code: rollout.ContainerUnknown, cause: "web, envoy"},
		"an unknown container":   {from: Source{Container: "db"}, code: rollout.ContainerUnknown, cause: "db"},
		"ECS names no digest":    {from: Source{Container: "web"}, code: ImportIncomplete, cause: "which digest"},
		"a name that is no name": {from: Source{Container: "web", Region: "mars"}, tagged: true, code: rollout.PlanInvalid, cause: "mars"},
		"the image is no image": {from: Source{Container: "web"}, task: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Image = aws.String("not an image")
		}, code: ImportIncomplete, cause: "not an image"},
	} {
		t.Run(name, func(t *testing.T) {
			task := theirTask()
			if test.task != nil {
				test.task(task)
			}
			w := theirs(t, task, nil)
			if test.tagged {
				w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, digest)
			}
			if test.env != "" {
				w.in.Environment = test.env
			}
			if test.from.Service == "" {
				test.from.Cluster, test.from.Service = theirCluster, theirService
			}
			if test.from.Region == "" {
				test.from.Region = "ap-south-1"
			}
			was := len(w.aws.Calls())
			result := w.imports(test.from)
			w.code(t, test.code, result)
			assert.Contains(t, result.Stage.Cause, test.cause)
			assert.Empty(t, writes(w.aws.Calls()[was:]))
		})
	}
}

func TestAServiceWithoutAGoodNameGetsOne(t *testing.T) {
	for service, want := range map[string]string{"web": "web", "Shop_Web": "shop-web", "7up": "app-7up", "__": "app"} {
		assert.Equal(t, want, applicationName(service))
		content := importedConfig(spec.Spec{Application: applicationName(service), App: spec.App{Repository: "shop/web"}, Adopt: spec.AdoptService,
			Account: accountID, Region: "ap-south-1", Cluster: "c", Service: service, Container: "web"}, "staging")
		_, err := config.Load([]byte(content), "staging")
		assert.NoError(t, err, content)
	}
}

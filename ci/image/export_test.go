package image

import (
	"context"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// For the tests of this package.
var (
	CheckConfig   = checkConfig
	LooksSecret   = looksSecret
	SecretsIn     = secretsIn
	PushCode      = registry.CodeOf
	Quoted        = quoted
	HealthCommand = healthCommand
)

// NoPause lets pushes be repeated at once, and counts the pauses.
func NoPause(count *int) (restore func()) {
	before := pauseFor
	pauseFor = func(context.Context, time.Duration) error { *count++; return nil }
	return func() { pauseFor = before }
}

// Login is the login for a push, as user and password.
func Login(ctx context.Context, client *dagger.Client, in Input) (user, password string, problem *verdict.Problem) {
	p := pusher{&session{client: client, in: in, stage: &verdict.Stage{}}}
	repo, err := repository(in)
	if err != nil {
		panic(err)
	}
	auth, problem := p.registryLogin(ctx, repo.Registry())
	if problem != nil {
		return "", "", problem
	}
	config, err := auth.Authorization()
	if err != nil {
		panic(err)
	}
	return config.Username, config.Password, nil
}

// LineOf and RunLine find lines of a Dockerfile.
func LineOf(text, cause string) int             { return lineOf(parseDockerfile(text), cause) }
func RunLine(text string, command []string) int { return runLine(parseDockerfile(text), command) }

// No test waits for ECR to be asked again.
func init() { ecrAttempts = 1 }

package main

import (
	"context"
	"fmt"

	sdk "dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// This file is the only one that converts between the two type sets: the client
// generated for this module (internal/dagger), which its public functions use, and
// the SDK (dagger.io/dagger), which the code under ci/ is written against so that it
// compiles and is tested without code generation. Both use the same session, so an
// object is passed by its ID.

// connect opens the SDK's client on this function's session.
func connect(ctx context.Context) (*sdk.Client, error) {
	client, err := sdk.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the session: %w", err)
	}
	return client, nil
}

func toSDKDirectory(ctx context.Context, client *sdk.Client, dir *dagger.Directory) (*sdk.Directory, error) {
	id, err := dir.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("identify directory: %w", err)
	}
	return sdk.Ref[*sdk.Directory](client, sdk.ID(id)), nil
}

func toSDKService(ctx context.Context, client *sdk.Client, service *dagger.Service) (*sdk.Service, error) {
	id, err := service.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("identify service: %w", err)
	}
	return sdk.Ref[*sdk.Service](client, sdk.ID(id)), nil
}

func fromSDKDirectory(ctx context.Context, dir *sdk.Directory) (*dagger.Directory, error) {
	id, err := dir.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("identify directory: %w", err)
	}
	return dagger.Ref[*dagger.Directory](dag, dagger.ID(id)), nil
}

func fromSDKContainer(ctx context.Context, ctr *sdk.Container) (*dagger.Container, error) {
	id, err := ctr.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("identify container: %w", err)
	}
	return dagger.Ref[*dagger.Container](dag, dagger.ID(id)), nil
}

// secret wraps a secret argument for the code under ci/ and registers it for masking in reports;
// nil stays nil. Together with sdkSecret it is the only way from an argument to its use.
func (c *call) secret(name string, s *dagger.Secret) runner.Secret {
	if s == nil {
		return nil
	}
	return c.secrets.Keep(daggerSecret{name, s})
}

// username wraps a secret argument that a report may show: masking a short name would mask much else.
func username(name string, s *dagger.Secret) runner.Secret {
	if s == nil {
		return nil
	}
	return daggerSecret{name, s}
}

// sdkSecret is secret for code that uses the engine directly.
func (c *call) sdkSecret(name string, s *dagger.Secret) (*sdk.Secret, error) {
	c.secret(name, s)
	return c.sdkUsername(s)
}

// sdkUsername is username for code that uses the engine directly.
func (c *call) sdkUsername(s *dagger.Secret) (*sdk.Secret, error) {
	if s == nil {
		return nil, nil
	}
	id, err := s.ID(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("identify secret: %w", err)
	}
	return sdk.Ref[*sdk.Secret](c.client, sdk.ID(id)), nil
}

// daggerSecret lets the code under ci/ fetch a secret where it uses it.
type daggerSecret struct {
	name   string
	secret *dagger.Secret
}

// Name implements runner.Secret.
func (s daggerSecret) Name() string { return s.name }

// Plaintext implements runner.Secret.
func (s daggerSecret) Plaintext(ctx context.Context) (string, error) {
	return s.secret.Plaintext(ctx)
}

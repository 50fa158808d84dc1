package image

import (
	"context"
	"time"
)

// For the tests of this package.
var (
	CheckConfig   = checkConfig
	LooksSecret   = looksSecret
	SecretsIn     = secretsIn
	Listening     = listening
	PushCode      = pushCode
	LastLines     = lastLines
	Quoted        = quoted
	HealthCommand = healthCommand
)

// NoPause lets pushes be repeated at once, and counts the pauses.
func NoPause(count *int) (restore func()) {
	before := pauseFor
	pauseFor = func(context.Context, time.Duration) error { *count++; return nil }
	return func() { pauseFor = before }
}

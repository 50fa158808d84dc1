//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// signalled sends a signal to this process.
func signalled(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), s))
}

func TestASignalEndsTheRunAndTheSecondHurriesIt(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			// Started by nohup, or in the background of a script: who did that wants no end by this signal, and none comes.
			continue
		}
		ctx, stop := interruptible(t.Context())
		hurried := make(chan struct{})
		forget := onHurry(ctx, func() { close(hurried) })
		signalled(t, s)
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), context.Canceled)
		require.ErrorContains(t, context.Cause(ctx), s.String())
		select {
		case <-hurried:
			t.Fatal("one signal is no hurry")
		default:
		}
		signalled(t, syscall.SIGTERM)
		<-hurried
		assert.False(t, forget(), "it was called")
		stop()
	}
}

func TestAClosedPipeDoesNotEndTheRun(t *testing.T) {
	ctx, stop := interruptible(t.Context())
	signalled(t, syscall.SIGPIPE)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = w.WriteString("anybody there?\n")
	require.ErrorIs(t, err, syscall.EPIPE)
	require.NoError(t, w.Close())
	require.NoError(t, ctx.Err())
	stop()
	require.Error(t, ctx.Err())
}

func TestNobodyHurriesWithoutSignals(t *testing.T) {
	called := false
	assert.True(t, onHurry(t.Context(), func() { called = true })())
	ctx, stop := interruptible(t.Context())
	assert.True(t, onHurry(ctx, func() { called = true })())
	stop()
	assert.False(t, called)
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// hurryKey is the key of the context that is cancelled when a run is interrupted a second time.
type hurryKey struct{}

// interruptible returns a context that is cancelled by the first signal to terminate: Ctrl-C, Ctrl-\,
// SIGTERM, or the loss of the terminal. The run then stops its steps, which may take ten
// seconds, and writes its report. The second signal stops the steps at once, the third this
// process. Call stop to restore the default.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	// nohup makes a process ignore this one.
	if !signal.Ignored(syscall.SIGHUP) {
		ending = append(ending, syscall.SIGHUP)
	}
	told := make(chan os.Signal, 2)
	signal.Notify(told, ending...)
	// The reader of our output may have exited, too, but the report must still be written. Without
	// this, the first line to a closed pipe would kill the process.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)

	hurry, hasten := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, hurryKey{}, hurry))
	stopped := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stopped:
				return
			case s := <-told:
				cancel(fmt.Errorf("%w by signal: %v", context.Canceled, s))
				if n > 1 {
					hasten()
					signal.Reset(ending...)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(told)
		signal.Stop(broken)
		close(stopped)
		cancel(nil)
		hasten()
	}
}

// onHurry calls hurry when the run is interrupted a second time. Call the returned function
// when there is nothing left to stop.
func onHurry(ctx context.Context, hurry func()) (stop func() bool) {
	second, ok := ctx.Value(hurryKey{}).(context.Context)
	if !ok {
		return func() bool { return true }
	}
	return context.AfterFunc(second, hurry) //nolint:contextcheck // the second interrupt has its own context
}

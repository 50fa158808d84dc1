package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pulse is the interval between lines about a stage that is still running.
const pulse = time.Minute

// progress reports when stages start and end, and what the others wait for. Its methods may be called concurrently.
type progress struct {
	// telling is locked while tell runs, so that lines do not overlap.
	telling sync.Mutex
	tell    func(string)

	mu      sync.Mutex
	running []string
}

// say passes a line on; it does nothing without a listener.
func (p *progress) say(format string, args ...any) {
	if p.tell != nil {
		p.telling.Lock()
		defer p.telling.Unlock()
		p.tell(fmt.Sprintf(format, args...))
	}
}

// began records the start of a stage. The returned function records its end.
func (p *progress) began(name string) (ended func(stage verdict.Stage)) {
	p.mu.Lock()
	p.running = append(p.running, name)
	p.say("%s: started", name)
	p.mu.Unlock()
	started, ticker, over := time.Now(), time.NewTicker(pulse), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				p.say("%s: still running after %s", name, time.Since(started).Round(time.Second))
			case <-over:
				return
			}
		}
	}()
	return func(stage verdict.Stage) {
		ticker.Stop()
		close(over)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = slices.DeleteFunc(p.running, func(n string) bool { return n == name })
		line := fmt.Sprintf("%s: %s after %s", name, stage.Verdict, time.Since(started).Round(time.Second))
		if stage.Code != "" {
			line += " (" + stage.Code + ")"
		}
		if stage.Verdict == verdict.NotRun {
			line += ": " + stage.Cause
		}
		for _, e := range stage.Evidence {
			switch {
			case e.Name == verdict.Reused:
				line += ": reused, " + e.Value
			case e.Name == rollout.Planned && stage.Verdict == verdict.Pass:
				line += ": planned, nothing deployed"
			}
		}
		if len(p.running) > 0 {
			line += "; the next stage waits for " + strings.Join(p.running, ", ")
		}
		p.say("%s", line)
	}
}

// skipped records a stage that does not run.
func (p *progress) skipped(stage verdict.Stage) {
	p.say("%s: %s (%s)", stage.Name, stage.Verdict, stage.Code)
}

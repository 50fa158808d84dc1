package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// audit looks for known vulnerabilities, unpinned versions, secrets and licences in the source. If only the audit is called
// and pipeline.yaml selects no checks, it runs every check that needs no further configuration.
func (s *call) audit(ctx context.Context, _ policy.Permit) verdict.Stage {
	checks := s.cfg.Security.Audit
	if len(checks) == 0 {
		checks = []string{"advisories", "pinning", "secrets"}
		if l := s.cfg.Security.Licenses; len(l.Allow)+len(l.Deny) > 0 {
			checks = config.Checks
		}
	}
	var history func(context.Context, string) (supply.History, error)
	if s.opts.History {
		history = s.backend.History
	}
	if s.opts.History && history == nil {
		history = func(context.Context, string) (supply.History, error) {
			return supply.History{}, errors.New("there is no git here")
		}
	}
	return supply.Audit(ctx, s.backend.Runner, supply.Input{
		History: history,
		Config:  s.cfg, Checks: checks, Source: s.backend.Source, Advisories: s.opts.Advisories, Fetch: s.backend.Advisories,
		Import: s.backend.Import, Tool: s.backend.Tool, Memory: s.memory(), Scratch: s.backend.WorkDir, Now: time.Now(),
	})
}

// memory returns the cached reports of earlier audits and scans, or nil.
func (s *call) memory() supply.Memory {
	if s.backend.Memory == nil {
		return nil
	}
	return s.backend.Memory()
}

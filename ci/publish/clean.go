package publish

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Clean gives up open claims and removes what they left: uncommitted versions in the registry, their runs (into the server's
// trash), and files and unfinished uploads in S3. The numbers are never reused. Without numbers, it takes every claim that is
// older than an hour, and the rest of an interrupted Clean.
//
// A publisher that is merely slow is safe: a claim ends with the same conditional write as a commit, so that either the
// version is committed and stays, or the publisher is told to start again.
func Clean(ctx context.Context, in Input, numbers []int) *Registry {
	return &Registry{Stage: operate(ctx, in, nil, func(o *operation) error { return o.cleanClaims(ctx, numbers) })}
}

func (o *operation) cleanClaims(ctx context.Context, numbers []int) error {
	// This relies on conditional writes as publishing does.
	if err := o.ledger.Probe(ctx); err != nil {
		return err
	}
	state, err := o.ledger.Scan(ctx)
	if err != nil {
		return err
	}
	if err := o.ledger.Own(ctx, state); err != nil {
		return err
	}
	versions, err := o.list(ctx, 0)
	if err != nil {
		return err
	}
	var targets []Listed
	for _, v := range versions {
		if len(numbers) == 0 && (v.Stale || v.State == StateAbandoned && v.Files > 0) {
			targets = append(targets, v)
		}
	}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(numbers))) {
		i := slices.IndexFunc(versions, func(v Listed) bool { return v.Number == n && v.claim != nil })
		if i < 0 {
			return verdict.Problemf(CodeNotClean, "number %d is no claim that is open or was abandoned", n)
		}
		targets = append(targets, versions[i])
	}
	rows := [][]string{}
	for _, v := range targets {
		removed, err := o.cleanClaim(ctx, v)
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.Itoa(v.Number), v.State, first(v.Commit, "unknown"), joined(removed)})
	}
	o.stage.Add("claims cleaned", strconv.Itoa(len(targets)))
	if len(rows) > 0 {
		o.stage.Blocks = append(o.stage.Blocks, verdict.Block{Title: "Cleaned claims", Summary: true, Answer: true,
			Table: &verdict.Table{Columns: []string{"Number", "State before", "Commit", "Removed"}, Rows: rows}})
	}
	return nil
}

// cleanClaim ends one claim. The process may die after any step; the next call resumes.
func (o *operation) cleanClaim(ctx context.Context, v Listed) ([]string, error) {
	err := o.ledger.Abandon(ctx, *v.claim, o.Clock.Now())
	if ledger.IsKind(err, ledger.Conflict) {
		return nil, verdict.Problemf(CodeNotClean, "number %d was committed meanwhile", v.Number)
	}
	if err != nil {
		return nil, err
	}
	var removed []string
	filter := fmt.Sprintf("name = '%s' and tags.`%s` = '%s'", o.registered(), tagKey, v.claim.Key)
	versions, err := o.mlflow.SearchModelVersions(ctx, filter)
	if err != nil {
		return nil, err
	}
	for _, registered := range versions {
		if registered.Tags[tagKey] != v.claim.Key || registered.Tags[tagNumber] != strconv.Itoa(v.Number) {
			continue
		}
		if err := o.mlflow.DeleteModelVersion(ctx, registered.Name, registered.Version); err != nil {
			return nil, err
		}
		removed = append(removed, fmt.Sprintf("version %s of %s", registered.Version, registered.Name))
	}
	experiment, err := o.findExperiment(ctx)
	if err != nil {
		return nil, err
	}
	if experiment != "" {
		runs, err := o.mlflow.SearchRuns(ctx, experiment, fmt.Sprintf("tags.`%s` = '%s'", tagKey, v.claim.Key), 100)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if run.Tags[tagNumber] != strconv.Itoa(v.Number) {
				continue
			}
			if err := o.mlflow.UpdateRun(ctx, run.ID, "KILLED", o.Clock.Now()); err != nil {
				return nil, err
			}
			if err := o.mlflow.DeleteRun(ctx, run.ID); err != nil {
				return nil, err
			}
			removed = append(removed, "run "+run.ID)
		}
	}
	files, err := o.ledger.Discard(ctx, v.Number)
	return append(removed, files...), err
}

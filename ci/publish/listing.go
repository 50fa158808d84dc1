package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// States of a number.
const (
	// StateCommitted is a version that readers may trust.
	StateCommitted = "committed"
	// StateClaimed, StateUploaded and StateRegistered are publications in progress, or interrupted ones.
	StateClaimed    = "claimed"
	StateUploaded   = "uploaded"
	StateRegistered = "registered"
	// StateAbandoned is a number that was given up and will never become a version.
	StateAbandoned = "abandoned"
	// StateForeign is a directory that something else created.
	StateForeign = "foreign"
	// StateUnreadable has a record that is damaged or written by a newer program.
	StateUnreadable = "unreadable"
)

// Listed is the current state of a number.
type Listed struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	// Stale is set if an open claim is so old that probably nobody works on it.
	Stale bool `json:"stale,omitempty"`
	// At is when it was committed, or else when it was claimed.
	At time.Time `json:"at,omitzero"`
	// URI is the address of the model file; empty unless it is committed.
	URI    string `json:"uri,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Commit string `json:"commit,omitempty"`
	Tree   string `json:"tree,omitempty"`
	// Metrics are the final values by name.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Registered and RegistryVersion identify it in the registry; Aliases point at it.
	Registered      string   `json:"registered_model,omitempty"`
	RegistryVersion string   `json:"registry_version,omitempty"`
	Aliases         []string `json:"aliases,omitempty"`
	RunID           string   `json:"run_id,omitempty"`
	// History lists the deliberate moves of aliases to it, oldest first.
	History []Event `json:"history,omitempty"`
	// Files counts the files stored under the number.
	Files int `json:"files"`

	claim *ledger.Claim
}

// Registry is the result of an operation on published versions.
type Registry struct {
	Stage verdict.Stage
	// Versions are the numbers of the series, highest first. Only List sets it.
	Versions []Listed
}

// DefaultLimit is how many numbers List returns by default.
const DefaultLimit = 50

// List returns the numbers of the environment's series with their state, metrics, commit and aliases: the highest ones, as
// many as limit (0 means DefaultLimit), and every open claim. It writes nothing.
func List(ctx context.Context, in Input, limit int) *Registry {
	registry := &Registry{}
	registry.Stage = operate(ctx, in, nil, func(o *operation) error {
		versions, err := o.list(ctx, limit)
		registry.Versions = versions
		o.showList(versions)
		return err
	})
	return registry
}

func (o *operation) list(ctx context.Context, limit int) ([]Listed, error) {
	state, err := o.ledger.Scan(ctx)
	if err != nil {
		return nil, err
	}
	if state.Ignored > 0 {
		o.stage.Add("keys that are no version", strconv.Itoa(state.Ignored))
	}
	known, err := o.mlflow.SearchModelVersions(ctx, fmt.Sprintf("name = '%s'", o.registered()))
	if err != nil && !mlflow.IsKind(err, mlflow.NotFound) {
		return nil, err
	}
	aliases, err := o.mlflow.Aliases(ctx, o.registered())
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = DefaultLimit
	}
	var chosen []ledger.Entry
	for _, entry := range slices.Backward(state.Entries) {
		if len(chosen) < limit || entry.Claimed && !entry.Committed {
			chosen = append(chosen, entry)
		}
	}
	versions := make([]Listed, len(chosen))
	unreadable := make([]error, len(chosen))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, entry := range chosen {
		group.Go(func() (err error) {
			versions[i], err = o.describe(reading, entry)
			if ledger.IsKind(err, ledger.Unreadable) {
				unreadable[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	join(o.stage, versions, known, aliases)
	for _, err := range unreadable {
		if err != nil {
			return versions, err
		}
	}
	return versions, nil
}

// describe reads the records of a number.
func (o *operation) describe(ctx context.Context, entry ledger.Entry) (Listed, error) {
	v := Listed{Number: entry.Number, State: StateForeign, Files: entry.Files}
	if entry.Committed {
		commit, err := o.ledger.ReadCommit(ctx, entry.Number)
		switch {
		case err == nil:
			v.State, v.At, v.Commit, v.Tree, v.Metrics = StateCommitted, commit.CommittedAt, commit.Commit, commit.Tree, commit.Metrics
			v.URI, v.SHA256 = o.ledger.URI(entry.Number, commit.Model), commit.ModelFile().SHA256
			v.Registered, v.RegistryVersion, v.RunID = commit.Registered, commit.RegistryVersion, commit.RunID
			return v, nil
		case !ledger.IsKind(err, ledger.Abandoned):
			v.State = StateUnreadable
			return v, err
		}
		v.State = StateAbandoned
	}
	if !entry.Claimed {
		return v, nil
	}
	claim, err := o.ledger.ReadClaim(ctx, entry.Number)
	if err != nil {
		v.State = StateUnreadable
		return v, err
	}
	v.claim, v.At, v.Commit, v.Tree, v.SHA256 = claim, claim.ClaimedAt, claim.Commit, claim.Tree, claim.ModelSHA256
	if v.State != StateAbandoned {
		v.State = StateClaimed
		if entry.Files > 0 {
			v.State = StateUploaded
		}
		v.Stale = claim.OlderThan(abandonedAfter)
	}
	return v, nil
}

// join adds what the registry knows, and reports where it contradicts the ledger.
func join(stage *verdict.Stage, versions []Listed, known []*mlflow.ModelVersion, aliases map[string]string) {
	trusted := map[string]bool{}
	for i := range versions {
		v := &versions[i]
		for _, registered := range known {
			if registered.Tags[tagNumber] != strconv.Itoa(v.Number) || v.State == StateCommitted && registered.Version != v.RegistryVersion {
				continue
			}
			if v.State == StateUploaded || v.State == StateClaimed {
				v.State = StateRegistered
			}
			v.Registered, v.RegistryVersion, v.RunID = registered.Name, registered.Version, registered.RunID
			v.History = eventsOf(registered)
		}
		if v.State == StateCommitted {
			trusted[v.RegistryVersion] = true
			if !slices.ContainsFunc(known, func(k *mlflow.ModelVersion) bool { return k.Version == v.RegistryVersion }) {
				stage.Warn(CodeDrift, "number %d is committed as version %s of %s, which the registry does not have", v.Number, v.RegistryVersion,
					v.Registered)
			}
		}
		for _, alias := range slices.Sorted(maps.Keys(aliases)) {
			if v.RegistryVersion != "" && aliases[alias] == v.RegistryVersion {
				v.Aliases = append(v.Aliases, alias)
			}
		}
	}
	for _, registered := range known {
		for _, alias := range slices.Sorted(maps.Keys(aliases)) {
			if aliases[alias] == registered.Version && !trusted[registered.Version] && registered.Tags[tagCommitted] == "" {
				stage.Warn(CodeDrift, "alias %s points at version %s of %s, which is not committed", alias, registered.Version, registered.Name)
			}
		}
	}
}

// showList writes the report of a listing.
func (o *operation) showList(versions []Listed) {
	table := &verdict.Table{Columns: []string{"Number", "State", "Aliases", "Registry", "Commit", "Metrics", "Since", "SHA-256"}}
	committed := 0
	for _, v := range versions {
		state := v.State
		switch {
		case v.State == StateCommitted:
			committed++
		case v.Stale:
			state += ", nobody seems to work on it"
			o.stage.Warn(CodeAbandoned, "number %d is %s since %s for commit %s (%s)", v.Number, v.State, v.At.Format(time.RFC3339),
				first(v.Commit, "unknown"), o.ledger.Folder(v.Number))
		case v.State == StateAbandoned && v.Files > 0:
			state += fmt.Sprintf(", %d files left", v.Files)
		}
		registered, since := "", ""
		if v.RegistryVersion != "" {
			registered = "version " + v.RegistryVersion
		}
		if !v.At.IsZero() {
			since = v.At.UTC().Format(time.RFC3339)
		}
		table.Rows = append(table.Rows, []string{strconv.Itoa(v.Number), state, strings.Join(v.Aliases, ", "), registered,
			clip(v.Commit, 12), metricsLine(v.Metrics), since, clip(v.SHA256, 12)})
	}
	o.stage.Add("registered model", o.registered())
	o.stage.Add("committed versions listed", strconv.Itoa(committed))
	o.stage.Blocks = append(o.stage.Blocks, verdict.Block{Title: "Published models", Summary: true, Answer: true, Table: table})
	data, err := json.MarshalIndent(struct {
		Schema   int      `json:"schema"`
		Model    string   `json:"registered_model"`
		Versions []Listed `json:"versions"`
	}{1, o.registered(), versions}, "", "  ")
	if err == nil { // a list of plain values can always be encoded
		o.stage.Files = append(o.stage.Files, verdict.ReportFile{Path: ListFile, Content: []byte(o.redact(string(data)) + "\n")})
	}
}

// ListFile is the JSON listing in the report.
const ListFile = "publish/models.json"

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

// metricsLine lists the metrics, those with the usual names of gates first.
func metricsLine(metrics map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(metrics), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names[:min(4, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %.4g", name, metrics[name]))
	}
	return strings.Join(parts, ", ")
}

func rank(metric string) int {
	for i, name := range []string{"accuracy", "f1", "recall", "precision", "loss"} {
		if strings.Contains(metric, name) {
			return i
		}
	}
	return 10
}

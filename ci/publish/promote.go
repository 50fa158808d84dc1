package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Move describes the move of an alias.
type Move struct {
	// Alias is the alias to move. It defaults to production for a promotion, and to the environment's own alias for a
	// rollback.
	Alias string
	// Number is the version to point it at. For a promotion, 0 means the version that the environment's alias points at; for
	// a rollback, the version before the current one.
	Number int
	// By is who requested it, for the history.
	By string
}

// Event is a deliberate move of an alias. The registry keeps no history, so each event is a tag of the version that the alias
// moved to.
type Event struct {
	// Seq numbers the events of an alias across all versions.
	Seq   int    `json:"seq"`
	Alias string `json:"alias"`
	// Action is promote or rollback.
	Action string `json:"action"`
	// From is the registry version that the alias pointed at before, or empty.
	From string `json:"from,omitempty"`
	By   string `json:"by,omitempty"`
	// Commit is the source revision of the version that it moved to.
	Commit string    `json:"commit,omitempty"`
	At     time.Time `json:"at"`

	to string
}

const (
	actionPromote  = "promote"
	actionRollback = "rollback"
	// tagHistory starts the tags of events: history.<alias>.<NNNN>.
	tagHistory = "history."
)

// reserved are names that MLflow does not allow as aliases.
var reserved = regexp.MustCompile(`^(latest|v[0-9]+)$`)

// Promote points an alias, usually production, and champion at a committed version of the environment's series. Nothing is
// uploaded. What the registry and S3 provide for the version is compared with its manifest first. If the alias already points
// there, nothing is written.
func Promote(ctx context.Context, in Input, move Move) *Registry {
	return &Registry{Stage: operate(ctx, in, nil, func(o *operation) error { return (&mover{o, move}).promote(ctx) })}
}

// Rollback points an alias at its previous version, or at the given one. champion moves with it if it points at the same
// version. A repeated call changes nothing: to go back further, give the number.
func Rollback(ctx context.Context, in Input, move Move) *Registry {
	return &Registry{Stage: operate(ctx, in, nil, func(o *operation) error { return (&mover{o, move}).rollback(ctx) })}
}

// mover makes one move.
type mover struct {
	*operation
	Move
}

func (move Move) check() error {
	switch {
	case !environmentName.MatchString(move.Alias) || reserved.MatchString(move.Alias):
		return verdict.Problemf(CodeInput, "alias %q is not a name of lower-case letters, digits and hyphens, or is one that MLflow keeps for "+
			"itself", move.Alias)
	case move.Number < 0:
		return verdict.Problemf(CodeInput, "number %d is negative", move.Number)
	}
	return nil
}

func (m *mover) promote(ctx context.Context) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.Number == 0 {
		version, err := m.mlflow.ModelVersionByAlias(ctx, m.registered(), m.Environment)
		if err != nil {
			return err
		}
		if version == nil {
			return verdict.Problemf(CodeNotCommitted, "alias %s of %s points at no version", m.Environment, m.registered())
		}
		if m.Number, err = numberOf(version); err != nil {
			return err
		}
	}
	commit, err := m.trusted(ctx, m.Number)
	if err != nil {
		return err
	}
	m.at = aliasing
	if err := m.move(ctx, m.Alias, actionPromote, commit); err != nil {
		return err
	}
	if m.Alias == ChampionAlias {
		return nil
	}
	return m.move(ctx, ChampionAlias, actionPromote, commit)
}

func (m *mover) rollback(ctx context.Context) error {
	m.Alias = first(m.Alias, m.Environment)
	if err := m.check(); err != nil {
		return err
	}
	current, err := m.mlflow.ModelVersionByAlias(ctx, m.registered(), m.Alias)
	if err != nil {
		return err
	}
	if current == nil {
		return verdict.Problemf(CodeNoPrevious, "alias %s of %s points at no version", m.Alias, m.registered())
	}
	if m.Number == 0 {
		events, err := m.events(ctx, m.Alias)
		if err != nil {
			return err
		}
		if n := len(events); n > 0 && events[n-1].Action == actionRollback && events[n-1].to == current.Version {
			m.stage.Add("alias "+m.Alias, fmt.Sprintf("rolled back from version %s to %s already, %s; to go further back, name a number",
				events[n-1].From, current.Version, events[n-1].At.Format(time.RFC3339)))
			return nil
		}
		if m.Number, err = m.before(ctx, current, events); err != nil {
			return err
		}
	}
	commit, err := m.trusted(ctx, m.Number)
	if err != nil {
		return err
	}
	m.at = aliasing
	champion, err := m.mlflow.ModelVersionByAlias(ctx, m.registered(), ChampionAlias)
	if err != nil {
		return err
	}
	// champion first: if this run dies in between, the next one finds the alias where it was and moves both.
	if champion != nil && champion.Version == current.Version && m.Alias != ChampionAlias {
		if err := m.move(ctx, ChampionAlias, actionRollback, commit); err != nil {
			return err
		}
	}
	return m.move(ctx, m.Alias, actionRollback, commit)
}

// numberOf returns the number in S3 of a registry version.
func numberOf(version *mlflow.ModelVersion) (int, error) {
	n, err := strconv.Atoi(version.Tags[tagNumber])
	if err != nil || n < 1 {
		return 0, verdict.Problemf(CodeNotCommitted, "version %s of %s was not published by this pipeline: it has no tag %s", version.Version,
			version.Name, tagNumber)
	}
	return n, nil
}

// trusted returns the manifest of a committed version whose files, in S3 and through the registry, still match it.
func (o *operation) trusted(ctx context.Context, n int) (*ledger.Commit, error) {
	commit, err := o.ledger.ReadCommit(ctx, n)
	switch {
	case ledger.IsKind(err, ledger.NotFound):
		return nil, verdict.Problemf(CodeNotCommitted, "number %d is not committed (%s)", n, o.ledger.Folder(n))
	case ledger.IsKind(err, ledger.Abandoned):
		return nil, verdict.Problemf(CodeNotCommitted, "number %d was abandoned (%s)", n, o.ledger.Folder(n))
	case err != nil:
		return nil, err
	}
	if err := o.ledger.CheckOwner(ctx); err != nil {
		return nil, err
	}
	o.at = verifying
	if err := o.readBack(ctx, n, commit.Files); err != nil {
		return nil, err
	}
	_, err = o.verifyRegistry(ctx, commit.RegistryVersion, commit.Key, servedOf(commit))
	return commit, err
}

// move records the move and points the alias at the version, in this order: if the run dies in between, the next one finds
// the record and completes the move.
func (m *mover) move(ctx context.Context, alias, action string, commit *ledger.Commit) error {
	current, err := m.mlflow.ModelVersionByAlias(ctx, commit.Registered, alias)
	if err != nil {
		return err
	}
	from := ""
	if current != nil {
		from = current.Version
	}
	if from == commit.RegistryVersion {
		m.stage.Add("alias "+alias, fmt.Sprintf("at version %s (number %d) already", from, commit.Number))
		return nil
	}
	events, err := m.events(ctx, alias)
	if err != nil {
		return err
	}
	next := Event{Seq: 1, Alias: alias, Action: action, From: from, By: m.clean(m.By, 200), Commit: commit.Commit, At: m.Clock.Now().UTC(),
		to: commit.RegistryVersion}
	noted := false
	if n := len(events); n > 0 {
		last := events[n-1]
		next.Seq = last.Seq + 1
		noted = last.to == next.to && last.From == from && last.Action == action
	}
	if !noted {
		value, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		tag := mlflow.Tag{Key: fmt.Sprintf("%s%s.%04d", tagHistory, alias, next.Seq), Value: string(value)}
		if err := m.mlflow.SetModelVersionTag(ctx, commit.Registered, commit.RegistryVersion, tag); err != nil {
			return err
		}
	}
	if err := m.setAlias(ctx, commit.Registered, alias, commit.RegistryVersion); err != nil {
		return err
	}
	if err := m.reached(ctx, alias, commit); err != nil {
		return err
	}
	m.stage.Add("alias "+alias, fmt.Sprintf("version %s (number %d), before: %s", commit.RegistryVersion, commit.Number, first(from, "none")))
	m.show("alias %s of %s at version %s (number %d)", alias, commit.Registered, commit.RegistryVersion, commit.Number)
	return nil
}

// events returns the moves of an alias, oldest first.
func (m *mover) events(ctx context.Context, alias string) ([]Event, error) {
	versions, err := m.mlflow.SearchModelVersions(ctx, fmt.Sprintf("name = '%s'", m.registered()))
	if err != nil {
		return nil, err
	}
	var events []Event
	for _, v := range versions {
		for _, e := range eventsOf(v) {
			if e.Alias == alias {
				events = append(events, e)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Seq - b.Seq })
	return events, nil
}

// eventsOf parses the tags of a version; tags of that name in another format belong to somebody else.
func eventsOf(v *mlflow.ModelVersion) []Event {
	var events []Event
	for key, value := range v.Tags {
		rest, ok := strings.CutPrefix(key, tagHistory)
		if !ok {
			continue
		}
		var e Event
		if json.Unmarshal([]byte(value), &e) == nil && fmt.Sprintf("%s.%04d", e.Alias, e.Seq) == rest {
			e.to = v.Version
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b Event) int {
		return a.At.Compare(b.At)*2 + strings.Compare(a.Alias, b.Alias)
	})
	return events
}

// fromVersion is in the record that a publication leaves when it moves an alias; see moveAlias.
var fromVersion = regexp.MustCompile(` from version ([0-9]+)`)

// before returns the number of the version that an alias pointed at before its current one, whether by promotion or
// publication.
func (m *mover) before(ctx context.Context, current *mlflow.ModelVersion, events []Event) (int, error) {
	from := ""
	for _, e := range slices.Backward(events) {
		if e.to == current.Version && e.Action == actionPromote {
			from = e.From
			break
		}
	}
	if from == "" {
		if match := fromVersion.FindStringSubmatch(current.Tags[tagAliased+m.Alias]); match != nil {
			from = match[1]
		}
	}
	if from == "" || from == current.Version {
		return 0, verdict.Problemf(CodeNoPrevious, "alias %s of %s is at version %s and has pointed at no other before", m.Alias, current.Name,
			current.Version)
	}
	version, err := m.mlflow.GetModelVersion(ctx, m.registered(), from)
	if mlflow.IsKind(err, mlflow.NotFound) {
		return 0, verdict.Problemf(CodeNoPrevious, "version %s of %s, where alias %s was before, is gone", from, m.registered(), m.Alias)
	}
	if err != nil {
		return 0, err
	}
	return numberOf(version)
}

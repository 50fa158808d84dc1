package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ChampionAlias is the alias of the model to beat.
const ChampionAlias = "champion"

// ProductionAlias is the alias that a promotion moves by default.
const ProductionAlias = "production"

// tagAliased starts the tags of a version that record when an alias was first moved to it. If the alias was moved away on
// purpose afterwards (a rollback), a publisher that runs again for the same content leaves it alone.
const tagAliased = "aliased."

// tagChampion is a tag of the registered model with the version that the champion alias last pointed at. It survives that
// version, whose deletion also deletes the alias.
const tagChampion = "champion_version"

// setAlias points an alias at a version. It first records on the model which version becomes champion, and last on the
// version that it has had the alias (tagAliased).
func (c *connection) setAlias(ctx context.Context, registered, alias, version string) error {
	if alias == ChampionAlias {
		if err := c.mlflow.SetRegisteredModelTag(ctx, registered, mlflow.Tag{Key: tagChampion, Value: version}); err != nil {
			return err
		}
	}
	return c.mlflow.SetAlias(ctx, registered, alias, version)
}

// aliasMover moves aliases to a committed version.
type aliasMover struct {
	*operation
	commit *ledger.Commit
}

// moveAliases points the environment's alias and champion at the version, unless they have pointed at it before or a newer
// version is committed. It returns the aliases that point at it.
func (a *aliasMover) moveAliases(ctx context.Context) (aliases []string, err error) {
	version, err := a.mlflow.GetModelVersion(ctx, a.commit.Registered, a.commit.RegistryVersion)
	if err != nil {
		return aliases, err
	}
	if version.Tags[tagCommitted] == "" {
		if err := a.tagVersion(ctx, tagCommitted, a.commit.CommittedAt.Format(time.RFC3339)); err != nil {
			return aliases, err
		}
	}
	for _, alias := range []string{a.Environment, ChampionAlias} {
		moved := version.Tags[tagAliased+alias] != ""
		if !moved {
			if err := a.moveAlias(ctx, alias); err != nil {
				return aliases, err
			}
		}
		current, err := a.mlflow.ModelVersionByAlias(ctx, a.commit.Registered, alias)
		if err != nil {
			return aliases, err
		}
		switch {
		case current == nil:
			a.stage.Warn(CodeAliasElsewhere, "alias %s points at no version of %s", alias, a.commit.Registered)
		case current.Version == a.commit.RegistryVersion:
			aliases = append(aliases, alias)
		case newer(current, a.commit.Number) || !moved:
			a.stage.Warn(CodeSuperseded, "alias %s points at version %s of %s", alias, current.Version, a.commit.Registered)
		default:
			a.stage.Warn(CodeAliasElsewhere, "alias %s points at version %s of %s", alias, current.Version, a.commit.Registered)
		}
	}
	return aliases, nil
}

// newer reports whether a version was published after number n.
func newer(version *mlflow.ModelVersion, n int) bool {
	found, err := numberOf(version)
	return err == nil && found > n
}

// moveAlias points one alias at this version if it is the newest. The registry has no conditional update, so the publisher
// checks the alias after writing it: the last of any number of concurrent publishers then leaves it at the newest version.
//
// The move is recorded on the version only after the alias was read back, because the record keeps later runs from moving it
// again.
func (a *aliasMover) moveAlias(ctx context.Context, alias string) error {
	previous, err := a.mlflow.ModelVersionByAlias(ctx, a.commit.Registered, alias)
	if err != nil {
		return err
	}
	newest, err := a.newest(ctx)
	if err != nil {
		return err
	}
	if newest.Number == a.commit.Number {
		if newest, err = a.point(ctx, alias, newest); err != nil {
			return err
		}
	}
	note := "at " + a.Clock.Now().UTC().Format(time.RFC3339)
	if previous != nil {
		note += " from version " + previous.Version
	}
	if newest.Number != a.commit.Number {
		note += fmt.Sprintf(", superseded by number %d", newest.Number)
	}
	return a.tagVersion(ctx, tagAliased+alias, note)
}

// lookAgain is how often a moved alias is read back: a registry with several servers may need a moment, and another publisher
// may have written an older decision.
const lookAgain = 8

// point moves an alias to the newest version, which it takes as last seen and returns, until it reads back as that version or
// as one that was published meanwhile. A registry that accepts the move without making it is a problem.
func (a *aliasMover) point(ctx context.Context, alias string, newest *ledger.Commit) (*ledger.Commit, error) {
	for attempt := 1; ; {
		target := newest
		if err := a.setAlias(ctx, target.Registered, alias, target.RegistryVersion); err != nil {
			return nil, err
		}
		var err error
		if newest, err = a.newest(ctx); err != nil {
			return nil, err
		}
		if newest.Number != target.Number {
			continue
		}
		current, err := a.mlflow.ModelVersionByAlias(ctx, target.Registered, alias)
		if err != nil {
			return nil, err
		}
		if current != nil && current.Version == target.RegistryVersion {
			return newest, nil
		}
		if current != nil && newer(current, target.Number) {
			// Anybody can set the tag that says so; only a manifest makes a version newer.
			if newest, err = a.newest(ctx); err != nil || newest.Number > target.Number {
				return newest, err
			}
		}
		if attempt == lookAgain {
			return nil, notMoved(alias, target, current)
		}
		if err := a.Clock.Sleep(ctx, time.Duration(attempt)*200*time.Millisecond); err != nil {
			return nil, err
		}
		attempt++
	}
}

// reached requires that a moved alias points at its version.
func (c *connection) reached(ctx context.Context, alias string, commit *ledger.Commit) error {
	for attempt := 1; ; attempt++ {
		current, err := c.mlflow.ModelVersionByAlias(ctx, commit.Registered, alias)
		switch {
		case err != nil:
			return err
		case current != nil && current.Version == commit.RegistryVersion:
			return nil
		case attempt == lookAgain:
			return notMoved(alias, commit, current)
		}
		if err := c.Clock.Sleep(ctx, time.Duration(attempt)*200*time.Millisecond); err != nil {
			return err
		}
	}
}

func notMoved(alias string, to *ledger.Commit, current *mlflow.ModelVersion) error {
	at := "no version"
	if current != nil {
		at = "version " + current.Version
	}
	return verdict.Problemf(CodeAliasNotMoved, "the registry accepted that alias %s of %s goes to version %s, and it points at %s",
		alias, to.Registered, to.RegistryVersion, at)
}

func (a *aliasMover) tagVersion(ctx context.Context, key, value string) error {
	return a.mlflow.SetModelVersionTag(ctx, a.commit.Registered, a.commit.RegistryVersion, mlflow.Tag{Key: key, Value: value})
}

// newest returns the manifest with the highest number.
func (a *aliasMover) newest(ctx context.Context) (*ledger.Commit, error) {
	state, err := a.ledger.Scan(ctx)
	if err != nil {
		return nil, err
	}
	newer, err := a.ledger.Newest(ctx, state, a.commit.Number)
	if newer == nil && err == nil {
		return a.commit, nil
	}
	return newer, err
}

// Champion is the version that the champion alias points at.
type Champion struct {
	// Version is the registry's version, such as "7".
	Version string
	// Metrics are its final values by name; empty if the version has no run.
	Metrics map[string]float64
}

// ErrChampionLost means that there was a champion, but its alias no longer points at a version. This is not the same as
// having none.
var ErrChampionLost = errors.New("the champion is gone")

// ChampionOf returns the champion of the input's registered model, or nil if there is none yet: no such model, or nothing
// published. It writes nothing and needs neither a model nor S3. Its errors are *verdict.Problem, or ErrChampionLost.
func ChampionOf(ctx context.Context, in Input) (*Champion, error) {
	c, problems := in.connect(ctx, false)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	version, err := c.mlflow.ModelVersionByAlias(ctx, in.registered(), ChampionAlias)
	if err != nil {
		return nil, c.fail(ctx, err)
	}
	if version == nil {
		lost, err := lostChampion(ctx, c.mlflow, in.registered())
		if err != nil {
			return nil, c.fail(ctx, err)
		}
		if lost != "" {
			return nil, fmt.Errorf("%w: %s", ErrChampionLost, lost)
		}
		return nil, nil
	}
	if version.RunID == "" {
		// Registered from a file alone, so nothing was logged for it.
		return &Champion{Version: version.Version}, nil
	}
	run, err := c.mlflow.GetRun(ctx, version.RunID)
	if mlflow.IsKind(err, mlflow.NotFound) {
		return &Champion{Version: version.Version}, nil
	}
	if err != nil {
		return nil, c.fail(ctx, err)
	}
	return &Champion{Version: version.Version, Metrics: run.Metrics}, nil
}

// lostChampion returns the evidence that a model without the alias has had a champion, or an empty string. A publication that
// died before setting the alias is no evidence: the next one of the same content completes it.
func lostChampion(ctx context.Context, client *mlflow.Client, registered string) (string, error) {
	model, err := client.GetRegisteredModel(ctx, registered)
	if mlflow.IsKind(err, mlflow.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if version := model.Aliases[ChampionAlias]; version != "" {
		return fmt.Sprintf("alias %s of %s points at version %s, which does not exist", ChampionAlias, registered, version), nil
	}
	versions, err := client.SearchModelVersions(ctx, fmt.Sprintf("name = '%s'", registered))
	if err != nil {
		return "", err
	}
	if last := model.Tags[tagChampion]; last != "" && !slices.ContainsFunc(versions,
		func(v *mlflow.ModelVersion) bool { return v.Version == last }) {
		return fmt.Sprintf("%s has no alias %s; it was last at version %s, which is deleted", registered, ChampionAlias, last), nil
	}
	for _, v := range versions {
		if v.Tags[tagAliased+ChampionAlias] != "" {
			return fmt.Sprintf("%s has no alias %s; version %s had it", registered, ChampionAlias, v.Version), nil
		}
	}
	return "", nil
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

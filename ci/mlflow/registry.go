package mlflow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ModelVersion is a version of a registered model.
type ModelVersion struct {
	Name    string
	Version string
	// Source is where its files are.
	Source string
	RunID  string
	// Status is READY, PENDING_REGISTRATION or FAILED_REGISTRATION.
	Status string
	Tags   map[string]string
	// Aliases point at it; servers fill them in get, not always in search.
	Aliases []string
}

// What a version's status can be; empty where a server does not say.
const (
	Ready   = "READY"
	Pending = "PENDING_REGISTRATION"
	Failed  = "FAILED_REGISTRATION"
)

type wireVersion struct {
	Name    string   `json:"name"`
	Version flexText `json:"version"`
	Source  string   `json:"source"`
	RunID   string   `json:"run_id"`
	Status  string   `json:"status"`
	Tags    []Tag    `json:"tags"`
	Aliases []string `json:"aliases"`
}

// flexText reads a text or a number as a text: versions are both, by server.
type flexText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *flexText) UnmarshalJSON(b []byte) error {
	if string(b) != "null" {
		*t = flexText(strings.Trim(string(b), `"`))
	}
	return nil
}

func (w *wireVersion) version() *ModelVersion {
	return &ModelVersion{Name: w.Name, Version: string(w.Version), Source: w.Source, RunID: w.RunID, Status: w.Status,
		Tags: tagMap(w.Tags), Aliases: w.Aliases}
}

// EnsureRegisteredModel creates the registered model unless it exists.
func (r Registry) EnsureRegisteredModel(ctx context.Context, name string, tags []Tag) error {
	in := map[string]any{"name": name}
	list(in, "tags", tags)
	err := r.json(ctx, "create registered model "+name, http.MethodPost, "mlflow/registered-models/create", nil, in, nil, true)
	if IsKind(err, Exists) {
		return nil
	}
	return err
}

// CreateModelVersion registers source as the next version of name. It is not
// repeated on its own when the answer is lost: after an ambiguous error look with
// SearchModelVersions before calling it again.
func (r Registry) CreateModelVersion(ctx context.Context, name, source, runID, description string, tags []Tag) (*ModelVersion, error) {
	in := map[string]any{"name": name, "source": source, "run_id": runID, "description": description}
	list(in, "tags", tags)
	return r.oneVersion(ctx, "create version of "+name, http.MethodPost, "mlflow/model-versions/create", nil, in, false)
}

// GetModelVersion returns one version.
func (r Registry) GetModelVersion(ctx context.Context, name, version string) (*ModelVersion, error) {
	query := url.Values{"name": {name}, "version": {version}}
	return r.oneVersion(ctx, "get version "+version+" of "+name, http.MethodGet, "mlflow/model-versions/get", query, nil, true)
}

func (r Registry) oneVersion(
	ctx context.Context, op, method, path string, query url.Values, in any, repeatable bool,
) (*ModelVersion, error) {
	var out struct {
		Version *wireVersion `json:"model_version"`
	}
	if err := r.json(ctx, op, method, path, query, in, &out, repeatable); err != nil {
		return nil, err
	}
	if out.Version == nil || out.Version.Version == "" {
		return nil, r.incomplete(op, "model_version")
	}
	return out.Version.version(), nil
}

// DownloadURI returns where the registry says the version's files are.
func (r Registry) DownloadURI(ctx context.Context, name, version string) (string, error) {
	var out struct {
		URI string `json:"artifact_uri"`
	}
	op := "get download address of version " + version + " of " + name
	query := url.Values{"name": {name}, "version": {version}}
	if err := r.json(ctx, op, http.MethodGet, "mlflow/model-versions/get-download-uri", query, nil, &out, true); err != nil {
		return "", err
	}
	if out.URI == "" {
		return "", r.incomplete(op, "artifact_uri")
	}
	return out.URI, nil
}

// SearchModelVersions returns all versions that match the filter, such as
// "name='x' and tags.key='y'". All pages are read. A model that does not exist has none.
func (r Registry) SearchModelVersions(ctx context.Context, filter string) ([]*ModelVersion, error) {
	var versions []*ModelVersion
	seen := pages{}
	for token := ""; ; {
		query := url.Values{"filter": {filter}, "max_results": {"1000"}}
		if token != "" {
			query.Set("page_token", token)
		}
		var out struct {
			Versions []wireVersion `json:"model_versions"`
			Next     string        `json:"next_page_token"`
		}
		err := r.json(ctx, "search model versions", http.MethodGet, "mlflow/model-versions/search", query, nil, &out, true)
		if err != nil {
			return nil, err
		}
		for _, w := range out.Versions {
			versions = append(versions, w.version())
		}
		if out.Next == "" {
			return versions, nil
		}
		if token = out.Next; !seen.add(token) {
			return nil, r.endless("search model versions", len(seen))
		}
	}
}

// DeleteModelVersion deletes a version.
func (r Registry) DeleteModelVersion(ctx context.Context, name, version string) error {
	in := map[string]any{"name": name, "version": version}
	err := r.json(ctx, "delete version "+version+" of "+name, http.MethodDelete, "mlflow/model-versions/delete", nil, in, nil, true)
	if IsKind(err, NotFound) {
		return nil
	}
	return err
}

// SetModelVersionTag sets a tag of a version.
func (r Registry) SetModelVersionTag(ctx context.Context, name, version string, tag Tag) error {
	in := map[string]any{"name": name, "version": version, "key": tag.Key, "value": tag.Value}
	return r.json(ctx, "set tag "+tag.Key+" of version "+version, http.MethodPost, "mlflow/model-versions/set-tag", nil, in, nil, true)
}

// SetAlias points an alias of the model at a version, away from any other.
func (r Registry) SetAlias(ctx context.Context, name, alias, version string) error {
	in := map[string]any{"name": name, "alias": alias, "version": version}
	return r.json(ctx, "set alias "+alias+" of "+name, http.MethodPost, "mlflow/registered-models/alias", nil, in, nil, true)
}

// ModelVersionByAlias returns the version an alias points at, and nil when the
// model or the alias does not exist. Servers answer a missing alias with 404 or
// with 400 INVALID_PARAMETER_VALUE "Registered model alias x not found.".
func (r Registry) ModelVersionByAlias(ctx context.Context, name, alias string) (*ModelVersion, error) {
	query := url.Values{"name": {name}, "alias": {alias}}
	v, err := r.oneVersion(ctx, "get alias "+alias+" of "+name, http.MethodGet, "mlflow/registered-models/alias", query, nil, true)
	if isMissing(err, "alias") {
		return nil, nil
	}
	return v, err
}

// RegisteredModel is a registered model without its versions.
type RegisteredModel struct {
	Name string
	// Aliases are the versions that its aliases point at, by alias.
	Aliases map[string]string
	Tags    map[string]string
}

// GetRegisteredModel returns a registered model.
func (r Registry) GetRegisteredModel(ctx context.Context, name string) (*RegisteredModel, error) {
	var out struct {
		Model *struct {
			Aliases []struct {
				Alias   string   `json:"alias"`
				Version flexText `json:"version"`
			} `json:"aliases"`
			Tags []Tag `json:"tags"`
		} `json:"registered_model"`
	}
	op := "get registered model " + name
	if err := r.json(ctx, op, http.MethodGet, "mlflow/registered-models/get", url.Values{"name": {name}}, nil, &out, true); err != nil {
		return nil, err
	}
	if out.Model == nil {
		return nil, r.incomplete(op, "registered_model")
	}
	model := &RegisteredModel{Name: name, Aliases: map[string]string{}, Tags: tagMap(out.Model.Tags)}
	for _, a := range out.Model.Aliases {
		model.Aliases[a.Alias] = string(a.Version)
	}
	return model, nil
}

// SetRegisteredModelTag sets a tag of a registered model.
func (r Registry) SetRegisteredModelTag(ctx context.Context, name string, tag Tag) error {
	in := map[string]any{"name": name, "key": tag.Key, "value": tag.Value}
	return r.json(ctx, "set tag "+tag.Key+" of "+name, http.MethodPost, "mlflow/registered-models/set-tag", nil, in, nil, true)
}

// Aliases returns the aliases of a registered model with the versions they point at; none
// when the model does not exist.
func (r Registry) Aliases(ctx context.Context, name string) (map[string]string, error) {
	model, err := r.GetRegisteredModel(ctx, name)
	if IsKind(err, NotFound) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	return model.Aliases, nil
}

// isMissing knows both forms of "there is none" and nothing else.
func isMissing(err error, what string) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	message := strings.ToLower(e.Message)
	return e.Kind == NotFound || e.Kind == Invalid && strings.Contains(message, what) && strings.Contains(message, "not found")
}

package mlflowtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// This file answers the JSON calls.

func text(in map[string]any, key string) string { v, _ := in[key].(string); return v }

func pairs(in any) map[string]string {
	m := map[string]string{}
	list, _ := in.([]any)
	for _, item := range list {
		kv, _ := item.(map[string]any)
		m[text(kv, "key")] = text(kv, "value")
	}
	return m
}

func tags(m map[string]string) []map[string]string {
	out := []map[string]string{}
	for k, v := range m {
		out = append(out, map[string]string{"key": k, "value": v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i]["key"] < out[j]["key"] })
	return out
}

func (s *Server) run(id string) *Run {
	for _, r := range s.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (s *Server) version(name, number string) *Version {
	for _, v := range s.versions {
		if v.Name == name && strconv.Itoa(v.Number) == number {
			return v
		}
	}
	return nil
}

func wireRun(r *Run) map[string]any {
	metrics := []map[string]any{}
	for key, points := range r.Metrics {
		last := points[len(points)-1]
		metrics = append(metrics, map[string]any{"key": key, "value": last.Value, "timestamp": last.Timestamp, "step": last.Step})
	}
	return map[string]any{
		"info": map[string]any{"run_id": r.ID, "experiment_id": r.Experiment, "run_name": r.Name, "status": r.Status,
			"artifact_uri": r.ArtifactURI, "start_time": strconv.FormatInt(r.Started, 10)},
		"data": map[string]any{"metrics": metrics, "params": tags(r.Params), "tags": tags(r.Tags)},
	}
}

func (s *Server) wireVersion(v *Version) map[string]any {
	aliases := []string{}
	for key, number := range s.aliases {
		if name, alias, _ := strings.Cut(key, "\n"); name == v.Name && number == v.Number {
			aliases = append(aliases, alias)
		}
	}
	slices.Sort(aliases)
	return map[string]any{"name": v.Name, "version": strconv.Itoa(v.Number), "source": v.Source, "run_id": v.RunID,
		"status": cmp.Or(v.Status, "READY"), "tags": tags(v.Tags), "aliases": aliases}
}

// handle executes one JSON call.
func (s *Server) handle(route string, in map[string]any) (out any, status int, code, message string) {
	missing := func(what string) (any, int, string, string) {
		return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", what + " not found"
	}
	ok := func(v any) (any, int, string, string) { return v, http.StatusOK, "", "" }
	empty := map[string]any{}
	name := text(in, "name")
	switch route {
	case "GET experiments/get-by-name":
		for _, e := range s.experiments {
			if e.Name == text(in, "experiment_name") {
				return ok(map[string]any{"experiment": map[string]any{"experiment_id": e.ID, "name": e.Name, "lifecycle_stage": e.Lifecycle,
					"artifact_location": strings.TrimSuffix(s.root(), "/") + "/" + e.ID}})
			}
		}
		return missing("experiment")
	case "POST experiments/create":
		for _, e := range s.experiments {
			if e.Name == name {
				return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "exists"
			}
		}
		e := &Experiment{ID: strconv.Itoa(len(s.experiments)), Name: name, Lifecycle: "active"}
		s.experiments = append(s.experiments, e)
		return ok(map[string]any{"experiment_id": e.ID})
	case "POST runs/create":
		id := fmt.Sprintf("%032x", len(s.runs)+1)
		root := s.root()
		started, _ := in["start_time"].(float64)
		r := &Run{ID: id, Experiment: text(in, "experiment_id"), Name: text(in, "run_name"), Status: "RUNNING", Started: int64(started),
			ArtifactURI: root + text(in, "experiment_id") + "/" + id + "/artifacts", Params: map[string]string{}, Tags: pairs(in["tags"]),
			Metrics: map[string][]Point{}}
		s.runs = append(s.runs, r)
		return ok(map[string]any{"run": wireRun(r)})
	case "POST runs/search":
		// Filters are of the form: tags.`key` = 'value'
		_, rest, _ := strings.Cut(text(in, "filter"), "tags.`")
		key, value, _ := strings.Cut(rest, "` = '")
		value = strings.TrimSuffix(value, "'")
		found := []any{}
		for _, r := range s.runs {
			if r.Tags[key] == value && !r.Deleted {
				found = append(found, wireRun(r))
			}
		}
		return ok(map[string]any{"runs": found})
	case "GET runs/get", "POST runs/update", "POST runs/log-batch", "POST runs/delete":
		r := s.run(text(in, "run_id"))
		if r == nil {
			return missing("run")
		}
		return s.onRun(route, r, in)
	case "POST registered-models/create":
		if s.models[name] {
			return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "exists"
		}
		s.models[name] = true
		return ok(empty)
	case "GET registered-models/get":
		if !s.models[name] {
			return missing("registered model")
		}
		aliases := []any{}
		for key, number := range s.aliases {
			if model, alias, _ := strings.Cut(key, "\n"); model == name && number > 0 {
				aliases = append(aliases, map[string]any{"alias": alias, "version": strconv.Itoa(number)})
			}
		}
		return ok(map[string]any{"registered_model": map[string]any{"name": name, "aliases": aliases, "tags": tags(s.modelTags[name])}})
	case "POST registered-models/set-tag":
		if !s.models[name] {
			return missing("registered model")
		}
		if s.modelTags[name] == nil {
			s.modelTags[name] = map[string]string{}
		}
		s.modelTags[name][text(in, "key")] = text(in, "value")
		return ok(empty)
	case "POST model-versions/create":
		if !s.models[name] {
			return missing("registered model")
		}
		r := s.run(text(in, "run_id"))
		if r == nil || !strings.HasPrefix(text(in, "source"), r.ArtifactURI) {
			return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Invalid model version source"
		}
		s.next[name]++
		v := &Version{Name: name, Number: s.next[name], Source: text(in, "source"), RunID: text(in, "run_id"), Tags: pairs(in["tags"]),
			Status: s.NewStatus}
		s.versions = append(s.versions, v)
		return ok(map[string]any{"model_version": s.wireVersion(v)})
	case "GET model-versions/search":
		// Filters are of the form: name = 'x' and tags.`key` = 'value'
		nameFilter, tagFilter, hasTag := strings.Cut(text(in, "filter"), "' and tags.`")
		want := strings.TrimSuffix(strings.TrimPrefix(nameFilter, "name = '"), "'")
		key, value, _ := strings.Cut(strings.TrimSuffix(tagFilter, "'"), "` = '")
		found := []any{}
		for _, v := range slices.Backward(s.versions) {
			if v.Name == want && (!hasTag || v.Tags[key] == value) {
				found = append(found, s.wireVersion(v))
			}
		}
		return ok(map[string]any{"model_versions": found})
	case "GET model-versions/get", "GET model-versions/get-download-uri", "POST model-versions/set-tag",
		"DELETE model-versions/delete":
		v := s.version(name, text(in, "version"))
		if v == nil {
			return missing("model version")
		}
		return s.onVersion(route, v, in)
	case "GET registered-models/alias", "POST registered-models/alias":
		return s.onAlias(route, name, text(in, "alias"), text(in, "version"))
	}
	return nil, http.StatusNotFound, "ENDPOINT_NOT_FOUND", route
}

func (s *Server) onRun(route string, r *Run, in map[string]any) (out any, status int, code, message string) {
	empty := map[string]any{}
	switch route {
	case "GET runs/get":
		return map[string]any{"run": wireRun(r)}, http.StatusOK, "", ""
	case "POST runs/update":
		r.Status = text(in, "status")
	case "POST runs/delete":
		r.Deleted = true
	case "POST runs/log-batch":
		metrics, _ := in["metrics"].([]any)
		params, _ := in["params"].([]any)
		if len(metrics) > 1000 || len(params) > 100 || len(metrics)+len(params) > 1000 {
			return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "too many entities"
		}
		for _, item := range metrics {
			m, _ := item.(map[string]any)
			value, _ := m["value"].(float64)
			timestamp, _ := m["timestamp"].(float64)
			step, _ := m["step"].(float64)
			point := Point{Value: value, Timestamp: int64(timestamp), Step: int64(step)}
			if key := text(m, "key"); !slices.Contains(r.Metrics[key], point) {
				r.Metrics[key] = append(r.Metrics[key], point)
			}
		}
		for key, value := range pairs(in["params"]) {
			if old, there := r.Params[key]; there && old != value {
				return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "params cannot change"
			}
			r.Params[key] = value
		}
		for key, value := range pairs(in["tags"]) {
			r.Tags[key] = value
		}
	}
	return empty, http.StatusOK, "", ""
}

func (s *Server) onVersion(route string, v *Version, in map[string]any) (out any, status int, code, message string) {
	switch route {
	case "GET model-versions/get":
		return map[string]any{"model_version": s.wireVersion(v)}, http.StatusOK, "", ""
	case "GET model-versions/get-download-uri":
		return map[string]any{"artifact_uri": v.Source}, http.StatusOK, "", ""
	case "POST model-versions/set-tag":
		v.Tags[text(in, "key")] = text(in, "value")
	case "DELETE model-versions/delete":
		s.versions = slices.DeleteFunc(s.versions, func(o *Version) bool { return o == v })
	}
	return map[string]any{}, http.StatusOK, "", ""
}

func (s *Server) onAlias(route, name, alias, version string) (out any, status int, code, message string) {
	key := name + "\n" + alias
	if !s.models[name] {
		return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=" + name + " not found"
	}
	if strings.HasPrefix(route, "POST") {
		v := s.version(name, version)
		if v == nil {
			return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Model Version not found"
		}
		s.aliases[key] = v.Number
		return map[string]any{}, http.StatusOK, "", ""
	}
	v := s.version(name, strconv.Itoa(s.aliases[key]))
	if v == nil {
		// The form of real servers, 2.x and 3.x.
		return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Registered model alias " + alias + " not found."
	}
	return map[string]any{"model_version": s.wireVersion(v)}, http.StatusOK, "", ""
}

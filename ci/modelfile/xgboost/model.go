package xgboost

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

const (
	// maxNodes is the size of the largest tree, maxTrees how many there may be, maxKeys how many
	// keys an object has.
	maxNodes, maxTrees, maxKeys = 16 << 20, 1 << 20, 10_000
)

// indices are the lists of a tree that hold indices, and what else must be as long as they are.
var indices = []string{"left_children", "right_children", "parents", "split_indices", "split_conditions", "categories_nodes",
	"categories_segments", "categories_sizes", "categories", "tree_info", "iteration_indptr", "version"}

// The places that count, by the keys that lead there. A model of dropouts has its trees deeper.
const (
	boosterAt = "learner/gradient_booster/model/"
	dartAt    = "learner/gradient_booster/gbtree/model/"
	nodesAt   = "trees/tree_param/num_nodes"
)

// frame is an object or list that is being read.
type frame struct {
	list bool
	// at are the keys that lead to it, key the one that was read last in it, keys all of an object.
	at, key string
	keys    map[string]bool
	// into is the list of the model that the numbers of this list belong to.
	into string
}

// model collects what a file holds: of the trees, one at a time.
type model struct {
	report *modelfile.Report
	frames []*frame
	// lists are those of the tree that is being read, and of the model, by their key.
	lists map[string][]int64
	texts map[string]string
	names int
	first []string
	trees int
	// highest is the highest feature that a tree splits by, learned counts nodes and weights.
	highest, learned int64
	faults           int
}

func newModel(report *modelfile.Report) *model {
	return &model{report: report, lists: map[string][]int64{}, texts: map[string]string{}}
}

// here is where the next value belongs: the keys that lead to it.
func (m *model) here() string {
	if len(m.frames) == 0 {
		return ""
	}
	top := m.frames[len(m.frames)-1]
	switch {
	case top.list:
		return top.at
	case top.at == "":
		return top.key
	}
	return top.at + "/" + top.key
}

// inBooster cuts off what leads to the booster's own data.
func inBooster(at string) (string, bool) {
	if rest, ok := strings.CutPrefix(at, boosterAt); ok {
		return rest, true
	}
	return strings.CutPrefix(at, dartAt)
}

// open begins an object or list.
func (m *model) open(list bool) error {
	f := &frame{list: list, at: m.here()}
	if !list {
		f.keys = map[string]bool{}
	}
	if rest, ok := inBooster(f.at); ok && list {
		if name := strings.TrimPrefix(rest, "trees/"); slices.Contains(indices, name) || name == "weights" {
			f.into = name
		}
	} else if list && f.at == "version" {
		f.into = f.at
	}
	m.frames = append(m.frames, f)
	return nil
}

// close ends it; the end of a tree is when it is judged.
func (m *model) close() error {
	f := m.frames[len(m.frames)-1]
	m.frames = m.frames[:len(m.frames)-1]
	if rest, ok := inBooster(f.at); ok && rest == "trees" && !f.list {
		if m.trees++; m.trees > maxTrees {
			return wrong("it has more than %d trees", maxTrees)
		}
		m.judgeTree()
		for _, name := range indices[:9] {
			delete(m.lists, name)
		}
		delete(m.texts, nodesAt)
	}
	return nil
}

func (m *model) key(name string) error {
	f := m.frames[len(m.frames)-1]
	if f.keys[name] {
		return wrong("the key %q is there twice", modelfile.Clip(name, 80))
	}
	if f.keys[name] = true; len(f.keys) > maxKeys {
		return wrong("an object has more than %d keys", maxKeys)
	}
	f.key = strings.ReplaceAll(name, "/", "?")
	return nil
}

func (m *model) number(value float64) error {
	switch name := m.frames[len(m.frames)-1].into; {
	case name == "weights":
		m.learned++
	case name != "" && len(m.lists[name]) >= maxNodes:
		return wrong("%s has more than %d values", name, maxNodes)
	case name != "":
		m.lists[name] = append(m.lists[name], int64(value))
	}
	return nil
}

func (m *model) text(value string) error {
	at := m.here()
	if rest, ok := inBooster(at); ok && rest == nodesAt {
		at = nodesAt
	}
	switch at {
	case "learner/feature_names":
		if m.names++; len(m.first) < 12 {
			m.first = append(m.first, modelfile.Clip(value, 40))
		}
	case nodesAt, "learner/objective/name", "learner/gradient_booster/name", "learner/learner_model_param/num_feature",
		"learner/learner_model_param/num_class", "learner/learner_model_param/num_target", "learner/attributes/scikit_learn":
		m.texts[at] = value
	}
	return nil
}

// fault refuses the file, with the first few reasons.
func (m *model) fault(format string, args ...any) {
	if m.faults++; m.faults <= 5 {
		m.report.Invalid(format, args...)
	}
}

// count is a text that holds a number.
func (m *model) count(key string) int64 {
	n, err := strconv.ParseInt(m.texts[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// judgeTree checks that the lists of a tree fit together, and that it is one: every node but the
// root has one parent.
func (m *model) judgeTree() {
	which := m.trees - 1
	left, right := m.lists["left_children"], m.lists["right_children"]
	nodes := int64(len(left))
	if nodes == 0 || nodes != m.count(nodesAt) {
		m.fault("tree %d has %d nodes in its lists and %d by its own account", which, nodes, m.count(nodesAt))
		return
	}
	for _, name := range indices[1:5] {
		if int64(len(m.lists[name])) != nodes {
			m.fault("tree %d has %d nodes and %d values of %s", which, nodes, len(m.lists[name]), name)
			return
		}
	}
	parents := make([]bool, nodes)
	for i := range nodes {
		if left[i] == -1 { // a leaf; one with several targets has the number of its leaf on the right
			if right[i] < -1 || right[i] >= nodes {
				m.fault("tree %d has the leaf %d of %d nodes", which, right[i], nodes)
				return
			}
			continue
		}
		for _, child := range []int64{left[i], right[i]} {
			if child <= 0 || child >= nodes || parents[child] {
				m.fault("tree %d is none: node %d has the child %d of %d nodes", which, i, child, nodes)
				return
			}
			parents[child] = true
		}
		split := m.lists["split_indices"][i]
		if split < 0 {
			m.fault("tree %d splits by feature %d", which, split)
			return
		}
		m.highest = max(m.highest, split)
	}
	m.judgeCategories(which, nodes)
	m.learned += nodes
}

func (m *model) judgeCategories(which int, nodes int64) {
	all := int64(len(m.lists["categories"]))
	at, from, size := m.lists["categories_nodes"], m.lists["categories_segments"], m.lists["categories_sizes"]
	if len(at) != len(from) || len(at) != len(size) {
		m.fault("tree %d has %d nodes with categories, %d segments and %d sizes", which, len(at), len(from), len(size))
		return
	}
	for i := range at {
		if at[i] < 0 || at[i] >= nodes || from[i] < 0 || size[i] < 0 || from[i] > all || size[i] > all-from[i] {
			m.fault("tree %d has categories %d to %d of node %d, of %d in all", which, from[i], from[i]+size[i], at[i], all)
			return
		}
	}
}

// judge adds what was found to the report, once all was read.
func (m *model) judge() {
	booster, objective := m.texts["learner/gradient_booster/name"], m.texts["learner/objective/name"]
	features := m.count("learner/learner_model_param/num_feature")
	switch {
	case booster == "" || objective == "" || features < 0:
		m.report.Invalid("it is not a model of XGBoost: it names no booster, objective or number of features")
		return
	case booster != "gblinear" && m.trees == 0:
		m.report.Invalid("the model has no tree")
	case booster != "gblinear" && m.highest >= max(features, 1):
		m.report.Invalid("a tree splits by feature %d, and the model has %d", m.highest, features)
	case m.trees != len(m.lists["tree_info"]):
		m.report.Invalid("the model has %d trees and %d entries of tree_info", m.trees, len(m.lists["tree_info"]))
	}
	groups := max(m.count("learner/learner_model_param/num_class"), 1) * max(m.count("learner/learner_model_param/num_target"), 1)
	for _, group := range m.lists["tree_info"] {
		if group < 0 || group >= groups {
			m.report.Invalid("a tree belongs to class %d of %d", group, groups)
			break
		}
	}
	before := int64(0)
	for _, until := range m.lists["iteration_indptr"] {
		if until < before || until > int64(m.trees) {
			m.report.Invalid("an iteration ends at tree %d of %d", until, m.trees)
			break
		}
		before = until
	}
	m.report.Library, m.report.Parameters = "XGBoost", m.learned
	var parts []string
	for _, n := range m.lists["version"] {
		parts = append(parts, strconv.FormatInt(n, 10))
	}
	m.report.Version = strings.Join(parts, ".")
	if len(parts) == 3 {
		m.report.Knows("xgboost", m.report.Version)
	}
	m.report.Fact("model trees", "%d of %s, objective %s", m.trees, modelfile.Clip(booster, 40), modelfile.Clip(objective, 60))
	m.report.Fact(kindFact, "%s", m.kind())
	input := modelfile.Tensor{Name: "data", Shape: fmt.Sprintf("[?, %d]", features)}
	if m.names > 0 {
		input.Name += " (" + modelfile.Clip(modelfile.List(m.first, 6), 60) + ")"
	}
	m.report.Inputs = []modelfile.Tensor{input}
}

// kind is the estimator that saved the model, where it was one of the interface for scikit-learn.
func (m *model) kind() string {
	var said struct {
		Kind string `json:"_estimator_type"`
	}
	kinds := []string{"classifier", "regressor", "ranker"}
	if json.Unmarshal([]byte(m.texts["learner/attributes/scikit_learn"]), &said) != nil || !slices.Contains(kinds, said.Kind) {
		return ""
	}
	return said.Kind
}

// unquoted is the text of a JSON literal.
func unquoted(raw []byte) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", wrong("a text is none: %v", err)
	}
	return s, nil
}

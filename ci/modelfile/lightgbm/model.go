package lightgbm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// model collects what a file holds: of the trees, one at a time.
type model struct {
	report *modelfile.Report
	// texts are the lines of the header, sizes the bytes of each tree as it says.
	texts map[string]string
	sizes []int64
	// tree are the lists of the tree that is being read, and started where it began; lengths
	// counts the numbers of those that are not kept.
	tree    map[string][]int64
	lengths map[string]int64
	started int64
	trees   int
	learned int64
	faults  int
}

// kept are the lists of a tree that hold indices; the others are counted alone.
var kept = []string{"num_leaves", "num_cat", "split_feature", "decision_type", "left_child", "right_child", "cat_boundaries",
	"is_linear", "num_features", "leaf_features"}

// counted are the lists that must be as long as the tree has splits, or leaves.
var counted = []string{"threshold", "leaf_value", "cat_threshold", "leaf_const", "leaf_coeff"}

// read goes through the file to its last line.
func (m *model) read(s *scanner) error {
	if first, _, err := s.rest(16); err != nil || first != "tree" {
		return wrong("it does not begin with a line tree")
	}
	if err := m.header(s); err != nil {
		return err
	}
	for {
		key, ended, err := s.key()
		switch {
		case err != nil:
			return err
		case ended && key == "":
			continue
		case ended && key == "end of trees":
			m.endTree(s.at - int64(len(key)) - 1)
			return m.tail(s)
		case ended:
			return wrong("the line %q is no part of a tree", modelfile.Clip(key, 40))
		case key == "Tree":
			m.endTree(s.at - int64(len(key)) - 1)
			if err := m.beginTree(s); err != nil {
				return err
			}
		case m.trees == 0:
			return wrong("the line %q stands before the first tree", modelfile.Clip(key, 40))
		default:
			if err := m.line(s, key); err != nil {
				return err
			}
		}
	}
}

// header reads the lines before the first tree.
func (m *model) header(s *scanner) error {
	for {
		key, ended, err := s.key()
		switch {
		case err != nil:
			return err
		case ended && key == "": // the blank line before the trees
			return nil
		case ended: // average_output, and the like
			m.texts[key] = "true"
		case key == "tree_sizes":
			err = s.numbers(func(v float64) error {
				if m.sizes = append(m.sizes, int64(v)); len(m.sizes) > maxTrees {
					return wrong("it has more than %d trees", maxTrees)
				}
				return nil
			})
		default:
			var cut bool
			m.texts[key], cut, err = s.rest(maxText)
			if cut {
				m.texts[key] += " ..."
			}
		}
		if err != nil {
			return err
		}
		if len(m.texts) > 1000 {
			return wrong("it has more than 1000 lines before the first tree")
		}
	}
}

// tail reads what follows the trees: importances, parameters and the categories of pandas.
func (m *model) tail(s *scanner) error {
	for {
		if _, _, err := s.rest(0); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (m *model) beginTree(s *scanner) error {
	number, _, err := s.rest(20)
	if err != nil {
		return err
	}
	if number != strconv.Itoa(m.trees) {
		return wrong("tree %d is numbered %q", m.trees, number)
	}
	m.started = s.at - int64(len("Tree=")+len(number)) - 1
	m.trees++
	m.lengths = map[string]int64{}
	clear(m.tree)
	return nil
}

// line reads a line of a tree.
func (m *model) line(s *scanner, key string) error {
	if m.lengths[key] > 0 {
		return wrong("tree %d has two lines %s", m.trees-1, key)
	}
	switch {
	case slices.Contains(kept, key):
		return s.numbers(func(v float64) error {
			if m.lengths[key]++; m.lengths[key] > maxLeaves {
				return wrong("tree %d has more than %d values of %s", m.trees-1, maxLeaves, key)
			}
			m.tree[key] = append(m.tree[key], int64(v))
			return nil
		})
	case slices.Contains(counted, key):
		return s.numbers(func(v float64) error {
			m.lengths[key]++
			m.learned++
			if key == "threshold" {
				if m.lengths[key] > maxLeaves {
					return wrong("tree %d has more than %d values of %s", m.trees-1, maxLeaves, key)
				}
				m.tree[key] = append(m.tree[key], int64(max(min(v, math.MaxInt32), math.MinInt32)))
			}
			return nil
		})
	}
	_, _, err := s.rest(0)
	m.lengths[key]++
	return err
}

// fault refuses the file, with the first few reasons.
func (m *model) fault(format string, args ...any) {
	if m.faults++; m.faults <= 5 {
		m.report.Invalid(format, args...)
	}
}

func (m *model) one(key string) int64 {
	if len(m.tree[key]) != 1 {
		return -1
	}
	return m.tree[key][0]
}

// count is a line of the header that holds a number.
func (m *model) count(key string) int64 {
	n, err := strconv.ParseInt(m.texts[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// endTree checks the tree that ends at an offset. The library reads trees side by side, from
// the sizes in the header.
func (m *model) endTree(at int64) {
	which := m.trees - 1
	if which < 0 {
		return
	}
	if which >= len(m.sizes) || m.sizes[which] != at-m.started {
		m.fault("tree %d is %d bytes long, and the header says otherwise", which, at-m.started)
	}
	leaves := m.one("num_leaves")
	if leaves < 1 || leaves > maxLeaves || m.lengths["leaf_value"] != leaves {
		m.fault("tree %d has %d leaves and %d values of leaves", which, leaves, m.lengths["leaf_value"])
		return
	}
	m.judgeLinear(which, leaves)
	if leaves == 1 {
		return // a constant: no list of splits counts
	}
	splits := leaves - 1
	for _, key := range []string{"split_feature", "decision_type", "left_child", "right_child", "threshold"} {
		if m.lengths[key] != splits {
			m.fault("tree %d has %d splits and %d values of %s", which, splits, m.lengths[key], key)
			return
		}
	}
	m.judgeTree(which, splits)
	m.judgeCategories(which, splits)
}

// judgeTree checks that every split but the root, and every leaf, has one parent.
func (m *model) judgeTree(which int, splits int64) {
	seen := make([]bool, splits+splits+1)
	for i := range splits {
		for _, child := range []int64{m.tree["left_child"][i], m.tree["right_child"][i]} {
			place := child
			if child < 0 {
				place = splits + ^child
			}
			if child == 0 || child >= splits || ^child > splits || seen[place] {
				m.fault("tree %d is none: split %d has the child %d of %d splits", which, i, child, splits)
				return
			}
			seen[place] = true
		}
		if f := m.tree["split_feature"][i]; f < 0 || f > m.count("max_feature_idx") {
			m.fault("tree %d splits by feature %d of %d", which, f, m.count("max_feature_idx")+1)
			return
		}
	}
}

// judgeLinear checks the linear models in the leaves, where there are some.
func (m *model) judgeLinear(which int, leaves int64) {
	if m.one("is_linear") <= 0 {
		return
	}
	all := int64(0)
	for _, n := range m.tree["num_features"] {
		if n < 0 || n > maxLeaves {
			all = -1
			break
		}
		all += n
	}
	if m.lengths["num_features"] != leaves || m.lengths["leaf_const"] != leaves ||
		all != m.lengths["leaf_features"] || all != m.lengths["leaf_coeff"] {
		m.fault("the models in the %d leaves of tree %d have %d features, %d indices and %d coefficients", leaves, which, all,
			m.lengths["leaf_features"], m.lengths["leaf_coeff"])
	}
	for _, f := range m.tree["leaf_features"] {
		if f < 0 || f > m.count("max_feature_idx") {
			m.fault("a leaf of tree %d uses feature %d of %d", which, f, m.count("max_feature_idx")+1)
			return
		}
	}
}

// judgeCategories checks the categories that splits name by their number.
func (m *model) judgeCategories(which int, splits int64) {
	number, bounds := m.one("num_cat"), m.tree["cat_boundaries"]
	if number < 0 || number > maxLeaves {
		m.fault("tree %d has %d splits by categories", which, number)
		return
	}
	if number > 0 {
		before := int64(0)
		for _, bound := range bounds {
			if bound < before || bound > m.lengths["cat_threshold"] {
				m.fault("tree %d has the bound %d of %d categories", which, bound, m.lengths["cat_threshold"])
				return
			}
			before = bound
		}
		if int64(len(bounds)) != number+1 {
			m.fault("tree %d has %d splits by categories and %d bounds", which, number, len(bounds))
			return
		}
	}
	for i := range splits {
		if kind := m.tree["decision_type"][i]; kind&1 == 1 {
			if at := m.tree["threshold"][i]; at < 0 || at >= number {
				m.fault("tree %d splits by the categories %d of %d", which, at, number)
				return
			}
		}
	}
}

// judge adds what was found to the report, once all was read.
func (m *model) judge() {
	features, per, classes := m.count("max_feature_idx")+1, m.count("num_tree_per_iteration"), m.count("num_class")
	switch {
	case m.texts["version"] == "" || features < 1 || per < 1 || classes < 1:
		m.report.Invalid("it is not a model of LightGBM: it names no version, features or classes")
		return
	case len(m.sizes) != m.trees:
		m.report.Invalid("the model has %d trees, and its header sizes of %d", m.trees, len(m.sizes))
	case int64(m.trees)%per != 0:
		m.report.Invalid("the model has %d trees, which is no multiple of %d", m.trees, per)
	case int64(len(strings.Fields(m.texts["feature_names"]))) != features && !strings.HasSuffix(m.texts["feature_names"], " ..."):
		m.report.Invalid("the model has %d features and %d names", features, len(strings.Fields(m.texts["feature_names"])))
	}
	m.report.Library, m.report.Version, m.report.Parameters = "LightGBM", "", m.learned
	m.report.Fact("model trees", "%d, objective %s; format %s", m.trees, modelfile.Clip(m.texts["objective"], 80),
		modelfile.Clip(m.texts["version"], 20))
	names := modelfile.List(strings.Fields(m.texts["feature_names"]), 6)
	m.report.Inputs = []modelfile.Tensor{{Name: "data (" + modelfile.Clip(names, 60) + ")", Shape: fmt.Sprintf("[?, %d]", features)}}
}

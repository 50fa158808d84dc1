package xgboost_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/xgboost"
)

// tree has one split by feature 1 and two leaves.
const tree = `{"base_weights":[0,1,-1],"categories":[3,4],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[2],` +
	`"default_left":[0,0,0],"id":0,"left_children":[1,-1,-1],"parents":[2147483647,0,0],"right_children":[2,-1,-1],` +
	`"split_conditions":[0.5,1,-1],"split_indices":[1,0,0],"split_type":[1,0,0],"tree_param":{"num_nodes":"3","num_feature":"2"}}`

// file is a model of one tree in JSON.
func file(t string) string {
	return `{"learner":{"attributes":{"scikit_learn":"{\"_estimator_type\": \"classifier\"}"},"feature_names":["age","size"],"gradient_booster":{"model":` +
		`{"gbtree_model_param":{"num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[` + t + `]},"name":"gbtree"},` +
		`"learner_model_param":{"base_score":"0.5","num_class":"0","num_feature":"2","num_target":"1"},"objective":{"name":"binary:logistic"}},"version":[3,2,0]}`
}

func inspect(t testing.TB, name, content string) *modelfile.Report {
	t.Helper()
	report := &modelfile.Report{}
	require.NoError(t, xgboost.Format.Inspect(t.Context(), &modelfile.Input{File: strings.NewReader(content), Size: int64(len(content)), Name: name}, report))
	return report
}

func TestAModelTellsWhatItIs(t *testing.T) {
	r := inspect(t, "m.json", file(tree))
	require.Empty(t, r.Problems)
	assert.Equal(t, "3.2.0", r.Version)
	assert.Equal(t, map[string]string{"xgboost": "3.2.0"}, r.Versions)
	assert.Equal(t, []modelfile.Fact{{Name: "model trees", Value: "1 of gbtree, objective binary:logistic"}, {Name: "model kind", Value: "classifier"}}, r.Facts)
	assert.Equal(t, modelfile.Tensor{Name: "data (age, size)", Shape: "[?, 2]"}, r.Inputs[0])
	saved := modelfile.Saved{Facts: map[string]string{"model kind": "classifier"}, Versions: r.Versions}
	flavor := xgboost.Format.Flavor("model.json", saved)
	assert.Equal(t, map[string]any{"data": "model.json", "model_class": "xgboost.sklearn.XGBClassifier", "model_format": "json", "xgb_version": "3.2.0"}, flavor.Values)
	assert.Equal(t, "xgboost.core.Booster", xgboost.Format.Flavor("model.ubj", modelfile.Saved{}).Values["model_class"])
	several := strings.Replace(tree, `"right_children":[2,-1,-1]`, `"right_children":[2,0,1]`, 1)
	assert.Empty(t, inspect(t, "m.json", file(several)).Problems, "leaves of several targets have numbers")
	linear := strings.Replace(strings.Replace(file(""), `"trees":[]`, `"weights":[1,2,3]`, 1), `"gbtree"`, `"gblinear"`, 1)
	linear = strings.Replace(linear, `"tree_info":[0],`, "", 1)
	r = inspect(t, "m.json", strings.Replace(linear, `"iteration_indptr":[0,1],`, "", 1))
	assert.Empty(t, r.Problems)
	assert.EqualValues(t, 3, r.Parameters)
}

func TestATreeThatIsNoneIsRefused(t *testing.T) {
	with := func(old, changed string) string { return file(strings.Replace(tree, old, changed, 1)) }
	whole := func(old, changed string) string { return strings.Replace(file(tree), old, changed, 1) }
	for name, c := range map[string]struct{ content, cause string }{
		"a pickle":                       {"\x80\x04", "does not begin with {"},
		"nothing":                        {"", "ends too early"},
		"a cut file":                     {file(tree)[:200], "ends too early"},
		"two documents":                  {file(tree) + "{}", "something follows"},
		"another document":               {`{"a": 1}`, "names no booster"},
		"a key twice":                    {whole(`"version"`, `"learner"`), `key "learner" is there twice`},
		"a deep document":                {strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), "nest deeper than 32"},
		"a number without end":           {`{"a":` + strings.Repeat("1", 100) + "}", "more than 64 characters"},
		"a text without end":             {`{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "more than 1048576 bytes"},
		"a word":                         {`{"a":nonsense}`, `"nonsense" is no number`},
		"a key that is none":             {`{1:1}`, "a key begins with"},
		"a value without a key":          {`{"a" 1}`, "follows a key"},
		"values without a comma":         {`{"a":[1 2]}`, "follows a value"},
		"a child beyond":                 {with(`"left_children":[1,`, `"left_children":[7,`), "child 7 of 3 nodes"},
		"a child below":                  {with(`"right_children":[2,`, `"right_children":[-5,`), "child -5 of 3 nodes"},
		"a circle":                       {with(`"left_children":[1,-1`, `"left_children":[1,0`), "child 0 of 3 nodes"},
		"two parents":                    {with(`"right_children":[2,`, `"right_children":[1,`), "child 1 of 3 nodes"},
		"the leaf of another tree":       {with(`"right_children":[2,-1`, `"right_children":[2,9`), "leaf 9 of 3 nodes"},
		"a feature beyond":               {with(`"split_indices":[1,`, `"split_indices":[5,`), "feature 5, and the model has 2"},
		"a negative feature":             {with(`"split_indices":[1,`, `"split_indices":[-5,`), "splits by feature -5"},
		"fewer nodes than said":          {with(`"num_nodes":"3"`, `"num_nodes":"9"`), "3 nodes in its lists and 9"},
		"no number of nodes":             {with(`"num_nodes":"3",`, ``), "and -1 by its own account"},
		"a list that is short":           {with(`"split_conditions":[0.5,1,-1]`, `"split_conditions":[0.5]`), "1 values of split_conditions"},
		"a list that is filled up aside": {with(`"split_conditions":[0.5,1,-1]`, `"split_conditions":[0.5],"x":{"split_conditions":[1,-1]}`), "1 values of split_conditions"},
		"categories beyond":              {with(`"categories_sizes":[2]`, `"categories_sizes":[99]`), "categories 0 to 99"},
		"categories of no node":          {with(`"categories_nodes":[0]`, `"categories_nodes":[9]`), "of node 9"},
		"categories without sizes":       {with(`"categories_sizes":[2]`, `"categories_sizes":[]`), "1 segments and 0 sizes"},
		"no tree":                        {file(""), "has no tree"},
		"a tree too few":                 {whole(`"tree_info":[0]`, `"tree_info":[0,0]`), "1 trees and 2 entries"},
		"a class beyond":                 {whole(`"tree_info":[0]`, `"tree_info":[4]`), "class 4 of 1"},
		"an iteration beyond":            {whole(`"iteration_indptr":[0,1]`, `"iteration_indptr":[0,9]`), "ends at tree 9 of 1"},
		"a version that is none":         {whole(`"version":[3,2,0]`, `"version":[-3,2,0]`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := inspect(t, "m.json", c.content)
			if c.cause == "" {
				assert.Equal(t, "-3.2.0", r.Version)
				return
			}
			require.NotEmpty(t, r.Problems)
			assert.Equal(t, "ARCHIVE_INVALID", r.Problems[0].Code.Name)
			var causes []string
			for _, p := range r.Problems {
				causes = append(causes, p.Cause)
			}
			assert.Contains(t, strings.Join(causes, "\n"), c.cause)
		})
	}
}

// ubj writes values as XGBoost does.
type ubj struct{ strings.Builder }

func (u *ubj) length(n int) *ubj {
	u.WriteString("L")
	u.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return u
}

func (u *ubj) key(name string) *ubj {
	u.length(len(name)).WriteString(name)
	return u
}

func (u *ubj) text(s string) *ubj {
	u.WriteString("S")
	return u.key(s)
}

func (u *ubj) ints(values ...int) *ubj {
	u.WriteString("[$l#")
	u.length(len(values))
	for _, v := range values {
		u.Write(binary.BigEndian.AppendUint32(nil, uint32(v)))
	}
	return u
}

func (u *ubj) raw(s string) *ubj { u.WriteString(s); return u }

// binaryFile is the model of file in UBJSON; children are those on the left.
func binaryFile(children ...int) string {
	u := &ubj{}
	u.raw("{").key("learner").raw("{").key("gradient_booster").raw("{").key("model").raw("{")
	u.key("tree_info").ints(0).key("trees").raw("[#").length(1).raw("{")
	u.key("left_children").ints(children...).key("right_children").ints(2, -1, -1).key("parents").ints(math.MaxInt32, 0, 0)
	u.key("split_indices").ints(1, 0, 0).key("split_conditions").raw("[$d#").length(3).raw(strings.Repeat("\x3f\x00\x00\x00", 3))
	u.key("tree_param").raw("{").key("num_nodes").text("3").raw("}}").raw("}")
	u.key("name").text("gbtree").raw("}")
	u.key("learner_model_param").raw("{").key("num_feature").text("2").raw("}").key("objective").raw("{").key("name").text("binary:logistic").raw("}}")
	return u.key("version").raw("[#").length(3).raw("i\x03U\x02I\x00\x00").raw("}").String()
}

func TestTheBinaryFormIsReadTheSame(t *testing.T) {
	r := inspect(t, "m.ubj", binaryFile(1, -1, -1))
	require.Empty(t, r.Problems)
	assert.Equal(t, "3.2.0", r.Version)
	assert.Equal(t, "1 of gbtree, objective binary:logistic", r.Facts[0].Value)
	sound := binaryFile(1, -1, -1)
	long := (&ubj{}).raw("{").key("a").raw("S").length(math.MaxInt64).String()
	for name, c := range map[string]struct{ content, cause string }{
		"a child beyond":             {binaryFile(7, -1, -1), "child 7 of 3 nodes"},
		"a cut file":                 {sound[:len(sound)/2], "longer than the rest"},
		"bytes behind":               {sound + "x", "1 bytes follow"},
		"JSON":                       {file(tree), "a key has a length of the type"},
		"the old binary form":        {"binf" + sound, "does not begin with {"},
		"a text beyond the file":     {long, "bytes are left"},
		"a list beyond the file":     {(&ubj{}).raw("{").key("a").raw("[$L#").raw("l\x00\x00\x00\x09").raw("xxxxxxxxxxxxxx").String(), "longer than the rest"},
		"a list of nothing":          {(&ubj{}).raw("{").key("a").raw("[$Z#").length(9).raw("}").String(), "is not of numbers"},
		"a list of lists":            {(&ubj{}).raw("{").key("a").raw("[$[#").length(9).raw("}").String(), "is not of numbers"},
		"a length that is no number": {(&ubj{}).raw("{").key("a").raw("[#S").String(), "a length has the type"},
		"a value that is none":       {(&ubj{}).raw("{").key("a").raw("q").String(), `a value has the type 'q'`},
		"a text that is none":        {(&ubj{}).raw("{").key("a").raw("S").length(1).raw("\xff}").String(), "not UTF-8"},
	} {
		r := inspect(t, "m.ubj", c.content)
		require.NotEmpty(t, r.Problems, name)
		assert.Contains(t, r.Problems[0].Cause, c.cause, name)
	}
}

// Whatever the bytes are, reading them ends without a panic.
func FuzzInspect(f *testing.F) {
	f.Add(true, file(tree))
	f.Add(false, binaryFile(1, -1, -1))
	f.Fuzz(func(t *testing.T, text bool, content string) {
		inspect(t, map[bool]string{true: "m.json", false: "m.ubj"}[text], content)
	})
}

package lightgbm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/lightgbm"
)

// tree has two splits and three leaves; the first split is by categories.
const tree = "num_leaves=3\nnum_cat=1\nsplit_feature=1 0\nsplit_gain=1 2\nthreshold=0 0.5\ndecision_type=1 2\nleft_child=1 -1\nright_child=-3 -2\n" +
	"leaf_value=0.1 0.2 1e-3\ncat_boundaries=0 2\ncat_threshold=3 4\nis_linear=0\nshrinkage=1\n\n\n"

// file is a model of the given trees, with sound sizes.
func file(trees ...string) string {
	var sizes []string
	var all strings.Builder
	for i, t := range trees {
		t = fmt.Sprintf("Tree=%d\n%s", i, t)
		sizes = append(sizes, fmt.Sprint(len(t)))
		all.WriteString(t)
	}
	return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=binary sigmoid:1\n" +
		"feature_names=age size\nfeature_infos=[0:1] 1:2\ntree_sizes=" + strings.Join(sizes, " ") + "\n\n" + all.String() +
		"end of trees\n\nfeature_importances:\nage=2\n\nparameters:\n[boosting: gbdt]\n\nend of parameters\n\npandas_categorical:[[1, 2]]\n"
}

func inspect(t testing.TB, content string) *modelfile.Report {
	t.Helper()
	report := &modelfile.Report{}
	require.NoError(t, lightgbm.Format.Inspect(t.Context(), &modelfile.Input{File: strings.NewReader(content), Size: int64(len(content)), Name: "m.txt"}, report))
	return report
}

func TestAModelTellsWhatItIs(t *testing.T) {
	r := inspect(t, file(tree, tree))
	require.Empty(t, r.Problems)
	assert.Equal(t, "2, objective binary sigmoid:1; format v4", r.Facts[0].Value)
	assert.Equal(t, modelfile.Tensor{Name: "data (age, size)", Shape: "[?, 2]"}, r.Inputs[0])
	assert.Empty(t, inspect(t, file("num_leaves=1\nnum_cat=0\nleaf_value=0.5\n\n\n")).Problems, "a constant")
	flavor := lightgbm.Format.Flavor("model.txt", modelfile.Saved{Versions: map[string]string{"lightgbm": "4.7.0"}})
	assert.Equal(t, "mlflow.lightgbm", flavor.Loader)
	assert.Equal(t, map[string]any{"data": "model.txt", "model_class": "lightgbm.basic.Booster", "lgb_version": "4.7.0"}, flavor.Values)
	linear := strings.Replace(tree, "is_linear=0", "is_linear=1\nleaf_const=1 2 3\nnum_features=1 0 1\nleaf_features=1  0 \nleaf_coeff=2  3 ", 1)
	assert.Empty(t, inspect(t, file(linear)).Problems)
}

func TestATreeThatIsNoneIsRefused(t *testing.T) {
	with := func(old, changed string) string { return file(strings.Replace(tree, old, changed, 1)) }
	linear := func(lines string) string { return with("is_linear=0", "is_linear=1\n"+lines) }
	for name, c := range map[string]struct{ content, cause string }{
		"a pickle":                     {"\x80\x04pickle\n", "does not begin with a line tree"},
		"nothing after the beginning":  {"tree\n", "ends too early"},
		"a cut file":                   {file(tree)[:300], "ends too early"},
		"no header":                    {strings.Replace(file(tree), "max_feature_idx=1\n", "", 1), "names no version, features or classes"},
		"a child beyond the splits":    {with("left_child=1 -1", "left_child=9 -1"), "child 9 of 2 splits"},
		"a leaf beyond the leaves":     {with("left_child=1 -1", "left_child=1 -9"), "child -9 of 2 splits"},
		"a circle":                     {with("left_child=1 -1", "left_child=1 0"), "child 0 of 2 splits"},
		"two parents":                  {with("left_child=1 -1", "left_child=1 1"), "child 1 of 2 splits"},
		"a feature beyond":             {with("split_feature=1 0", "split_feature=1 7"), "feature 7 of 2"},
		"a negative feature":           {with("split_feature=1 0", "split_feature=1 -7"), "feature -7 of 2"},
		"too few children":             {with("left_child=1 -1", "left_child=1"), "2 splits and 1 values of left_child"},
		"too few leaves":               {with("leaf_value=0.1 0.2 1e-3", "leaf_value=0.1"), "3 leaves and 1 values"},
		"too few thresholds":           {with("threshold=0 0.5", "threshold=0"), "1 values of threshold"},
		"no leaves":                    {with("num_leaves=3", "num_leaves=0"), "0 leaves"},
		"leaves beyond all bounds":     {with("num_leaves=3", "num_leaves=9223372036854775807"), "leaves"},
		"categories beyond":            {with("cat_boundaries=0 2", "cat_boundaries=0 99"), "bound 99 of 2 categories"},
		"categories that fall":         {with("cat_boundaries=0 2", "cat_boundaries=2 0"), "bound 0 of 2"},
		"too few bounds":               {with("cat_boundaries=0 2", "cat_boundaries=0"), "1 splits by categories and 1 bounds"},
		"categories that are none":     {with("threshold=0 0.5", "threshold=5 0.5"), "categories 5 of 1"},
		"no number of categories":      {with("num_cat=1\n", ""), "-1 splits by categories"},
		"a line twice":                 {with("num_cat=1\n", "num_cat=1\nnum_cat=1\n"), "two lines num_cat"},
		"a number that is none":        {with("threshold=0 0.5", "threshold=0 x"), `"x" is no number`},
		"thresholds beyond all bounds": {with("threshold=0 0.5", "threshold="+strings.Repeat("1 ", 4<<20+1)), "more than 4194304 values of threshold"},
		"a number without end":         {with("threshold=0 0.5", "threshold="+strings.Repeat("1", 100)), "more than 64 characters"},
		"a key without end":            {with("num_cat=1\n", strings.Repeat("k", 100)+"\n"), "more than 64 characters without ="},
		"another line":                 {with("num_cat=1\n", "hello\n"), `"hello" is no part of a tree`},
		"a line before the trees":      {strings.Replace(file(tree), "Tree=0\n", "num_cat=1\n", 1), "before the first tree"},
		"sizes that lie":               {strings.Replace(file(tree), "tree_sizes=", "tree_sizes=9", 1), "the header says otherwise"},
		"more sizes than trees":        {strings.Replace(file(tree), "tree_sizes=", "tree_sizes=9 ", 1), "the header says otherwise"},
		"trees in another order":       {strings.Replace(file(tree), "Tree=0", "Tree=1", 1), `tree 0 is numbered "1"`},
		"half an iteration":            {strings.Replace(file(tree), "per_iteration=1", "per_iteration=2", 1), "no multiple of 2"},
		"more features than names":     {strings.Replace(file(tree), "max_feature_idx=1", "max_feature_idx=5", 1), "6 features and 2 names"},
		"a linear leaf beyond":         {linear("leaf_const=1 2 3\nnum_features=1 0 0\nleaf_features=8\nleaf_coeff=2"), "feature 8 of 2"},
		"linear leaves without":        {linear("leaf_const=1 2 3\nnum_features=1 0 5\nleaf_features=0\nleaf_coeff=2"), "6 features, 1 indices"},
		"a linear leaf of minus one":   {linear("leaf_const=1 2 3\nnum_features=-1 1 1\nleaf_features=0\nleaf_coeff=2"), "-1 features"},
	} {
		t.Run(name, func(t *testing.T) {
			r := inspect(t, c.content)
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

// Whatever the text is, reading it ends without a panic.
func FuzzInspect(f *testing.F) {
	f.Add(file(tree))
	f.Add(file(tree, tree)[:400])
	f.Fuzz(func(t *testing.T, content string) { inspect(t, content) })
}

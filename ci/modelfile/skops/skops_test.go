package skops_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/skops"
)

type object map[string]any

func (o object) with(key string, value any) object {
	o[key] = value
	return o
}

// node is an object of the schema.
func node(module, class, loader string, more object) object {
	o := object{"__module__": module, "__class__": class, "__loader__": loader, "__id__": 1}
	maps.Copy(o, more)
	return o
}

func text(content string) object {
	return node("builtins", "str", "JsonNode", object{"content": content})
}

func dict(content object) object {
	return node("builtins", "dict", "DictNode", object{"content": content, "key_types": node("builtins", "list", "ListNode", object{"content": []any{}})})
}

// estimator is a logistic regression with further attributes.
func estimator(attributes object) object {
	all := object{"coef_": node("numpy", "ndarray", "NdArrayNode", object{"type": "numpy", "file": "1.npy"}), "n_features_in_": text("4")}
	maps.Copy(all, attributes)
	return node("sklearn.linear_model._logistic", "LogisticRegression", "ObjectNode", object{"content": dict(all)})
}

// array is a NumPy file of 3 x 4 float64.
func array(header string, length int) string {
	if header == "" {
		header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }"
	}
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	return "\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), 0}) + header + strings.Repeat("x", length)
}

func pack(t testing.TB, schema any, files map[string]string) []byte {
	t.Helper()
	content, isText := schema.(string)
	if !isText {
		b, err := json.Marshal(schema)
		require.NoError(t, err)
		content = string(b)
	}
	all := map[string]string{"1.npy": array("", 96)}
	maps.Copy(all, files)
	if content != "" {
		all["schema.json"] = content
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] == "-" {
			continue
		}
		method := zip.Store
		if strings.HasPrefix(name, "packed") {
			method = zip.Deflate
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		require.NoError(t, err)
		_, err = f.Write([]byte(all[name]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// saved is the root of a file.
func saved(o object) object {
	o["protocol"], o["_skops_version"] = 2, "0.16.0"
	return o
}

func inspect(t testing.TB, content []byte, opts modelfile.Options) *modelfile.Report {
	t.Helper()
	report := &modelfile.Report{}
	require.NoError(t, skops.Format.Inspect(t.Context(), &modelfile.Input{File: bytes.NewReader(content), Size: int64(len(content)), Name: "m.skops", Options: opts}, report))
	return report
}

func TestAModelTellsWhatItIs(t *testing.T) {
	pipeline := node("sklearn.pipeline", "Pipeline", "ObjectNode", object{"content": dict(object{"steps": node("builtins", "list", "ListNode", object{"content": []any{
		node("builtins", "tuple", "TupleNode", object{"content": []any{text(`"clf"`), estimator(nil)}})}})})})
	r := inspect(t, pack(t, saved(pipeline), nil), modelfile.Options{})
	require.Empty(t, r.Problems)
	assert.Equal(t, map[string]string{"skops": "0.16.0"}, r.Versions)
	assert.EqualValues(t, 12, r.Parameters)
	assert.Equal(t, "[?, 4]", r.Inputs[0].Shape)
	assert.Equal(t, []modelfile.Fact{{Name: "model type", Value: "sklearn.pipeline.Pipeline"},
		{Name: "model estimators", Value: "Pipeline, LogisticRegression"}}, r.Facts)
	flavor := skops.Format.Flavor("model.skops", modelfile.Saved{Allowed: []string{"a.B"}, Versions: map[string]string{"scikit-learn": "1.9.1"}})
	assert.Equal(t, map[string]any{"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": "1.9.1", "skops_trusted_types": []string{"a.B"}}, flavor.Values)
}

// Each saving numbers objects anew, by their addresses.
func TestTwoSavingsOfOneModelAreEqual(t *testing.T) {
	again := estimator(nil).with("__id__", 77)
	coef := again["content"].(object)["content"].(object)["coef_"].(object)
	coef["file"], coef["__id__"] = "9.npy", 9
	content := func(o object, files map[string]string) string {
		r := inspect(t, pack(t, saved(o), files), modelfile.Options{Content: true})
		require.Empty(t, r.Problems)
		require.Len(t, r.Content, 64)
		return r.Content
	}
	renamed := map[string]string{"1.npy": "-", "9.npy": array("", 96)}
	assert.Equal(t, content(estimator(nil), nil), content(again, renamed))
	renamed["9.npy"] = strings.Replace(array("", 96), "xx", "yx", 1)
	assert.NotEqual(t, content(estimator(nil), nil), content(again, renamed), "another weight")
	assert.NotEqual(t, content(estimator(nil), nil), content(estimator(object{"C": text("2")}), nil), "another setting")
}

func TestATypeThatIsNotKnownIsRefused(t *testing.T) {
	in := func(attribute any) object { return saved(estimator(object{"a": attribute})) }
	for name, c := range map[string]struct {
		schema object
		cause  string
	}{
		"a class of the application":      {in(node("app.models", "Mine", "ObjectNode", nil)), "app.models.Mine is not on the list"},
		"the model itself":                {saved(node("app.models", "Mine", "ObjectNode", nil)), "app.models.Mine is not on the list"},
		"no estimator":                    {saved(dict(object{})), "no estimator of scikit-learn"},
		"a function":                      {in(node("os", "system", "FunctionNode", nil)), "os.system can do anything"},
		"a function as a type":            {in(node("builtins", "eval", "TypeNode", nil)), "builtins.eval can do anything"},
		"a trusted name, another loader":  {in(node("numpy", "log1p", "ObjectNode", nil)), "numpy.log1p is not on the list"},
		"a tree":                          {in(node("sklearn.tree._tree", "Tree", "TreeNode", nil)), "sklearn.tree._tree.Tree is not on the list"},
		"a method":                        {in(node("sklearn.linear_model._logistic", "LogisticRegression", "MethodNode", object{"content": object{"func": "fit", "obj": estimator(nil)}})), "LogisticRegression.fit is not"},
		"a method caller":                 {in(node("operator", "methodcaller", "OperatorFuncNode", nil)), "operator.methodcaller can do anything"},
		"an operator":                     {in(node("operator", "itemgetter", "OperatorFuncNode", nil)), "operator.itemgetter is not"},
		"a partial":                       {in(node("functools", "partial", "PartialNode", nil)), "functools.partial is not"},
		"a constructor":                   {in(node("datetime", "timezone", "ConstructorFromReduceNode", nil)), "datetime.timezone is not"},
		"a type where none is looked for": {in(text(`1`)).with("unused", object{"deep": []any{node("subprocess", "Popen", "ObjectNode", nil)}}), "subprocess.Popen can do anything"},
		"a type in the types of the keys": {in(node("builtins", "dict", "DictNode", object{"content": object{}, "key_types": node("app", "Key", "TypeNode", nil)})), "app.Key is not"},
	} {
		t.Run(name, func(t *testing.T) {
			r := inspect(t, pack(t, c.schema, nil), modelfile.Options{AllowTypes: []string{"os.system", "builtins.eval", "operator.methodcaller", "subprocess.Popen"}})
			require.NotEmpty(t, r.Problems)
			assert.Equal(t, "UNTRUSTED_TYPE", r.Problems[0].Code.Name)
			assert.Contains(t, r.Problems[0].Cause, c.cause)
		})
	}
	allowed := modelfile.Options{AllowTypes: []string{"app.models.Mine", "sklearn.tree._tree.Tree", "sklearn.linear_model._logistic.LogisticRegression.fit"}}
	for _, schema := range []object{in(node("app.models", "Mine", "ObjectNode", nil)), in(node("sklearn.tree._tree", "Tree", "TreeNode", nil)), saved(node("app.models", "Mine", "ObjectNode", nil)),
		in(node("sklearn.linear_model._logistic", "LogisticRegression", "MethodNode", object{"content": object{"func": "fit", "obj": estimator(nil)}}))} {
		assert.Empty(t, inspect(t, pack(t, schema, nil), allowed).Problems)
	}
	r := inspect(t, pack(t, saved(estimator(object{"a": node("sklearn.tree._tree", "Tree", "TreeNode", nil), "b": node("app.x", "Y", "ObjectNode", nil), "c": node("os", "system", "FunctionNode", nil)})), nil), modelfile.Options{})
	require.Len(t, r.Problems, 3)
	assert.Contains(t, r.Problems[0].Next, "train.allow_types: [sklearn.tree._tree.Tree, app.x.Y] in pipeline.yaml", "what is never allowed is not proposed")
	r = inspect(t, pack(t, saved(estimator(object{"b": node("__main__", "f", "FunctionNode", nil)})), nil), modelfile.Options{})
	require.Len(t, r.Problems, 1)
	assert.Contains(t, r.Problems[0].Next, "move it to a module", "allowed, it would not be found when the model is loaded")
	many := object{}
	for i := range 100 {
		many[string(rune('a'+i%26))+strings.Repeat("x", i)] = node("app", strings.Repeat("C", i+1), "ObjectNode", nil)
	}
	assert.Less(t, len(inspect(t, pack(t, saved(estimator(many)), nil), modelfile.Options{}).Problems), 21)
}

func TestWhatSkopsDidNotWriteIsRefused(t *testing.T) {
	sound := saved(estimator(nil))
	for name, c := range map[string]struct {
		content []byte
		cause   string
	}{
		"no zip":                   {[]byte("\x80\x04pickle"), "cannot be opened"},
		"a cut zip":                {pack(t, sound, nil)[:300], "cannot be opened"},
		"no schema":                {pack(t, "", nil), "schema.json is missing"},
		"a schema that is a list":  {pack(t, "[]", nil), "not that of a skops file"},
		"a schema with NaN":        {pack(t, `{"a": NaN}`, nil), "NaN is not a finite number"},
		"a key twice":              {pack(t, `{"a": 1, "a": 2}`, nil), "a"},
		"a deep schema":            {pack(t, strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500), nil), "nested deeper than 400"},
		"an old protocol":          {pack(t, estimator(nil).with("protocol", 0), nil), "protocol 0"},
		"no protocol":              {pack(t, estimator(nil), nil), "not that of a skops file"},
		"a version that is none":   {pack(t, saved(estimator(nil)).with("_skops_version", "1.0\n--index-url=x"), nil), "which is none"},
		"an unknown loader":        {pack(t, saved(estimator(object{"a": node("a", "B", "PickleNode", nil)})), nil), `loader "PickleNode"`},
		"a type without a loader":  {pack(t, saved(estimator(object{"a": object{"__class__": "B", "__module__": "a"}})), nil), "not how it is loaded"},
		"a loader that is no text": {pack(t, saved(estimator(object{"a": object{"__class__": "B", "__module__": "a", "__loader__": 1}})), nil), "not how it is loaded"},
		"a file that is absent":    {pack(t, sound, map[string]string{"1.npy": "-"}), "1.npy, which is not in the archive"},
		"a pickle beside it":       {pack(t, sound, map[string]string{"model.pkl": "x"}), "not part of a skops file"},
		"a path":                   {pack(t, sound, map[string]string{"../x.npy": "x"}), "outside the archive"},
		"an absolute path":         {pack(t, sound, map[string]string{"/x.npy": "x"}), "absolute path"},
		"a folder":                 {pack(t, sound, map[string]string{"a/x.npy": "x"}), "in a folder"},
		"an array that is none":    {pack(t, sound, map[string]string{"1.npy": "\x80\x04pickle and more"}), "not an array of NumPy"},
		"an array of objects":      {pack(t, sound, map[string]string{"1.npy": array("{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", 96)}), "pickled objects"},
		"a short array":            {pack(t, sound, map[string]string{"1.npy": array("", 95)}), "12 elements take 8 each"},
		"a shape beyond all files": {pack(t, sound, map[string]string{"1.npy": array("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 96)}), "more elements than any file"},
		"a bomb":                   {pack(t, sound, map[string]string{"packed.bin": strings.Repeat("\x00", 64<<20)}), "more than 1000 times its size"},
		"a matrix that is none":    {pack(t, sound, map[string]string{"2.npz": "no zip"}), "2.npz is not an archive"},
		"a matrix packed twice":    {pack(t, sound, map[string]string{"packed.npz": "no zip"}), "packed twice"},
		"a matrix with a pickle":   {pack(t, sound, map[string]string{"2.npz": string(pack(t, sound, nil))}), "entry schema.json is no array"},
	} {
		t.Run(name, func(t *testing.T) {
			r := inspect(t, c.content, modelfile.Options{})
			require.NotEmpty(t, r.Problems)
			assert.Equal(t, "ARCHIVE_INVALID", r.Problems[0].Code.Name)
			assert.Contains(t, r.Problems[0].Cause, c.cause)
		})
	}
	for _, code := range skops.Codes() {
		assert.NotEmpty(t, code.Remedy)
	}
}

// Whatever the bytes are, looking ends without a panic; what is accepted names no type of others.
func FuzzInspect(f *testing.F) {
	f.Add(pack(f, saved(estimator(nil)), nil))
	f.Add(pack(f, saved(estimator(object{"a": node("os", "system", "FunctionNode", nil)})), nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		if inspect(t, content, modelfile.Options{}).OK() {
			assert.NotContains(t, string(content), `"__module__":"os"`)
		}
	})
}

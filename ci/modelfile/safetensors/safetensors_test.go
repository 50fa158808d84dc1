package safetensors_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/safetensors"
)

func file(header string, data int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("w", data)
}

const sound = `{"__metadata__":{"format":"pt"},"bias":{"dtype":"F32","shape":[3],"data_offsets":[48,60]},` +
	`"weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]}}`

var named = modelfile.Options{Loader: "net", Beside: map[string]int64{"net.py": 100}}

func inspect(t testing.TB, content string, opts modelfile.Options) *modelfile.Report {
	t.Helper()
	report := &modelfile.Report{}
	require.NoError(t, safetensors.Format.Inspect(t.Context(), &modelfile.Input{File: strings.NewReader(content), Size: int64(len(content)),
		Name: "m.safetensors", Options: opts}, report))
	return report
}

func TestWeightsTellWhatTheyAre(t *testing.T) {
	r := inspect(t, file(sound+"   ", 60), named)
	require.Empty(t, r.Problems)
	assert.EqualValues(t, 15, r.Parameters)
	assert.Equal(t, []modelfile.Fact{{Name: "model saved from", Value: "pt"}, {Name: "model tensors", Value: "2 of F32"}}, r.Facts)
	assert.Equal(t, modelfile.Layer{Name: "weight", Class: "F32", Size: "[4, 3]"}, r.Layers[0])
	flavor := safetensors.Format.Flavor("model.safetensors", modelfile.Saved{Allowed: safetensors.Format.Allows(named)})
	assert.Equal(t, "net", flavor.Loader)
	assert.Equal(t, map[string]any{"data": "model.safetensors", "code": "."}, flavor.Pyfunc)
}

func TestWeightsAloneAreNoModel(t *testing.T) {
	for opts, cause := range map[string]string{"": "train.loader is empty", "net": "net.py is not among the files"} {
		r := inspect(t, file(sound, 60), modelfile.Options{Loader: opts})
		require.Len(t, r.Problems, 1)
		assert.Equal(t, "WEIGHTS_ONLY", r.Problems[0].Code.Name)
		assert.Contains(t, r.Problems[0].Cause, cause)
	}
	assert.NotEmpty(t, safetensors.Codes()[0].Remedy)
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	with := func(old, changed string) string { return file(strings.Replace(sound, old, changed, 1), 60) }
	for name, c := range map[string]struct{ content, cause string }{
		"a pickle":                   {"\x80\x04", "too short"},
		"a zip":                      {"PK\x03\x04 and so on", "its header would be"},
		"a header beyond the file":   {file(sound, 60)[:40], "its header would be"},
		"a header beyond all bounds": {strings.Repeat("\xff", 100), "its header would be 18446744073709551615"},
		"no header":                  {file("", 60), "does not begin with {"},
		"a list":                     {file("[]", 60), "does not begin with {"},
		"no JSON":                    {file("{x", 60), "the header"},
		"a tensor twice":             {with(`"bias"`, `"weight"`), "weight"},
		"tensors that overlap":       {with("[48,60]", "[40,52]"), "begins at byte 40"},
		"a hole":                     {file(strings.Replace(sound, "[48,60]", "[52,64]", 1), 64), "begins at byte 52"},
		"bytes behind":               {file(sound, 64), "end at byte 60, and the file has 64"},
		"a cut file":                 {file(sound, 50), "end at byte 60, and the file has 50"},
		"a shape that is larger":     {with("[4,3]", "[4,4]"), "has 48 bytes, its 16 elements"},
		"a shape beyond all files":   {with("[4,3]", "[9007199254740991,9007199254740991]"), "more elements than any file"},
		"a negative size":            {with("[4,3]", "[-4,3]"), "a size that is none"},
		"half a size":                {with("[4,3]", "[4.5,3]"), "a size that is none"},
		"no shape":                   {with(`"shape":[4,3],`, ""), "has no shape"},
		"offsets that fall":          {with("[48,60]", "[60,48]"), "offsets that are none"},
		"one offset":                 {with("[48,60]", "[48]"), "has no two offsets"},
		"an unknown type":            {with("F32", "PICKLE"), `unknown type "PICKLE"`},
		"more than is known":         {with(`"dtype"`, `"code":"x","dtype"`), "more than type, shape and offsets"},
		"metadata that is no text":   {with(`"pt"`, `1`), "format is no text"},
		"a tensor that is none":      {file(`{"a":1}`, 0), "is not described"},
		"no tensor":                  {file(`{}`, 0), "holds no tensor"},
	} {
		r := inspect(t, c.content, named)
		require.NotEmpty(t, r.Problems, name)
		assert.Equal(t, "ARCHIVE_INVALID", r.Problems[0].Code.Name, name)
		assert.Contains(t, r.Problems[0].Cause, c.cause, name)
	}
}

// Whatever the bytes are, looking ends without a panic; what is accepted fills its file.
func FuzzInspect(f *testing.F) {
	f.Add(file(sound, 60))
	f.Add(file(`{}`, 0))
	f.Fuzz(func(t *testing.T, content string) { inspect(t, content, named) })
}

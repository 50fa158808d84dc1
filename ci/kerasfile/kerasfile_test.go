package kerasfile_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestInspectReadsASoundModel(t *testing.T) {
	model := functional(
		layer("InputLayer", object{"name": "events"}),
		layer("Embedding", object{"name": "embedding", "output_dim": 16}),
		layer("Bidirectional", object{"name": "both", "layer": lstm(), "backward_layer": lstm()}),
		layer("TimeDistributed", object{"name": "each", "layer": dense()}),
		keras("keras", "Sequential", object{"name": "inner", "layers": []object{layer("GRU", object{"name": "gru", "units": 4})}}),
		keras("keras.src.ops.numpy", "Multiply", object{"name": "multiply"}),
	)
	content := pack(t, append(good(text(t, model)), entry{name: "assets/vocabulary.txt", content: "a\nb\n"})...)
	report := inspect(t, content, kerasfile.Options{Recurrent: true})

	require.Empty(t, report.Problems)
	assert.True(t, report.OK())
	sum := sha256.Sum256(content)
	assert.Equal(t, hex.EncodeToString(sum[:]), report.SHA256)
	assert.EqualValues(t, len(content), report.Bytes)
	assert.Equal(t, "3.13.2", report.KerasVersion)
	assert.False(t, report.OldKeras)
	assert.ElementsMatch(t, []string{"LSTM", "LSTM", "GRU"}, report.Recurrent)
	require.Len(t, report.Entries, 4)
	byName := map[string]kerasfile.Layer{}
	for _, l := range report.Layers {
		byName[l.Name] = l
	}
	assert.Equal(t, 16, byName["embedding"].Units)
	assert.Equal(t, 1, byName["embedding"].Depth)
	assert.Equal(t, 2, byName["lstm"].Depth, "a wrapped layer lies deeper than its wrapper")
	assert.Equal(t, "config.layers[4].config.layers[0]", byName["gru"].Path)
}

func TestInspectWarnsOfAKerasWithKnownWaysAroundSafeMode(t *testing.T) {
	for version, old := range map[string]bool{
		"2.15.1": true, "3.0.0": true, "3.9": true, "3.13.1": true, "3.13.2": false, "3.13.2rc1": false, "3.15.1": false, "4.0.0": false,
	} {
		t.Run(version, func(t *testing.T) {
			entries := good(text(t, functional(lstm())))
			entries[0].content = `{"keras_version":"` + version + `"}`
			report := inspect(t, pack(t, entries...), kerasfile.Options{})
			assert.Empty(t, report.Problems)
			assert.Equal(t, version, report.KerasVersion)
			assert.Equal(t, old, report.OldKeras)
		})
	}
}

func TestInspectAllowsCustomLayersByName(t *testing.T) {
	custom := object{"module": "app.layers", "class_name": "Focus", "registered_name": "app>Focus", "config": object{"units": 3}}
	content := pack(t, good(text(t, functional(lstm(), custom)))...)
	for name, allowed := range map[string]bool{"Focus": true, "app>Focus": true, "app.layers.Focus": true, "Other": false} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, allowed, inspect(t, content, kerasfile.Options{AllowLayers: []string{name}}).OK())
		})
	}
}

// Every case is a file that somebody could hand to the pipeline, and its one clear error.
func TestInspectRefusesArchives(t *testing.T) {
	config := text(t, functional(lstm(), dense()))
	sound := pack(t, good(config)...)
	with := func(extra ...entry) []byte { return pack(t, append(good(config), extra...)...) }
	without := func(name string) []byte {
		var entries []entry
		for _, e := range good(config) {
			if e.name != name {
				entries = append(entries, e)
			}
		}
		return pack(t, entries...)
	}
	replace := func(name, content string) []byte {
		return pack(t, append(func() (kept []entry) {
			for _, e := range good(config) {
				if e.name != name {
					kept = append(kept, e)
				}
			}
			return kept
		}(), entry{name: name, content: content})...)
	}
	edit := func(text, with string) []byte {
		require.Len(t, with, len(text))
		require.Contains(t, string(sound), text)
		return bytes.Replace(sound, []byte(text), []byte(with), 1)
	}
	cases := map[string]struct {
		content []byte
		code    verdict.Code
		cause   string
		opts    kerasfile.Options
	}{
		"an empty file":                {[]byte{}, modelfile.ArchiveInvalid, "is empty", kerasfile.Options{}},
		"an HDF5 file named .keras":    {[]byte(hdf5), modelfile.FormatRefused, "HDF5", kerasfile.Options{}},
		"a pickle named .keras":        {[]byte("\x80\x04\x95abc."), modelfile.FormatRefused, "pickle", kerasfile.Options{}},
		"a NumPy file named .keras":    {[]byte("\x93NUMPY\x01"), modelfile.FormatRefused, "NumPy", kerasfile.Options{}},
		"a gzip file named .keras":     {[]byte("\x1f\x8b\x08\x00"), modelfile.FormatRefused, "gzip", kerasfile.Options{}},
		"a Git LFS pointer":            {[]byte("version https://git-lfs.github.com/spec/v1\n"), modelfile.FormatRefused, "Git LFS", kerasfile.Options{}},
		"an error page saved as model": {[]byte("<!DOCTYPE html><p>403"), modelfile.FormatRefused, "HTML", kerasfile.Options{}},
		"random bytes":                 {[]byte("\x01\x02\x03\x04"), modelfile.ArchiveInvalid, "does not begin as a zip", kerasfile.Options{}},
		"a truncated archive":          {sound[:len(sound)/2], modelfile.ArchiveInvalid, "cannot be opened", kerasfile.Options{}},
		"an archive behind a script":   {append([]byte("#!/bin/sh\n"), sound...), modelfile.ArchiveInvalid, "does not begin as a zip", kerasfile.Options{}},
		"bytes behind the archive":     {append(bytes.Clone(sound), "extra"...), modelfile.ArchiveInvalid, "", kerasfile.Options{}},
		"a file above the limit":       {sound, modelfile.ArchiveInvalid, "limit of 100", kerasfile.Options{Limits: kerasfile.Limits{FileBytes: 100}}},

		"a path that escapes":               {with(entry{name: "../evil.py"}), modelfile.ArchiveInvalid, "outside the archive", kerasfile.Options{}},
		"a path that escapes from assets":   {with(entry{name: "assets/../../evil"}), modelfile.ArchiveInvalid, "outside the archive", kerasfile.Options{}},
		"an absolute path":                  {with(entry{name: "/etc/cron.d/evil"}), modelfile.ArchiveInvalid, "absolute path", kerasfile.Options{}},
		"a Windows path":                    {with(entry{name: `assets\..\evil`}), modelfile.ArchiveInvalid, "backslash", kerasfile.Options{}},
		"a drive letter":                    {with(entry{name: "C:evil"}), modelfile.ArchiveInvalid, "colon", kerasfile.Options{}},
		"a name with a line break":          {with(entry{name: "assets/a\nb"}), modelfile.ArchiveInvalid, "control", kerasfile.Options{}},
		"a very long name":                  {with(entry{name: "assets/" + strings.Repeat("a", 600)}), modelfile.ArchiveInvalid, "512", kerasfile.Options{}},
		"an entry of another kind":          {with(entry{name: "setup.py"}), modelfile.ArchiveInvalid, "not part of a .keras file", kerasfile.Options{}},
		"an entry that is there twice":      {with(entry{name: "config.json", content: "{}"}), modelfile.ArchiveInvalid, "there twice", kerasfile.Options{}},
		"an entry twice but for its case":   {with(entry{name: "assets/A"}, entry{name: "assets/a"}), modelfile.ArchiveInvalid, "there twice", kerasfile.Options{}},
		"a symbolic link":                   {with(entry{name: "assets/link", content: "/etc/passwd", change: symlink}), modelfile.ArchiveInvalid, "symbolic link", kerasfile.Options{}},
		"a directory called like a file":    {with(entry{name: "config.json/"}), modelfile.ArchiveInvalid, "", kerasfile.Options{}},
		"too many entries":                  {sound, modelfile.ArchiveInvalid, "3 entries", kerasfile.Options{Limits: kerasfile.Limits{Entries: 2}}},
		"a zip bomb by ratio":               {with(entry{name: "assets/zeros", content: strings.Repeat("\x00", 8<<20), change: deflate}), modelfile.ArchiveInvalid, "times its size", kerasfile.Options{}},
		"a zip bomb by size":                {with(entry{name: "assets/big", content: strings.Repeat("x", 4096)}), modelfile.ArchiveInvalid, "limit of 4000", kerasfile.Options{Limits: kerasfile.Limits{UnpackedBytes: 4000}}},
		"a configuration above the limit":   {sound, modelfile.ArchiveInvalid, "limit of 50", kerasfile.Options{Limits: kerasfile.Limits{ConfigBytes: 50}}},
		"an encrypted entry":                {with(entry{name: "assets/secret", content: "x", change: func(h *zip.FileHeader) { h.Flags |= 1 }}), modelfile.ArchiveInvalid, "encrypted", kerasfile.Options{}},
		"a name that differs in its header": {edit("model.weights.h5", "model.weights.h6"), modelfile.ArchiveInvalid, "another name in its own header", kerasfile.Options{}},
		"a second name in an extra field": {with(entry{name: "assets/a", content: "x", change: func(h *zip.FileHeader) {
			h.Extra = []byte{0x75, 0x70, 6, 0, 1, 0, 0, 0, 0, 'b'}
		}}), modelfile.ArchiveInvalid, "second name", kerasfile.Options{}},
		"a flipped bit in the weights": {edit("HDF\r\n\x1a\nweights", "HDF\r\n\x1a\nweightz"), modelfile.ArchiveInvalid, "checksum", kerasfile.Options{}},

		"no configuration":                    {without("config.json"), modelfile.ArchiveInvalid, "config.json is missing", kerasfile.Options{}},
		"no metadata":                         {without("metadata.json"), modelfile.ArchiveInvalid, "metadata.json is missing", kerasfile.Options{}},
		"no weights":                          {without("model.weights.h5"), modelfile.ArchiveInvalid, "no weights", kerasfile.Options{}},
		"weights that are not HDF5":           {replace("model.weights.h5", "\x80\x04 pickle"), modelfile.ArchiveInvalid, "not an HDF5 file", kerasfile.Options{}},
		"metadata without a version":          {replace("metadata.json", `{}`), modelfile.ArchiveInvalid, "no Keras version", kerasfile.Options{}},
		"metadata with a nonsensical version": {replace("metadata.json", `{"keras_version":"three.x"}`), modelfile.ArchiveInvalid, "no Keras version", kerasfile.Options{}},
		"metadata that is not JSON":           {replace("metadata.json", `{`), modelfile.ArchiveInvalid, "metadata.json: line 1", kerasfile.Options{}},
		"a configuration that is not JSON":    {replace("config.json", `{"class_name":`), modelfile.ArchiveInvalid, "config.json: line 1", kerasfile.Options{}},
		"a configuration with a double key":   {replace("config.json", `{"class_name":"Functional","class_name":"Lambda"}`), modelfile.ArchiveInvalid, "there twice", kerasfile.Options{}},
		"a configuration that is a list":      {replace("config.json", `[]`), modelfile.ArchiveInvalid, "names no class", kerasfile.Options{}},
		"a configuration without a model":     {replace("config.json", `{}`), modelfile.ArchiveInvalid, "names no class", kerasfile.Options{}},
		"a configuration nested too deep":     {replace("config.json", strings.Repeat(`{"a":`, 400)+"1"+strings.Repeat("}", 400)), modelfile.ArchiveInvalid, "nested deeper", kerasfile.Options{}},
		"a model without layers":              {replace("config.json", text(t, functional())), modelfile.ArchiveInvalid, "no layer", kerasfile.Options{}},
		"a model with too many layers":        {sound, modelfile.ArchiveInvalid, "more layers", kerasfile.Options{Limits: kerasfile.Limits{Layers: 1}}},
		"a perceptron where an LSTM is asked": {replace("config.json", text(t, functional(dense(), dense()))), kerasfile.WrongArch, "none of the model's 2 layers is recurrent (found: Dense)", kerasfile.Options{Recurrent: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			report := inspect(t, c.content, c.opts)
			require.NotEmpty(t, report.Problems)
			assert.False(t, report.OK())
			assert.Equal(t, c.code.Name, report.Problems[0].Code.Name, report.Problems[0].Cause)
			assert.Contains(t, report.Problems[0].Cause, c.cause)
		})
	}
	t.Logf("%d broken or hostile files", len(cases))
}

func TestInspectRefusesObjectsThatCouldRunCode(t *testing.T) {
	cases := map[string]struct {
		layer object
		cause string
	}{
		"a Lambda layer":               {layer("Lambda", object{"function": object{"class_name": "__lambda__", "config": object{"value": "4wEAAAA="}}}), "Lambda runs code"},
		"a TFSMLayer":                  {layer("TFSMLayer", object{"filepath": "/tmp/saved"}), "TFSMLayer runs code"},
		"a TorchModuleWrapper":         {layer("TorchModuleWrapper", object{}), "TorchModuleWrapper runs code"},
		"a class of the os module":     {keras("os", "system", object{"command": "id"}), `"system" of module "os"`},
		"a class of subprocess":        {keras("subprocess", "Popen", object{"args": "id"}), `"Popen" of module "subprocess"`},
		"a class of an unlisted Keras": {keras("keras.utils", "get_file", object{}), `"get_file" of module "keras.utils"`},
		"a class that only sounds so":  {keras("keras.layers_evil", "Dense", object{}), `module "keras.layers_evil"`},
		"an unknown layer":             {layer("Mystery", object{}), `"Mystery" of module "keras.layers"`},
		"a class without a module":     {object{"class_name": "Mystery", "config": object{}}, `"Mystery" is not one of Keras`},
		"a registered custom object":   {object{"module": "keras.layers", "class_name": "Dense", "registered_name": "evil>Dense", "config": object{}}, `custom object "evil>Dense"`},
		"a class name that is a list":  {object{"class_name": []string{"Dense"}, "config": object{}}, "class name is not text"},
		"a module that is a number":    {object{"class_name": "Dense", "module": 1, "config": object{}}, "not text"},
		"a Lambda within a wrapper":    {layer("TimeDistributed", object{"layer": layer("Lambda", object{})}), "Lambda runs code"},
		"a Lambda within a nested model": {keras("keras", "Sequential", object{"layers": []object{layer("Lambda", object{})}}),
			"config.layers[1].config.layers[0]: Lambda runs code"},
		"a lambda as an activation":            {layer("Dense", object{"activation": object{"class_name": "__lambda__", "config": object{}}}), "__lambda__ runs code"},
		"a foreign function as an activation":  {layer("Dense", object{"activation": object{"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}}), `function system of module "os"`},
		"a custom function as an activation":   {layer("Dense", object{"activation": object{"class_name": "function", "module": "builtins", "config": "exec", "registered_name": "function"}}), "function exec"},
		"a function without a name":            {layer("Dense", object{"activation": object{"class_name": "function", "module": "builtins", "config": object{}}}), "is not one of Keras's"},
		"an activation by a custom name":       {layer("Dense", object{"activation": "evil>fn"}), `activation: "evil>fn"`},
		"a recurrent activation by such name":  {layer("LSTM", object{"recurrent_activation": "evil"}), `recurrent_activation: "evil"`},
		"a custom initialiser":                 {layer("Dense", object{"kernel_initializer": keras("evil", "Init", object{})}), `"Init" of module "evil"`},
		"an initialiser by a custom name":      {layer("Dense", object{"kernel_initializer": "evil>init"}), `kernel_initializer: "evil>init"`},
		"a regulariser by a custom name":       {layer("Dense", object{"kernel_regularizer": "evil"}), `kernel_regularizer: "evil"`},
		"a constraint by a custom name":        {layer("Dense", object{"kernel_constraint": "evil"}), `kernel_constraint: "evil"`},
		"a type specification":                 {object{"class_name": "__typespec__", "spec_name": "X", "module": "os", "config": []any{}}, "__typespec__ runs code"},
		"a vocabulary read from a file":        {layer("StringLookup", object{"vocabulary": "/etc/passwd"}), "vocabulary from the file"},
		"a loss that is a foreign function":    {object{"class_name": "Dense", "module": "keras.layers", "config": object{}, "compile_config": object{"loss": keras("evil", "Loss", object{})}}, `"Loss" of module "evil"`},
		"an object hidden in an unused key":    {layer("Dense", object{"comment": []any{[]any{keras("os", "system", object{})}}}), `"system" of module "os"`},
		"an operation that is not on the list": {keras("keras.src.ops.core", "Map", object{"function": "x"}), `"Map" of module "keras.src.ops.core"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			content := pack(t, good(text(t, functional(lstm(), c.layer)))...)
			report := inspect(t, content, kerasfile.Options{AllowLayers: []string{"Lambda", "TFSMLayer"}, Recurrent: true})
			require.NotEmpty(t, report.Problems)
			assert.Equal(t, kerasfile.UnsafeLayer.Name, report.Problems[0].Code.Name)
			assert.Contains(t, report.Problems[0].Cause, c.cause)
		})
	}
}

// What the remedy of UNSAFE_LAYER names is all that the model needs, and nothing that must not be allowed.
func TestTheRemedyOfAnUnsafeLayerIsTried(t *testing.T) {
	registered := func(class, name string) object {
		return object{"module": "svc.layers", "class_name": class, "registered_name": name, "config": object{}}
	}
	function := func(name string) object {
		return object{"class_name": "function", "module": "builtins", "config": name, "registered_name": "function"}
	}
	content := pack(t, good(text(t, functional(lstm(), registered("Pool", "svc>Pool"), registered("Pool", "svc>Pool"),
		registered("Scale", "Scale"), object{"class_name": "Own", "config": object{}},
		layer("Dense", object{"activation": function("svc>act"), "kernel_initializer": "svc>init"}), keras("os", "system", object{}))))...)
	report := inspect(t, content, kerasfile.Options{})
	const want = "[svc>Pool, svc.layers.Scale, Own, svc>act, svc>init, os.system]"
	require.Len(t, report.Problems, 7)
	for _, problem := range report.Problems {
		assert.Contains(t, problem.Next, "set train.allow_layers: "+want+" in pipeline.yaml")
	}
	allowed := strings.Split(strings.Trim(want, "[]"), ", ")
	assert.Empty(t, inspect(t, content, kerasfile.Options{AllowLayers: allowed}).Problems)

	for cause, refused := range map[string]object{
		"Lambda runs code":  layer("Lambda", object{}),
		"its vocabulary":    layer("StringLookup", object{"vocabulary": "/etc/passwd"}),
		"function exec":     layer("Dense", object{"activation": function("exec")}),
		"set train.x: y]\n": object{"class_name": "set train.x: y]\n", "config": object{}},
	} {
		report := inspect(t, pack(t, good(text(t, functional(lstm(), refused)))...), kerasfile.Options{})
		require.Len(t, report.Problems, 1, cause)
		assert.NotContains(t, report.Problems[0].Next, "allow_layers: [", cause)
	}
}

func TestInspectLetsFormatsThroughByName(t *testing.T) {
	look := func(content, name string, opts kerasfile.Options) *kerasfile.Report {
		report, err := kerasfile.InspectReader(t.Context(), strings.NewReader(content), int64(len(content)), name, opts)
		require.NoError(t, err)
		return report
	}
	for _, c := range []struct {
		content, name, allow, unseen string
		recurrent                    bool
		code                         string
	}{
		{hdf5, "m.h5", "h5", "h5", false, ""},
		{hdf5, "m.hdf5", "h5", "h5", false, ""},
		{"\x80\x04\x95", "m.pkl", "pickle", "pickle", false, ""},
		{"\x80\x04\x95", "m.joblib", "pickle", "pickle", false, ""},
		{"\x78\x9c\x00", "m.joblib", "pickle", "pickle", false, ""},
		{"\x1f\x8b\x08", "M.JOBLIB", "pickle", "pickle", false, ""},
		{"\x1f\x8b\x08", "m.pkl", "pickle", "", false, modelfile.FormatRefused.Name},
		{"text", "m.joblib", "pickle", "", false, modelfile.FormatRefused.Name},
		{"\x80\x04\x95", "m.joblib", "h5", "", false, modelfile.FormatRefused.Name},
		{"\x80\x04\x95", "m.keras", "pickle", "", false, modelfile.FormatRefused.Name},
		{"\x80\x04\x95", "m.h5", "h5", "", false, modelfile.FormatRefused.Name},
		{hdf5, "m.h5", "pickle", "", false, modelfile.FormatRefused.Name},
		{hdf5, "m.h5", "h5", "h5", true, kerasfile.WrongArch.Name},
		{"GGUF", "m.h5", "h5", "", false, modelfile.FormatRefused.Name},
		{"text", "m.h5", "h5", "", false, modelfile.FormatRefused.Name},
	} {
		report := look(c.content, c.name, kerasfile.Options{AllowFormats: []string{c.allow}, Recurrent: c.recurrent})
		assert.Equal(t, c.unseen, report.Unseen, "%+v", c)
		assert.Len(t, report.SHA256, 64)
		if c.code == "" {
			assert.Empty(t, report.Problems, "%+v", c)
		} else {
			require.NotEmpty(t, report.Problems, "%+v", c)
			assert.Equal(t, c.code, report.Problems[0].Code.Name, "%+v", c)
		}
	}
}

func TestInspectReportsAllRefusalsButNotWithoutEnd(t *testing.T) {
	var layers []object
	for range 100 {
		layers = append(layers, layer("Lambda", object{}))
	}
	report := inspect(t, pack(t, good(text(t, functional(layers...)))...), kerasfile.Options{})
	require.Len(t, report.Problems, 21)
	assert.Contains(t, report.Problems[20].Cause, "80 further objects")
}

func TestInspectRefusesOverlappingEntries(t *testing.T) {
	content := pack(t, append(good(text(t, functional(lstm()))), entry{name: "assets/a", content: "one"}, entry{name: "assets/b", content: "one"})...)
	// Point the directory's record of assets/b at the header of assets/a, and call it so there.
	directory := bytes.Index(content, []byte("PK\x01\x02"))
	record := func(name string) int {
		return directory + bytes.LastIndex(content[directory:], []byte(name)) - 46
	}
	a, b := record("assets/a"), record("assets/b")
	copy(content[b+42:b+46], content[a+42:a+46])
	report := inspect(t, content, kerasfile.Options{})
	require.NotEmpty(t, report.Problems)
	var causes []string
	for _, p := range report.Problems {
		assert.Equal(t, modelfile.ArchiveInvalid.Name, p.Code.Name)
		causes = append(causes, p.Cause)
	}
	assert.Contains(t, strings.Join(causes, "\n"), "overlap")
}

func TestInspectReadsFilesOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.keras")
	require.NoError(t, os.WriteFile(path, pack(t, good(text(t, functional(lstm())))...), 0o600))

	t.Run("a model", func(t *testing.T) {
		report, err := kerasfile.Inspect(context.Background(), path, kerasfile.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Problems)
	})
	t.Run("a missing file", func(t *testing.T) {
		_, err := kerasfile.Inspect(context.Background(), filepath.Join(dir, "none.keras"), kerasfile.Options{})
		assert.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("a symbolic link", func(t *testing.T) {
		link := filepath.Join(dir, "link.keras")
		require.NoError(t, os.Symlink(path, link))
		report, err := kerasfile.Inspect(context.Background(), link, kerasfile.Options{})
		require.NoError(t, err)
		require.NotEmpty(t, report.Problems)
		assert.Contains(t, report.Problems[0].Cause, "not a regular file")
	})
	t.Run("an h5 file", func(t *testing.T) {
		h5 := filepath.Join(dir, "model.h5")
		require.NoError(t, os.WriteFile(h5, []byte("PK\x03\x04 rest"), 0o600))
		report, err := kerasfile.Inspect(context.Background(), h5, kerasfile.Options{})
		require.NoError(t, err)
		require.NotEmpty(t, report.Problems)
		assert.Equal(t, modelfile.FormatRefused.Name, report.Problems[0].Code.Name)
	})
	t.Run("a cancelled context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := kerasfile.Inspect(ctx, path, kerasfile.Options{})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestEveryCodeTellsWhatToDo(t *testing.T) {
	for _, code := range kerasfile.Codes() {
		assert.NotEmpty(t, code.Meaning, code.Name)
		assert.NotEmpty(t, code.Remedy, code.Name)
		if code.Name != kerasfile.Old.Name {
			assert.Equal(t, verdict.Fail, code.Outcome, code.Name)
		}
	}
}

// Inspection never panics and never accepts a file with a Lambda in it.
func FuzzInspect(f *testing.F) {
	sound := pack(f, good(text(f, functional(lstm(), dense())))...)
	f.Add(sound)
	f.Add(sound[:len(sound)-10])
	f.Add(pack(f, good(text(f, functional(layer("Lambda", object{}))))...))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte(hdf5))
	f.Fuzz(func(t *testing.T, content []byte) {
		report, err := kerasfile.InspectReader(context.Background(), bytes.NewReader(content), int64(len(content)), "x.keras",
			kerasfile.Options{Limits: kerasfile.Limits{FileBytes: 1 << 20, UnpackedBytes: 1 << 20, ConfigBytes: 1 << 16}})
		if err != nil {
			t.Fatalf("reading from memory failed: %v", err)
		}
		for _, l := range report.Layers {
			if report.OK() && l.Class == "Lambda" {
				t.Fatal("accepted a Lambda")
			}
		}
	})
}

// dangerous reports whether a configuration names, anywhere, a class that holds code or a
// module that is not Keras's. It is written without the walker that it checks.
func dangerous(value any) bool {
	switch v := value.(type) {
	case []any:
		return slices.ContainsFunc(v, dangerous)
	case map[string]any:
		if class, there := v["class_name"]; there {
			name, _ := class.(string)
			module, _ := v["module"].(string)
			if slices.Contains([]string{"Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "__lambda__", "__typespec__"}, name) {
				return true
			}
			if module != "" && module != "builtins" && !strings.HasPrefix(module, "keras") && !strings.HasPrefix(module, "tf_keras.") && !strings.HasPrefix(name, "__") {
				return name != "TensorShape"
			}
		}
		for _, element := range v {
			if dangerous(element) {
				return true
			}
		}
	}
	return false
}

// The archive is sound and the checksums are right here, so that what is in it is reached.
func FuzzConfig(f *testing.F) {
	for _, config := range []object{
		functional(lstm(), dense()), functional(layer("Lambda", object{})), functional(keras("os", "system", object{})),
		functional(layer("Bidirectional", object{"layer": lstm(), "backward_layer": layer("TFSMLayer", object{"filepath": "x"})})),
		functional(keras("builtins", "function", object{"config": "eval"})), {"class_name": "__lambda__"}, {},
	} {
		f.Add(metadata, text(f, config))
	}
	f.Add(`{"keras_version": "3"}`, `[[[[`)
	f.Fuzz(func(t *testing.T, about, config string) {
		content := pack(t, entry{name: "metadata.json", content: about}, entry{name: "config.json", content: config}, entry{name: "model.weights.h5", content: hdf5})
		report := inspect(t, content, kerasfile.Options{Limits: kerasfile.Limits{ConfigBytes: 1 << 16}})
		var value any
		if report.OK() && (json.Unmarshal([]byte(config), &value) != nil || dangerous(value)) {
			t.Fatalf("accepted %s", config)
		}
	})
}

// BenchmarkInspect500MB holds the bar: below 5 s and 200 MB for a file of 500 MB.
func BenchmarkInspect500MB(b *testing.B) {
	path := filepath.Join(b.TempDir(), "large.keras")
	file, err := os.Create(path)
	require.NoError(b, err)
	w := zip.NewWriter(file)
	for _, e := range good(text(b, functional(lstm(), dense()))) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store})
		require.NoError(b, err)
		_, err = f.Write([]byte(e.content))
		require.NoError(b, err)
		if e.name == "model.weights.h5" {
			_, err = io.CopyN(f, rand.Reader, 500<<20)
			require.NoError(b, err)
		}
	}
	require.NoError(b, w.Close())
	require.NoError(b, file.Close())
	b.ResetTimer()
	for b.Loop() {
		start := time.Now()
		report, err := kerasfile.Inspect(context.Background(), path, kerasfile.Options{Recurrent: true})
		require.NoError(b, err)
		require.Empty(b, report.Problems)
		require.Less(b, time.Since(start), 5*time.Second)
	}
	b.StopTimer()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys)/(1<<20), "MB-from-system")
	require.Less(b, memory.Sys, uint64(200<<20))
}

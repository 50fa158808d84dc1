package kerasfile_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
)

const (
	hdf5     = "\x89HDF\r\n\x1a\n" + "weights"
	metadata = `{"keras_version": "3.13.2", "date_saved": "2026-01-01@00:00:00"}`
)

type object = map[string]any

// keras serialises an object as Keras does.
func keras(module, class string, config object) object {
	return object{"module": module, "class_name": class, "config": config, "registered_name": nil}
}

func layer(class string, config object) object { return keras("keras.layers", class, config) }

func dense() object {
	return layer("Dense", object{
		"name": "root_cause", "units": 7, "activation": "softmax",
		"dtype":              keras("keras", "DTypePolicy", object{"name": "float32"}),
		"kernel_initializer": keras("keras.initializers", "GlorotUniform", object{"seed": nil}),
		"bias_initializer":   keras("keras.initializers", "Zeros", object{}),
		"kernel_regularizer": nil,
	})
}

func lstm() object {
	return layer("LSTM", object{"name": "lstm", "units": 32, "activation": "tanh", "recurrent_activation": "sigmoid"})
}

// functional is a model of the given layers.
func functional(layers ...object) object {
	return object{
		"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
		"config": object{"name": "model", "layers": layers},
		"compile_config": object{
			"optimizer": keras("keras.optimizers", "Adam", object{
				"learning_rate": keras("keras.optimizers.schedules", "ExponentialDecay", object{"decay_steps": 10}),
			}),
			"loss": object{"root_cause": "sparse_categorical_crossentropy"},
		},
	}
}

func text(t testing.TB, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	require.NoError(t, err)
	return string(content)
}

// entry is one entry of a crafted archive.
type entry struct {
	name, content string
	change        func(*zip.FileHeader)
}

// good are the entries of a sound archive around a configuration.
func good(config string) []entry {
	return []entry{{name: "metadata.json", content: metadata}, {name: "config.json", content: config}, {name: "model.weights.h5", content: hdf5}}
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Store}
		if e.change != nil {
			e.change(header)
		}
		f, err := w.CreateHeader(header)
		require.NoError(t, err)
		if !strings.HasSuffix(e.name, "/") {
			_, err = f.Write([]byte(e.content))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func deflate(h *zip.FileHeader) { h.Method = zip.Deflate }
func symlink(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }

func inspect(t testing.TB, content []byte, opts kerasfile.Options) *kerasfile.Report {
	t.Helper()
	report, err := kerasfile.InspectReader(context.Background(), bytes.NewReader(content), int64(len(content)), "lstm_model.keras", opts)
	require.NoError(t, err)
	return report
}

package image_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// A model that is not of Keras is loaded in the image by the program of its own format.
func TestTheModelIsLoadedByItsOwnFormat(t *testing.T) {
	w := newWorld(t)
	w.in.Model.Golden, w.in.Model.Format, w.in.Model.Beyond = "", "onnx", []string{"com.microsoft"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	queries := w.engine.Queries()
	assert.Contains(t, queries, "model_format.py", "the format's own module")
	assert.Contains(t, queries, "onnxruntime.InferenceSession")
	assert.Contains(t, queries, `"--allow","com.microsoft"`)
	assert.NotContains(t, queries, "keras.saving")

	w = newWorld(t)
	w.in.Model.Golden, w.in.Model.Format, w.in.Model.Unseen = "", "", "pickle"
	r = w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	assert.NotContains(t, w.engine.Queries(), "load_model.py", "what could run code is not loaded")
}

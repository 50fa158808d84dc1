package image_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
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

// Without a command of the application's own, the program that loads the model scores the golden sample.
func TestTheGoldenSampleIsScoredByTheModelsOwnFormat(t *testing.T) {
	for name, c := range map[string]struct {
		code               int
		out, want, warning string
	}{
		"equal":           {0, "loaded model.ubj with xgboost 3.2.0\n", "", ""},
		"otherwise":       {modelfile.ExitDiffers, "error: output 0 is 0.5, not 0.9\n", image.CodeGolden.Name, ""},
		"cannot be asked": {modelfile.ExitNoGolden, "error: it has no method predict_proba\n", image.CodeGolden.Name, ""},
		"no library":      {modelfile.ExitNoLibrary, "nothing here loads it: No module named 'xgboost'\n", "", image.WarnNotScored.Name},
		"an older library": {0, "loaded model.ubj with xgboost 3.0.5\n" + `versions {"python": "3.10.1", "numpy": "1.26.0", "xgboost": "3.0.5"}`, "",
			image.WarnOlder.Name},
		"a newer library": {0, "loaded model.ubj with xgboost 3.10.0\n" + `versions {"xgboost": "3.10.0"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in.Config.Train.ScoreCommand, w.in.Model.Format = nil, "xgboost"
			w.in.Model.Versions = map[string]string{"python": "3.11.9", "numpy": "2.3.0", "xgboost": "3.2.0"}
			w.engine.Answer("exitCode", c.code)
			w.engine.Answer("combinedOutput", c.out)
			r := w.run()
			assert.Equal(t, c.want, r.Stage.Code, r.Stage.Failure())
			assert.Contains(t, w.engine.Queries(), `"--golden","/app/models/golden.json"`)
			var warned []string
			for _, warning := range r.Stage.Warnings {
				warned = append(warned, warning.Code)
				if warning.Code == image.WarnOlder.Name {
					assert.Equal(t, "xgboost 3.0.5, after 3.2.0 in the training", warning.Cause)
					assert.Contains(t, warning.Next, "xgboost==3.2.0")
				}
			}
			assert.Equal(t, c.warning, strings.Join(warned, " "))
		})
	}
}

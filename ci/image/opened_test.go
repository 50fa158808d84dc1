package image_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/model"
)

func TestTheRemedyOfAModelThatIsOpenedElsewhere(t *testing.T) {
	artifact := &model.Artifact{File: "m.skops", Paths: map[string]string{"m.skops": "out/m.skops", "labels.json": "out/labels.json"}}
	for printed, want := range map[string]string{
		"FileNotFoundError: [Errno 2] No such file or directory: 'm.skops'\n":               "Open models/m.skops in the application: the pipeline puts the model there, and not at m.skops",
		"x\nFileNotFoundError: [Errno 2] No such file or directory: '/app/art/labels.json'": "Write image.model_dir: art into pipeline.yaml: the application opens /app/art/labels.json",
		"ValueError: File not found: filepath=art/m.skops. Please ensure the file is":       "Write image.model_dir: art into",
		"XGBoostError: [1:2:3] file.cc:1: Opening ./art/m.skops failed: No such file":       "Write image.model_dir: art into",
		"LightGBMError: Could not open art/m.skops":                                         "Write image.model_dir: art into",
		"No such file or directory: '/srv/m.skops'":                                         "Open models/m.skops in",
		"No such file or directory: '../m.skops'":                                           "Open models/m.skops in",
		"No such file or directory: 'models/m.skops'":                                       "start it in the root (gunicorn: --pythonpath, not --chdir)",
		"No such file or directory: '/app/models/m.skops'":                                  "",
		"No such file or directory: 'art/other.skops'":                                      "",
		"loaded art/m.skops": "",
		"":                   "",
	} {
		got := image.OpenedNext(printed, "models", artifact)
		if want == "" {
			assert.Empty(t, got, printed)
		} else {
			assert.Contains(t, got, want, printed)
		}
	}
	assert.Empty(t, image.OpenedNext("No such file: m.skops", "models", nil))
}

// Package xgboost looks into models of XGBoost in its two open formats, JSON and UBJSON: the
// objective, the shape of each tree, and whether every index in it stays within its bounds.
//
// Such a file holds no code. But the library follows the indices of a tree as they are, so a
// crafted file could make it read beyond an array; a tree that is none is refused here.
package xgboost

import (
	"bufio"
	"context"
	_ "embed" // load.py
	"errors"
	"fmt"
	"io"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

//go:embed load.py
var loader []byte

// Format is XGBoost.
var Format = modelfile.Format{
	Name: "xgboost", Library: "XGBoost", Extensions: []string{".ubj"}, Ambiguous: []string{".json"}, Inspect: inspect, Loader: loader,
	Packages: []string{"xgboost", "numpy", "scipy"}, Flavor: flavor,
}

// kindFact tells which of XGBoost's classes saved the model.
const kindFact = "model kind"

// flavor is the model as mlflow.xgboost loads it. That looks for the file from the model's
// directory, which it gets only where the flavour names no data.
func flavor(path string, saved modelfile.Saved) modelfile.Flavor {
	class := map[string]string{"classifier": "xgboost.sklearn.XGBClassifier", "regressor": "xgboost.sklearn.XGBRegressor",
		"ranker": "xgboost.sklearn.XGBRanker"}[saved.Facts[kindFact]]
	if class == "" {
		class = "xgboost.core.Booster"
	}
	values := map[string]any{"data": path, "model_class": class, "model_format": modelfile.Extension(path)[1:]}
	if v := saved.Versions["xgboost"]; v != "" {
		values["xgb_version"] = v
	}
	return modelfile.Flavor{Name: "xgboost", Values: values, Loader: "mlflow.xgboost"}
}

// errFormat is what is wrong with a file as such.
var errFormat = errors.New("not a file of XGBoost")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFormat, fmt.Sprintf(format, args...))
}

func inspect(ctx context.Context, in *modelfile.Input, report *modelfile.Report) error {
	m := newModel(report)
	r := bufio.NewReaderSize(modelfile.Reader(ctx, in.File, in.Size), 1<<16)
	var err error
	if modelfile.Extension(in.Name) == ".ubj" {
		err = (&ubjson{r: r, left: in.Size, to: m}).document()
	} else {
		err = (&text{r: r, to: m}).document()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		report.Invalid("%s ends too early", in.Name)
	case errors.Is(err, errFormat):
		report.Invalid("%s is %v", in.Name, err)
	case err != nil:
		return err
	default:
		m.judge()
	}
	return nil
}

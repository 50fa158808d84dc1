package kerasfile

import (
	"regexp"
	"strings"
)

// tensorFlowLayers are the layers by which Keras 2 writes an operation of TensorFlow that a
// functional model was built with: x * 2, x[:, 0], tf.concat(...). Loading the model calls
// the function of that name.
var tensorFlowLayers = set(`TFOpLambda SlicingOpLambda`)

// computes are the groups of TensorFlow's functions that compute and do nothing else. A
// function of a group below one of these, or a class, is none of them.
var computes = regexp.MustCompile(`^(__operators__|math|nn|linalg|signal|bitwise|image)\.[a-z_][a-z0-9_]*$`)

// computing are those outside of a group. Functions that read or write files, run code or
// talk to others (io.*, py_function, load_library, ...) are not among them.
var computing = set(`argsort boolean_mask broadcast_to cast clip_by_norm clip_by_value concat convert_to_tensor cumsum einsum
	ensure_shape expand_dims eye fill gather gather_nd identity meshgrid norm one_hot ones ones_like pad rank range repeat reshape reverse
	roll scatter_nd searchsorted sequence_mask shape size slice sort split squeeze stack stop_gradient strided_slice tensor_scatter_nd_update
	tensordot tile transpose unique unstack where zeros zeros_like`)

// ofTensorFlow reports whether a module is the one of these layers.
func ofTensorFlow(module string) bool {
	return strings.HasSuffix(ofKeras(module), ".layers.core.tf_op_layer")
}

// operation checks the function that such a layer calls.
func (w *walker) operation(v map[string]any, where, class string) {
	config, _ := v["config"].(map[string]any)
	function, isText := config["function"].(string)
	if !isText || !computes.MatchString(function) && !computing[function] {
		w.refuse("Write it with a layer of Keras, or with functions of tf.math, tf.nn or tf.linalg",
			"%s: %s calls the function %v of TensorFlow, which is not one of those that only compute", where, class, config["function"])
	}
}

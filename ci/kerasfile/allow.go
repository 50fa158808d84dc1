package kerasfile

import "strings"

// kind is a family of serialised Keras objects: where its classes live and which are allowed.
type kind struct {
	name    string
	modules []string
	// exact kinds have no sub-modules, because their module is a prefix of everything.
	exact   bool
	classes map[string]bool
}

func set(names string) map[string]bool {
	s := map[string]bool{}
	for _, name := range strings.Fields(names) {
		s[name] = true
	}
	return s
}

// kinds is the allow-list: the public classes of Keras 3.15 (keras/layers/__init__.py
// and its neighbours) except those whose configuration is code or names foreign code:
// Lambda, TFSMLayer, TorchModuleWrapper, FlaxLayer, JaxLayer.
var kinds = []kind{
	{name: "layer", modules: []string{"keras.layers", "keras.src.layers", "tf_keras.layers"}, classes: set(`
		Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
		AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention Average
		AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional CategoryEncoding CenterCrop
		Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
		Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense
		Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
		GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization
		GroupQueryAttention HashedCrossing Hashing Identity InputLayer IntegerLookup LSTM LSTMCell LayerNormalization
		LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MultiHeadAttention Multiply
		Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding
		STFTSpectrogram SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D
		SpatialDropout3D SpectralNormalization StackedRNNCells StringLookup Subtract TextVectorization TimeDistributed
		UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D`)},
	{name: "model", modules: []string{"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential",
		"keras.src.models.model", "keras.src.engine.functional", "keras.engine.functional"}, exact: true,
		classes: set(`Functional Sequential Model`)},
	{name: "dtype policy", modules: []string{"keras", "keras.dtype_policies", "keras.src.dtype_policies.dtype_policy"}, exact: true,
		classes: set(`DTypePolicy FloatDTypePolicy DTypePolicyMap QuantizedDTypePolicy QuantizedFloat8DTypePolicy Int4DTypePolicy`)},
	{name: "operation", modules: []string{"keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.core", "keras.ops"}, classes: set(`
		Abs Absolute Add All Any Argmax Argmin BroadcastTo Cast Clip Concatenate Divide Dot Einsum Equal Exp ExpandDims Flip
		GetItem Greater GreaterEqual Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min
		Minimum Multiply Negative NotEqual Pad Power Relu Repeat Reshape Sigmoid Softmax Sqrt Square Squeeze Stack Std
		Subtract Sum Take Tanh Transpose TrueDivide Var Where`)},
	{name: "initializer", modules: []string{"keras.initializers", "keras.src.initializers"}, classes: set(`
		Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
		Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal VarianceScaling Zeros`)},
	{name: "regularizer", modules: []string{"keras.regularizers", "keras.src.regularizers"},
		classes: set(`L1 L1L2 L2 OrthogonalRegularizer`)},
	{name: "constraint", modules: []string{"keras.constraints", "keras.src.constraints"},
		classes: set(`MaxNorm MinMaxNorm NonNeg UnitNorm`)},
	{name: "quantizer", modules: []string{"keras.quantizers", "keras.src.quantizers"}, classes: set(`AbsMaxQuantizer`)},
	{name: "loss", modules: []string{"keras.losses", "keras.src.losses"}, classes: set(`
		BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
		CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh
		MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
		SparseCategoricalCrossentropy SquaredHinge Tversky`)},
	{name: "metric", modules: []string{"keras.metrics", "keras.src.metrics"}, classes: set(`
		AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy CategoricalHinge
		ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives Hinge IoU KLDivergence
		LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanSquaredError
		MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision PrecisionAtRecall R2Score
		Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
		SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge Sum
		TopKCategoricalAccuracy TrueNegatives TruePositives`)},
	{name: "optimizer", modules: []string{"keras.optimizers", "keras.src.optimizers"}, classes: set(`
		Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD ScheduleFreeAdamW
		CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay`)},
}

// plain are the names Keras gives to values that are data, not objects
// (keras/src/saving/serialization_lib.py). __lambda__ and __typespec__ are not among them.
var plain = set(`__keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__ __tuple__ TensorShape`)

// never are the classes that no setting allows: their configuration is code, or the
// path of code, and every way around safe_mode known so far went through one of them.
var never = set(`Lambda TFSMLayer TorchModuleWrapper FlaxLayer JaxLayer __lambda__ __typespec__`)

// recurrent are the layers that keep state along a sequence.
var recurrent = set(`LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D`)

// functions are the built-in functions that a file may name: activations, losses and metrics.
var functions = names(`
	celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
	log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax
	squareplus swish tanh tanh_shrink threshold
	binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
	categorical_generalized_cross_entropy categorical_hinge circle cosine_similarity ctc dice hinge huber kl_divergence
	log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson
	sparse_categorical_crossentropy squared_hinge tversky binary_accuracy categorical_accuracy concordance_correlation
	pearson_correlation sparse_categorical_accuracy sparse_top_k_categorical_accuracy top_k_categorical_accuracy`)

// names is a set that knows "GlorotUniform" and "glorot_uniform" as one.
func names(list string) map[string]bool {
	s := map[string]bool{}
	for _, name := range strings.Fields(list) {
		s[fold(name)] = true
	}
	return s
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// kindOf finds the kind that a module and class belong to. An empty module, as the
// formats before Keras 3 leave it, is looked up among all kinds, as Keras does.
func kindOf(module, class string) (kind, bool) {
	for _, k := range kinds {
		if !k.classes[class] {
			continue
		}
		if module == "" {
			return k, true
		}
		for _, m := range k.modules {
			if module == m || !k.exact && strings.HasPrefix(module, m+".") {
				return k, true
			}
		}
	}
	return kind{}, false
}

// namesKind reports whether a bare string names a built-in of the kind.
func namesKind(kindName, value string) bool {
	for _, k := range kinds {
		if k.name == kindName {
			for class := range k.classes {
				if fold(class) == fold(value) {
					return true
				}
			}
		}
	}
	return false
}

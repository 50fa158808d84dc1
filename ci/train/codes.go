package train

import (
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Train, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Train, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

func warning(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Train, Meaning: meaning, Remedy: remedy}
}

// The codes of the train stage. Those about the model file are those of its format.
var (
	EnvFailed = couldNotRun("ENV_FAILED", "The training environment could not be installed.",
		"Correct what the installer's last lines, here and in the report, name")
	RunnerFailed = couldNotRun("RUNNER_FAILED", "The runner could not execute a step of the training.",
		"Run `openstack-rca doctor`, then run the stage again")
	LeftNothing = failure("LEFT_NOTHING", "What was given as the outcome of an earlier training has none of its files.",
		"Give --trained what `train trained` returned for this source")
	Cancelled = couldNotRun("CANCELLED", "The run was cancelled while training.",
		"Run the stage again")
	EnvMissing = failure("REQUIREMENTS_MISSING", "The source holds no requirements file to make the training environment from.",
		"Add requirements/train.lock, or name the file under train.requirements in pipeline.yaml")
	ParamInvalid = failure("PARAM_INVALID", "A training parameter cannot be passed to the training command.",
		"Pass parameters as NAME=VALUE; a name is letters, digits, - and _")
	ConfigInvalid = failure("TRAIN_CONFIG_INVALID", "The train section of pipeline.yaml cannot be followed.",
		"Correct the train section of pipeline.yaml; docs/configuration.md lists every key")
	DataInvalid = failure("DATA_INVALID", "The training data is empty or not usable.",
		"Check the directory given with --data; the training's last lines name the file and line")

	TrainFailed = failure("TRAIN_FAILED", "The training command ended with an error.",
		"Fix the error in its last lines, and train alone, in the same environment: openstack-rca train --verbose")
	TrainTimeout = failure("TRAIN_TIMEOUT", "The training took longer than train.timeout.",
		"Train fewer epochs, or raise train.timeout in pipeline.yaml")
	TrainKilled = failure("TRAIN_KILLED", "A signal ended the training; signal 9 is most often a lack of memory.",
		"Give the training more memory, or lower its batch size")

	NoModel = failure("NO_MODEL", "The training left no model file.",
		"Let the training write the file that train.model names, and exit non-zero when it cannot")
	StaleModel = failure("STALE_MODEL", "The training left no model; the one in the source is from an earlier training.",
		"Let the training write the model it trained; remove the model from version control")
	ModelMismatch = failure("MODEL_MISMATCH", "The record of the training names another model than the file it left.",
		"Log the hash of the file that was saved last, after it was saved")
	ModelAmbiguous = failure("MODEL_AMBIGUOUS", "More than one file matches train.model.",
		"Narrow train.model in pipeline.yaml to the one file, or write one model only")
	ArtifactAmbiguous = failure("ARTIFACT_AMBIGUOUS", "Two files of the model have the same base name.",
		"Rename one of them or narrow train.artifacts in pipeline.yaml: a model's files travel in one folder")

	ArtifactTooLarge = failure("ARTIFACT_TOO_LARGE", "A file that belongs to the model is larger than what is taken along with one.",
		"Narrow train.artifacts in pipeline.yaml to the files that the model needs; keep data sets elsewhere")

	RunMissing = failure("RUN_MISSING", "The training logged no MLflow run and declares no metrics file.",
		"Let the training log an MLflow run (MLFLOW_TRACKING_URI is set for it), or write a JSON file of metrics and name it in train.metrics")
	RunUnfinished = failure("RUN_UNFINISHED", "The MLflow run of the training was left open: it is RUNNING or SCHEDULED.",
		"End the run in the training code (with mlflow.start_run(): ...) and look for the exception that left it open")
	RunFailed = failure("RUN_FAILED", "The MLflow run of the training ended as FAILED or KILLED, whatever the exit code said.",
		"Look in the training's last lines for what failed, and let the training exit non-zero then")
	RunAmbiguous = failure("RUN_AMBIGUOUS", "The training logged several runs and none of them is named as the model's.",
		"Log one run, nest the others below it, or tag the model's run with model_sha256")
	ExportFailed = failure("RUN_UNREADABLE", "The MLflow store that the training left could not be read.",
		"Check that the training environment has mlflow, and that nothing else writes MLFLOW_TRACKING_URI")
	MetricsMissing = failure("METRICS_MISSING", "A metric that a gate needs was not logged.",
		"Log the metric, or write train.gates in pipeline.yaml with metrics that are logged; without that key accuracy must be at least 0.85")
	MetricsMalformed = failure("METRICS_MALFORMED", "A file of metrics or predictions is not what it should be.",
		"Write strict JSON: numbers as numbers, each key once, no NaN or Infinity")
	MetricInvalid = failure("METRIC_INVALID", "A metric is not a number, or not within its range.",
		"Log fractions within 0..1 (not percent); look in the training curves for where the value became NaN")
	MetricBelow = failure("METRIC_BELOW", "A metric is below its minimum.",
		"Improve the model. The report shows a confusion matrix if the training writes the file of train.predictions, and curves if it logs "+
			"each epoch")
	MetricAbove = failure("METRIC_ABOVE", "A metric is above its maximum.",
		"Improve the model. If the training logs each epoch, curves in the report show whether it still learns or overfits")
	MetricDisagrees = failure("METRIC_DISAGREES", "The logged metric is not what the predictions give.",
		"Compute the metric from the same held-out predictions that the training exports")
	NoBetterThanBaseline = failure("NO_BETTER_THAN_BASELINE", "The model is not better than guessing, or never names one of the classes.",
		"Balance the training data or weight the classes; the per-class table in the report shows which are missed")
	TopKRefused = failure("TOP_K_REFUSED", "The training counts more guesses for its accuracy than pipeline.yaml allows.",
		"Measure the first guess, or set train.top_k in pipeline.yaml if a ranking is the task")
	Regression = failure("REGRESSION", "The model is worse than the one in production.",
		"Improve the model, or raise the tolerance for this metric if the loss is meant")
	NoImprovement = failure("NO_IMPROVEMENT", "The model is not as much better than the one in production as its gate demands.",
		"Improve the model, or lower the gate's min_absolute_change or min_relative_change")
	ChampionInvalid = failure("CHAMPION_INVALID", "The file given with --champion holds no metrics.",
		"Give the file that `train metrics` exported for the model in production, or a JSON object of numbers")
	ChampionUnknown = couldNotRun("CHAMPION_UNKNOWN", "The registry did not say which model is in production, so that the new one cannot "+
		"be compared with it.",
		"Check MLFLOW_TRACKING_URI and its credentials, or give the production model's metrics with --champion")
	ChampionLost = couldNotRun("CHAMPION_LOST", "The registry has had a champion, but its alias points at no version any more, so that "+
		"nothing can be compared.",
		"Point the alias at the version in production (`promote --alias champion --number N`), give its metrics with --champion, or delete "+
			"the registered model to start over")
	ChampionUnmeasured = couldNotRun("CHAMPION_UNMEASURED", "The model in production has no metrics to compare with.",
		"Give its metrics with --champion, or point the alias champion at a version whose run logged the gated metrics")
	NotReproducible = failure("NOT_REPRODUCIBLE", "Two trainings on the same inputs gave different models, although train.deterministic "+
		"declares that they do not.",
		"Seed everything and fix the number of threads (keras.utils.set_random_seed, tf.config.experimental.enable_op_determinism), or set "+
			"train.deterministic: false; what model.save writes of dates and addresses is not compared")
	GoldenMissing = failure("GOLDEN_MISSING", "There is no golden sample to score.",
		"Let the training write the file that train.golden names, or remove train.score_command")
	GoldenMismatch = failure("GOLDEN_MISMATCH", "The saved model does not score the golden sample as the trained one did.",
		"Check that everything the model needs (tokeniser, labels) is saved with it, and is listed in train.artifacts")
	ScoreFailed = failure("SCORE_FAILED", "The score command could not be completed.",
		"Fix the error in the last lines of train.score_command, and run it again: openstack-rca train --verbose")
	ScoreEmpty = failure("SCORE_EMPTY", "train.score_command also passes where there is neither a model nor a golden sample, so it "+
		"compares nothing.",
		"Let it load the model, predict the inputs of the golden sample, and exit with 1 if the outputs differ; or remove it, and the "+
			"library of the model's format does that")
	ScoreTimeout = couldNotRun("SCORE_TIMEOUT", "Loading and scoring the saved model did not end in its time. Nothing is known of the model.",
		"Look for downloads and locks while the model loads; openstack-rca train --verbose shows what train.score_command prints")
	LoadFailed = failure("LOAD_FAILED", "The library of the model's format does not load the file.",
		"Read the last lines; check that the training's requirements pin the library that saved the model")
	NotLoaded = warning("NOT_LOADED", "The environment of the training has no library that loads the model, or that knows all of it.",
		"Add the library to the training's requirements (docs/models.md names it for each format)")

	ModelDegraded = warning("MODEL_DEGRADED", "A metric is below its alert threshold.",
		"Treat as an incident: compare the data fingerprint with that of the last good training")
	NotScored = warning("GOLDEN_NOT_SCORED", "The saved model was not loaded and scored in a fresh environment.",
		"Let the training write the file of train.golden; a format that cannot be inspected needs train.score_command too")
	NoPredictions = warning("NO_PREDICTIONS", "The training exported no held-out predictions: baseline and recall are unknown.",
		"Let the training write labels, y_true and y_pred to the file that train.predictions names")
	FewExamples = warning("FEW_EXAMPLES", "The held-out set is too small for its measurements to mean much: of a handful of examples, all "+
		"can be right by chance.",
		"Hold out more data, or lower train.min_examples in pipeline.yaml if there is no more")
	Differs = warning("TRAININGS_DIFFER", "Two trainings on the same inputs gave different models.",
		"Make the training deterministic and declare it (train.deterministic: true), or accept the difference that the report shows")
	NetworkOpen = warning("NETWORK_OPEN", "This machine cannot cut a process off from the network: the step could have used it.",
		"Run the pipeline on Linux, where connections are refused")
	NotInspected = warning("MODEL_NOT_INSPECTED", "The model is of a format that nothing can look into without running it; the contract "+
		"allows it by name.",
		"Save the model in a format that docs/models.md lists: only then can it be published")
	CurveNotFinite = warning("CURVE_NOT_FINITE", "A logged curve holds NaN or infinite values.",
		"Lower the learning rate or clip gradients")
	NotCompared = warning("NOT_COMPARED", "A gated metric was not compared with the model in production: that one lacks it, or the "+
		"registry was not asked.",
		"Nothing to do if the metric is new, or the ref is not trusted with the registry; else check what the production model's run logged")
	Unlocked = warning("REQUIREMENTS_UNLOCKED", "The training environment is not locked by hashes.",
		"Lock it: uv pip compile --universal --generate-hashes requirements/train.in -o requirements/train.lock")
)

// Codes lists every code the stage can emit, in the order of the documentation.
func Codes() []verdict.Code {
	return slices.Concat(pyenv.CodesFor(verdict.Train), []verdict.Code{
		EnvMissing, ParamInvalid, ConfigInvalid, DataInvalid, EnvFailed, RunnerFailed, LeftNothing, Cancelled,
		TrainFailed, TrainTimeout, TrainKilled,
		NoModel, StaleModel, ModelMismatch, ModelAmbiguous, ArtifactAmbiguous, ArtifactTooLarge,
		RunMissing, RunUnfinished, RunFailed, RunAmbiguous, ExportFailed,
		MetricsMissing, MetricsMalformed, MetricInvalid, MetricBelow, MetricAbove, MetricDisagrees,
		NoBetterThanBaseline, TopKRefused, Regression, NoImprovement, ChampionInvalid, ChampionUnknown, ChampionLost, ChampionUnmeasured,
		NotReproducible, GoldenMissing, GoldenMismatch, ScoreFailed, ScoreEmpty, ScoreTimeout, LoadFailed, NotLoaded,
		ModelDegraded, NotCompared, NotScored, NoPredictions, FewExamples, CurveNotFinite, Unlocked,
		Differs, NetworkOpen, NotInspected, refused.Train,
	}, formats.Codes())
}

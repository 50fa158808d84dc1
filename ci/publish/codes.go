package publish

import (
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const again = "run publish again: it resumes where this one stopped"

// Failures of publishing.
var (
	CodeInput = verdict.Code{Name: "PUBLISH_INPUT", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "An address, name or credential that publishing needs is missing or malformed.",
		Remedy:  "Give the named argument or secret; see docs/configuration.md"}
	CodeModelChanged = verdict.Code{Name: "MODEL_CHANGED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The model file is not the one that passed the train stage's gates.",
		Remedy:  "Train again; nothing but the train stage may write model files"}
	CodeUnreachable = verdict.Code{Name: "UNREACHABLE", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The MLflow server does not answer.",
		Remedy:  "Check MLFLOW_TRACKING_URI and the network, then " + again}
	CodeTLS = verdict.Code{Name: "TLS_UNTRUSTED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The certificate of the MLflow server or the S3 API is not trusted here.",
		Remedy:  "Add the authority's certificate to this machine's trusted certificates"}
	CodeAuth = verdict.Code{Name: "AUTH", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The MLflow server does not accept the credentials, or does not allow what publishing does.",
		Remedy:  "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and the account's permissions"}
	CodeThrottled = verdict.Code{Name: "THROTTLED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The MLflow server or the S3 API asked for fewer requests for longer than the pipeline waits.",
		Remedy:  "Wait a few minutes, then " + again}
	CodeNotJSON = verdict.Code{Name: "NOT_JSON", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "What answers at the tracking URI is not MLflow: a login page or a redirect, mostly.",
		Remedy:  "Give the address of the MLflow server itself, and its credentials"}
	CodeUnsupported = verdict.Code{Name: "API_UNSUPPORTED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The MLflow server lacks a call, or keeps artifacts where the pipeline cannot store them.",
		Remedy:  "Use MLflow 2.3 or newer, with artifacts served by the tracking server or on S3"}
	CodeExperimentDeleted = verdict.Code{Name: "EXPERIMENT_DELETED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The experiment is in MLflow's trash.",
		Remedy:  "Restore it (mlflow experiments restore) or set publish.experiment to another name"}
	CodeRunFailed = verdict.Code{Name: "RUN_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The MLflow server refused the run's data.",
		Remedy:  "Correct what the server's message names, then " + again}
	CodeRegistryFailed = verdict.Code{Name: "REGISTRY_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The model is uploaded, but could not be registered.",
		Remedy:  "Check the MLflow server, then " + again + ", without uploading again"}
	CodeAliasFailed = verdict.Code{Name: "ALIAS_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The version is committed, but an alias does not point at it yet.",
		Remedy:  "Check the MLflow server, then " + again}
	CodeVerifyFailed = verdict.Code{Name: "VERIFY_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "What the registry hands out is not the model that was published.",
		Remedy:  "Do not deploy; compare the named hashes, and see who else writes to the artifact store"}
	CodeS3Unreachable = verdict.Code{Name: "S3_UNREACHABLE", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The S3 API does not answer, or fails; or what answers at its address is no S3 API, such as a login page.",
		Remedy:  "Check MLFLOW_S3_ENDPOINT_URL, the region and the network, then " + again}
	CodeS3Denied = verdict.Code{Name: "S3_ACCESS_DENIED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The AWS credentials do not allow the named action, or are not accepted.",
		Remedy:  "Allow s3:ListBucket, s3:GetObject and s3:PutObject under the artifact root; check that the credentials have not expired"}
	CodeS3NoBucket = verdict.Code{Name: "S3_NO_BUCKET", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The bucket of the artifact root does not exist.",
		Remedy:  "Create the bucket or correct MLFLOW_ARTIFACT_ROOT"}
	CodeS3Region = verdict.Code{Name: "S3_WRONG_REGION", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The bucket is in another region.",
		Remedy:  "Set AWS_DEFAULT_REGION or publish.region to the bucket's region"}
	CodeClockSkew = verdict.Code{Name: "CLOCK_SKEW", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "This machine's clock differs too much from the store's.",
		Remedy:  awsclock.Remedy + ". Then " + again}
	CodeUploadFailed = verdict.Code{Name: "UPLOAD_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "A file could not be stored.",
		Remedy:  "Read the cause, then " + again}
	CodeUploadPartial = verdict.Code{Name: "UPLOAD_PARTIAL", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "An upload in parts failed, and its parts could not be removed.",
		Remedy:  "Run publish again: it uploads the file again and removes the parts; a lifecycle rule for unfinished uploads does so too"}
	CodeCorrupt = verdict.Code{Name: "CORRUPT", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "A file of the version reads back with another hash than was stored, or is gone.",
		Remedy: "Do not use the named object; look for what changes or removes it, delete it if it is there, and publish the same model " +
			"again, which stores it anew; or restore it from the bucket's versions"}
	CodeConflict = verdict.Code{Name: "CONFLICT", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "Something else is stored where this version belongs; it is left as it is.",
		Remedy:  "Find out who wrote the named object; the pipeline never overwrites it"}
	CodeNoCAS = verdict.Code{Name: "STORE_NO_CAS", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The S3 API ignores or refuses conditional writes, so that two publishers could take the same number.",
		Remedy:  "Use AWS S3 or an S3 API that honours If-None-Match on PutObject; docs/stores.md lists some"}
	CodeLedgerUnreadable = verdict.Code{Name: "LEDGER_UNREADABLE", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "A record of the ledger is damaged or was written by a newer pipeline; nothing is changed.",
		Remedy:  "Use the newer pipeline, or restore the named object from the bucket's versions"}
	CodeVerifyNotRun = verdict.Code{Name: "VERIFY_NOT_RUN", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The registered model could not be loaded for a check: its environment could not be installed. The version stays uncommitted.",
		Remedy:  "Read the cause, then " + again}
	CodeClaimAbandoned = verdict.Code{Name: "CLAIM_ABANDONED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The number was given up by clean-claims while this publication was under way.",
		Remedy:  "Run publish again: it takes a new number"}
	CodeCommitLost = verdict.Code{Name: "COMMIT_LOST", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The store acknowledged a record of the version (claim, pointer or manifest), and it does not read back. No alias was moved.",
		Remedy:  "Look for a gateway or cache in front of the store that answers for it, then " + again}
	CodeTooLong = verdict.Code{Name: "ANSWER_TOO_LONG", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "A server sends more than there can be: a file longer than it was stored, or a listing that does not end.",
		Remedy:  "Look at what answers in front of the server that the cause names (proxy, gateway), then " + again}
	CodeS3Unsupported = verdict.Code{Name: "S3_UNSUPPORTED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The S3 API does not implement a call or header that publishing needs.",
		Remedy:  "See docs/stores.md for what a store must know, and use another store or a newer version of it"}
	CodeVersionIgnored = verdict.Code{Name: "VERSION_IGNORED", Stage: verdict.Publish,
		Meaning: "A file beside the model names an invalid package version; the registered model's environment is made without it.",
		Remedy:  "Write plain versions (importlib.metadata.version(\"tensorflow\")) into the file that the warning names"}
	CodeSeriesTaken = verdict.Code{Name: "SERIES_TAKEN", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "Another application keeps its versions in the same folders: its name and environment, joined by a hyphen, read like this " +
			"one's.",
		Remedy: "Change name or the environment's name so that <name>-<environment> is not that of another one, or set another " +
			"publish.artifact_root"}
	CodeArtifactsElsewhere = verdict.Code{Name: "ARTIFACTS_ELSEWHERE", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "The MLflow experiment keeps its artifacts where they cannot be stored from here: a server of their own, a disk, or another " +
			"cloud. Nothing was written.",
		Remedy: "Make an experiment with artifacts on S3 (mlflow experiments create -n NAME -l s3://BUCKET/PREFIX) and name it in " +
			"publish.experiment"}
	CodeLoadFailed = verdict.Code{Name: "LOAD_FAILED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The registered model has the bytes that were trained; in a fresh environment it does not load, or does not score as " +
			"trained. The version stays uncommitted.",
		Remedy: "Read the last lines; check that the training's requirements pin the library that saved the model, and that all it needs is in " +
			"train.artifacts"}
	CodeLoadTimeout = verdict.Code{Name: "LOAD_TIMEOUT", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "Loading the registered model did not end in its time. Its bytes are those that were trained; the version stays uncommitted.",
		Remedy: "The last line that begins with \"still loading\" says where it stands: put what it downloads into the source, and release " +
			"what it waits for; then " + again}
	CodeModelRenamed = verdict.Code{Name: "MODEL_RENAMED", Stage: verdict.Publish,
		Meaning: "The series continues under another registered model. That one has no champion yet, so that the training was compared with " +
			"nothing.",
		Remedy: "Nothing, if publish.model or publish.experiment was renamed on purpose; compare with the former champion by --champion FILE " +
			"once"}
	CodeClockOff = verdict.Code{Name: "CLOCK_OFF", Stage: verdict.Publish,
		Meaning: "This machine's clock differs from the store's by more than five seconds; the verdict does not depend on it, but recorded " +
			"times do.",
		Remedy: awsclock.Remedy}
	CodeAliasNotMoved = verdict.Code{Name: "ALIAS_NOT_MOVED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The version is committed. The registry accepted the move of an alias to it, and the alias points at an older version or at " +
			"none.",
		Remedy: "See who else moves the alias, or what answers in front of the registry, then " + again}
	CodeNotCommitted = verdict.Code{Name: "VERSION_NOT_COMMITTED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "There is no committed version of that number, or none that the alias points at.",
		Remedy:  "Name a version that models lists as committed, with --number"}
	CodeNoPrevious = verdict.Code{Name: "NO_PREVIOUS_VERSION", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The alias has pointed at no other version before, as far as its history says.",
		Remedy:  "Name the version with --number"}
	CodeNotClean = verdict.Code{Name: "CLAIM_NOT_CLEANED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "A number that was to be cleaned is no open claim.",
		Remedy:  "See models: what is committed is never removed"}
	CodeNotLoaded = verdict.Code{Name: "NOT_LOADED", Stage: verdict.Publish,
		Meaning: "The published bytes were compared, but the model was not loaded: nothing here can.",
		Remedy:  "Set train.score_command and train.golden, or have the library of the model's format among the training's requirements"}
	CodeDrift = verdict.Code{Name: "REGISTRY_DRIFT", Stage: verdict.Publish,
		Meaning: "The registry and the ledger do not agree: a committed version is gone from the registry, or an alias points at a version " +
			"that is not committed.",
		Remedy: "Find out who changed the registry; the ledger in S3 is the record that counts"}
	CodeNotPublished = verdict.Code{Name: "NOT_PUBLISHED", Stage: verdict.Publish, Outcome: verdict.Fail,
		Meaning: "The model was trained by another run, and no run has published it; only the run that trained it may.",
		Remedy:  "Let the run that trained it publish it first (train publish), of the same source and environment; then run this one again"}
	CodeCancelled = verdict.Code{Name: "PUBLISH_CANCELLED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
		Meaning: "Publishing was cancelled.",
		Remedy:  "To finish, " + again}
	CodeAbandoned = verdict.Code{Name: "ABANDONED_CLAIMS", Stage: verdict.Publish,
		Meaning: "Numbers are claimed and not committed: their publishers died or are still at work.",
		Remedy:  "Run the pipeline for the named commit again to finish it, or remove what it left with clean-claims"}
	CodeSuperseded = verdict.Code{Name: "SUPERSEDED", Stage: verdict.Publish,
		Meaning: "A newer version is committed, so that the aliases stay there.",
		Remedy:  "Nothing, unless this version is wanted: then move the alias on purpose"}
	CodeAliasElsewhere = verdict.Code{Name: "ALIAS_ELSEWHERE", Stage: verdict.Publish,
		Meaning: "An alias was at this version and was moved away since, to an older one or to none; it stays there.",
		Remedy:  "Nothing if this was intended; otherwise point it here with promote --alias ALIAS --number N"}
	CodeLeftover = verdict.Code{Name: "UPLOAD_LEFTOVER", Stage: verdict.Publish,
		Meaning: "Parts of an earlier, failed upload could not be removed.",
		Remedy:  "Allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or set a lifecycle rule for unfinished uploads"}
	CodeInsecure = verdict.Code{Name: "INSECURE_TRANSPORT", Stage: verdict.Publish,
		Meaning: "Credentials go to the MLflow server over plain HTTP.",
		Remedy:  "Use https in MLFLOW_TRACKING_URI"}
)

// Codes are the codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{CodeInput, CodeModelChanged, CodeUnreachable, CodeTLS, CodeAuth, CodeThrottled, CodeNotJSON, CodeUnsupported,
		CodeExperimentDeleted, CodeRunFailed, CodeRegistryFailed, CodeAliasFailed, CodeVerifyFailed, CodeS3Unreachable, CodeS3Denied,
		CodeS3NoBucket, CodeS3Region, CodeClockSkew, CodeUploadFailed, CodeUploadPartial, CodeCorrupt, CodeConflict, CodeNoCAS,
		CodeLedgerUnreadable, CodeVerifyNotRun, CodeClaimAbandoned, CodeNotCommitted, CodeNoPrevious, CodeNotClean, CodeNotLoaded,
		CodeDrift, CodeNotPublished,
		CodeCancelled,
		CodeAbandoned, CodeSuperseded, CodeLeftover, CodeInsecure, CodeCommitLost, CodeTooLong, CodeS3Unsupported, CodeClockOff,
		CodeAliasNotMoved,
		CodeVersionIgnored, CodeSeriesTaken, CodeAliasElsewhere, CodeModelRenamed,
		CodeArtifactsElsewhere, CodeLoadFailed, CodeLoadTimeout}
}

"""MLflow: tracking a training run, loading a registered model."""

#!/usr/bin/env bash
# MLflow (mlflow-skinny) 3.16.1 and 3.17.0 with a SQL store, here SQLite.
#
# A metric that is NaN is stored as 0 with a flag beside it. get_run and order_by heed the flag; in filters only 3.17.0 does. So the search
# "metrics.val_loss < 0.5" of 3.16.1 returns the run whose loss is NaN, and "metrics.val_loss = 0" nothing but it: a training that diverged
# passes a gate that is written as a filter. The same query on the same database finds other runs after an upgrade of the server.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
cd "$tmp"
search() {
	"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check "mlflow-skinny==$1" sqlalchemy==2.0.51 alembic==1.18.5 pandas==2.3.3
	rm -f store.db
	echo "MLflow $1"
	"$tmp/venv/bin/python" - 2>/dev/null <<-'EOF'
		import mlflow

		mlflow.set_tracking_uri("sqlite:///store.db")
		experiment = mlflow.create_experiment("losses", artifact_location="artifacts")
		for name, loss in (("diverged", float("nan")), ("good", 0.3), ("bad", 0.9)):
		    with mlflow.start_run(experiment_id=experiment, run_name=name):
		        mlflow.log_metric("val_loss", loss)
		client = mlflow.MlflowClient()
		for wanted in ("metrics.val_loss < 0.5", "metrics.val_loss = 0"):
		    runs = client.search_runs([experiment], filter_string=wanted)
		    print(wanted, "finds", sorted(f"{run.info.run_name}: {run.data.metrics['val_loss']}" for run in runs))
	EOF
}
old=$(search 3.16.1)
new=$(search 3.17.0)
printf '%s\n%s\n' "$old" "$new"
[ "$old" = "MLflow 3.16.1
metrics.val_loss < 0.5 finds ['diverged: nan', 'good: 0.3']
metrics.val_loss = 0 finds ['diverged: nan']" ] && [ "$new" = "MLflow 3.17.0
metrics.val_loss < 0.5 finds ['good: 0.3']
metrics.val_loss = 0 finds []" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

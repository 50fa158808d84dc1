package publish

import (
	"context"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// findExperiment also serves as the preflight: it calls the real API before anything is claimed. It returns "" if the
// experiment does not exist yet.
func (c *connection) findExperiment(ctx context.Context) (string, error) {
	name := c.experiment()
	experiment, err := c.mlflow.ExperimentByName(ctx, name)
	switch {
	case mlflow.IsKind(err, mlflow.NotFound):
		return "", nil
	case mlflow.IsKind(err, mlflow.Unsupported): // every MLflow server has this call below its base path
		p := verdict.Problemf(CodeNotJSON, "%v", err)
		p.Next = address
		return "", p
	case err != nil:
		return "", err
	case experiment.Deleted():
		return "", verdict.Problemf(CodeExperimentDeleted, "experiment %s (id %s) is deleted", name, experiment.ID)
	}
	return experiment.ID, nil
}

// defaultExperiment exists on every MLflow server.
const defaultExperiment = "Default"

// place returns the experiment to log to, and creates it if necessary. If its artifacts could not be stored from here, it
// fails before a number is claimed. It goes by the experiment's location, or by that of the server's default experiment, so
// that none is created in vain.
func (c *connection) place(ctx context.Context, experiment string) (string, error) {
	name := c.experiment()
	if experiment == "" {
		name = defaultExperiment
	}
	at, err := c.mlflow.ExperimentByName(ctx, name)
	switch {
	case err == nil:
		if err := c.reachable(ctx, name, at.Location); err != nil {
			return "", err
		}
	case experiment != "" || !mlflow.IsKind(err, mlflow.NotFound) && !mlflow.IsKind(err, mlflow.Forbidden):
		return "", err
	}
	if experiment != "" {
		return experiment, nil
	}
	if experiment, err = c.createExperiment(ctx); err != nil {
		return "", err
	}
	if at, err = c.mlflow.ExperimentByName(ctx, c.experiment()); err != nil {
		return "", err
	}
	return experiment, c.reachable(ctx, c.experiment(), at.Location)
}

// reachable reports whether artifacts can be stored at a location: through the tracking server, or in S3. Credentials are
// sent to no other server.
func (c *connection) reachable(ctx context.Context, experiment, location string) error {
	if path, ok := c.mlflow.Proxied(location); ok {
		if err := c.mlflow.CheckServed(ctx, path); mlflow.IsKind(err, mlflow.NotServed) {
			p := verdict.Problemf(CodeArtifactsElsewhere, "experiment %s keeps its artifacts at mlflow-artifacts:, and %v", experiment, err)
			p.Next = "Start MLflow with --serve-artifacts, or m" + CodeArtifactsElsewhere.Remedy[1:]
			return p
		}
		return nil // any other failure is reported by the upload
	}
	if location == "" || strings.HasPrefix(location, "s3://") || location == "mlflow-artifacts:/" {
		return nil
	}
	where := "file: (a disk)"
	if scheme, rest, ok := strings.Cut(location, ":"); ok && scheme != "file" {
		where = scheme + ":"
		if host, _, found := strings.Cut(strings.TrimPrefix(rest, "//"), "/"); found && strings.HasPrefix(rest, "//") && host != "" {
			where += "//" + host
		}
	}
	return verdict.Problemf(CodeArtifactsElsewhere, "experiment %s keeps its artifacts at %s, which is neither %s itself nor S3",
		experiment, mlflow.Clip(c.redact(where), 120), c.mlflow.Host())
}

// createExperiment creates the experiment, unless another publisher was faster.
func (c *connection) createExperiment(ctx context.Context) (string, error) {
	id, err := c.mlflow.CreateExperiment(ctx, c.experiment(), []mlflow.Tag{{Key: tagEnvironment, Value: c.Environment}})
	if mlflow.IsKind(err, mlflow.Exists) {
		return c.findExperiment(ctx)
	}
	return id, err
}

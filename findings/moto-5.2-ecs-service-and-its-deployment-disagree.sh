#!/usr/bin/env bash
# moto 5.2.5 with boto3 1.44.8.
#
# UpdateService with another task definition changes what the service says, not its deployment: the service answers the new revision, as the
# word of the request instead of an ARN, and its only deployment, still under its old id, the old one. On ECS that call makes a new
# deployment, and the field holds an ARN. With forceNewDeployment there is a new id, still of the old revision. CreateService for a name that
# is taken replaces the service, with a new deployment and a new count, where ECS refuses a different one.
#
# So a program that compares the service's task definition with the ARN that it registered waits for ever here; one that compares the
# deployment's finds the old version serving after a release that succeeded; and one that calls CreateService again by mistake passes.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
cd "$tmp"
venv/bin/pip install --quiet --disable-pip-version-check "moto[ecs]==5.2.5" boto3==1.44.8
cat >program.py <<'PY'
import os

import boto3
from moto import mock_aws

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")
known = []


def show(call):
    service = ecs.describe_services(cluster="c", services=["app"])["services"][0]
    deployments = []
    for deployment in service["deployments"]:
        if deployment["id"] not in known:
            known.append(deployment["id"])
        number = known.index(deployment["id"]) + 1
        deployments.append(f"deployment {number} of {deployment['taskDefinition'].split('/')[-1]}")
    print(f"{call}: {service['taskDefinition']}, {', '.join(deployments)}, {service['desiredCount']} tasks wanted")


with mock_aws():
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName="c")
    for image in ("app:1", "app:2"):
        ecs.register_task_definition(family="app", containerDefinitions=[{"name": "app", "image": image, "memory": 64}])
    ecs.create_service(cluster="c", serviceName="app", taskDefinition="app:1", desiredCount=1)
    show("create app:1")
    ecs.update_service(cluster="c", service="app", taskDefinition="app:2")
    show("update to app:2")
    ecs.update_service(cluster="c", service="app", taskDefinition="app:2", forceNewDeployment=True)
    show("force app:2")
    ecs.create_service(cluster="c", serviceName="app", taskDefinition="app:2", desiredCount=5)
    show("create again")
PY
found=$(venv/bin/python program.py)
echo "$found"
arn=arn:aws:ecs:us-east-1:123456789012:task-definition/
[ "$found" = "create app:1: ${arn}app:1, deployment 1 of app:1, 1 tasks wanted
update to app:2: app:2, deployment 1 of app:1, 1 tasks wanted
force app:2: app:2, deployment 2 of app:1, 1 tasks wanted
create again: ${arn}app:2, deployment 3 of app:2, 5 tasks wanted" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"

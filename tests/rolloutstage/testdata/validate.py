"""Validates requests of ECS against the newest service model, and lists the model's members."""

import json
import sys

import botocore
import botocore.session
from botocore.validate import ParamValidator


def members(shape, path=""):
    """Paths of all members of a shape; lists and maps add nothing of their own."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield f"{path}.{name}".lstrip(".")
            yield from members(member, f"{path}.{name}")
    elif shape.type_name == "list":
        yield from members(shape.member, path)


def main() -> int:
    model = botocore.session.get_session().get_service_model("ecs")
    problems = []
    with open(sys.argv[1], encoding="utf-8") as file:
        requests = json.load(file)
    for request in requests:
        shape = model.operation_model(request["operation"]).input_shape
        report = ParamValidator().validate(request["body"], shape)
        if report.has_errors():
            problems.append(f"{request['case']} {request['operation']}: {report.generate_report()}")
    registered = model.operation_model("RegisterTaskDefinition").input_shape
    answer = {
        "botocore": botocore.__version__,
        "validated": len(requests),
        "problems": problems,
        "members": list(members(registered)),
    }
    json.dump(answer, sys.stdout)
    return 0


sys.exit(main())

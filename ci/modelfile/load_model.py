"""Load a model file with its own library, and score a golden sample with it.

Usage: load_model.py FILE [--golden FILE] [--allow NAME]...

The module model_format beside this file is that of the format. It has
PACKAGES, the packages whose versions are told, and
load(path, allowed), which returns (description, predict), where predict(inputs, method) returns
the outputs for the inputs of a golden sample. It raises UnknownClassError for a file that holds
something which the library alone does not know.

A golden sample is JSON: {"inputs": ..., "outputs": ..., "tolerance": 1e-4, "method": "predict"}.
Texts must be equal; numbers may differ by the tolerance, which is absolute.

Exit codes: 0 it loads (and scores as it should), 77 there is no library for it, 78 it holds what
the library does not know, 79 it scores otherwise, 80 the golden sample cannot be scored, 1 it
does not load.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import sys
import threading
import time
import traceback
from typing import Any

DOES_NOT_LOAD, NO_LIBRARY, UNKNOWN_CLASS, DIFFERS, NO_GOLDEN = 1, 77, 78, 79, 80
# How often a load that takes long says that it is still at work, in seconds.
HEARTBEAT = 30
TOLERANCE = 1e-4


class GoldenError(Exception):
    """The golden sample is not what it should be."""


def where(thread: int) -> str:
    """Name the innermost places of a thread, the last first: what a load waits for."""
    stack = traceback.extract_stack(sys._current_frames().get(thread))[-3:]
    return ", called by ".join(f"{place.name} ({place.filename}:{place.lineno})" for place in reversed(stack))


def heartbeat(path: str, ended: threading.Event, thread: int) -> None:
    """Say at times that the load goes on, and where it is, until it has ended."""
    start = time.monotonic()
    while not ended.wait(HEARTBEAT):
        print(f"still loading {path} after {time.monotonic() - start:.0f} s, in {where(thread)}", flush=True)


def versions(packages: list[str]) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line of a bearable length; those of a loader say it all."""
    text = " ".join(str(error).split())[:400]
    return text if type(error).__module__ == "model_format" else f"{type(error).__name__}: {text}"


def plain(value: Any) -> Any:
    """Return arrays and their numbers as JSON has them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [plain(element) for element in value]
    return value


def difference(want: Any, have: Any, where: str = "outputs") -> float:
    """Return the largest difference of two outputs; infinite where they cannot be compared."""
    if isinstance(want, dict) and isinstance(have, dict) and want.keys() <= have.keys():
        return max((difference(want[key], have[key], f"{where}.{key}") for key in want), default=0.0)
    if isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        pairs = enumerate(zip(want, have, strict=True))
        return max((difference(a, b, f"{where}[{i}]") for i, (a, b) in pairs), default=0.0)
    numbers = all(isinstance(value, int | float) for value in (want, have))
    apart = abs(float(want) - float(have)) if numbers else 0.0 if want == have else math.inf
    if not math.isfinite(apart):
        print(f"{where} should be {str(want)[:100]} and is {str(have)[:100]}")
        return math.inf
    return apart


def largest(outputs: Any) -> float:
    """Return the largest number of outputs, whatever its sign; 0 where they hold none."""
    if isinstance(outputs, dict | list):
        return max(map(largest, outputs.values() if isinstance(outputs, dict) else outputs), default=0.0)
    return abs(float(outputs)) if isinstance(outputs, int | float) else 0.0


def golden(path: str) -> tuple[Any, Any, float, str]:
    """Return inputs, outputs, tolerance and method of a golden sample."""
    try:
        with open(path, encoding="utf-8") as file:
            sample = json.load(file)
    except (OSError, ValueError) as error:
        raise GoldenError(one_line(error)) from None
    if not isinstance(sample, dict) or not sample.get("inputs") or not sample.get("outputs"):
        raise GoldenError('it holds no "inputs" with their "outputs"')
    tolerance, method = sample.get("tolerance", TOLERANCE), sample.get("method", "predict")
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise GoldenError(f"its tolerance is {tolerance!r}, which is no number of at least 0")
    if TOLERANCE < largest(sample["outputs"]) <= tolerance:
        raise GoldenError(f"with its tolerance of {tolerance:g}, a model that answers 0 to everything would pass")
    if not isinstance(method, str) or not method.isidentifier() or method.startswith("_"):
        raise GoldenError(f"its method is {method!r}, which is no name")
    return sample["inputs"], sample["outputs"], float(tolerance), method


def count(outputs: Any) -> int:
    """Return how many samples there are."""
    if isinstance(outputs, dict):
        return max((count(value) for value in outputs.values()), default=0)
    return len(outputs) if isinstance(outputs, list) else 1


def score(path: str, predict: Any) -> int:
    """Compare the model's outputs with those of the golden sample, and say how far they are apart."""
    try:
        inputs, want, tolerance, method = golden(path)
    except GoldenError as error:
        print(f"error: {path} cannot be scored: {error}", file=sys.stderr)
        return NO_GOLDEN
    try:
        have = plain(predict(inputs, method))
    except Exception as error:  # whatever the library raises
        print(f"error: {path} cannot be scored: {one_line(error)}", file=sys.stderr)
        return NO_GOLDEN
    apart = difference(want, have)
    equal = apart <= tolerance
    said = {"result": "equal" if equal else "different", "samples": count(want)}
    print(json.dumps(said if math.isinf(apart) else said | {"max_abs_difference": apart}))
    if not equal:
        print(f"error: the model's outputs differ from {path} by more than {tolerance:g}", file=sys.stderr)
        return DIFFERS
    return 0


def main(arguments: list[str]) -> int:
    """Load the model, and score the golden sample if there is one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--golden")
    parser.add_argument("--allow", action="append", default=[])
    options = parser.parse_args(arguments)
    ended = threading.Event()
    threading.Thread(target=heartbeat, args=(options.file, ended, threading.get_ident()), daemon=True).start()
    # The application's own modules, whose types the contract may allow, hide none of a library.
    sys.path.append(os.getcwd())
    try:
        import model_format

        description, predict = model_format.load(options.file, options.allow)
    except ImportError as error:
        print(f"nothing here loads it: {error}")
        return NO_LIBRARY
    except Exception as error:  # whatever the library raises
        found = versions(model_format.PACKAGES)
        known = ", ".join(f"{name} {version}" for name, version in found.items() if name != "python")
        print(f"error: {known} does not load {options.file}: {one_line(error)}", file=sys.stderr)
        return UNKNOWN_CLASS if type(error).__name__ == "UnknownClassError" else DOES_NOT_LOAD
    finally:
        ended.set()
    found = versions(model_format.PACKAGES)
    print("versions " + json.dumps(found))
    library = next((f"{name} {found[name]}" for name in model_format.PACKAGES if name in found), "its library")
    print(f"loaded {options.file} with {library}: {description}")
    return score(options.golden, predict) if options.golden else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs a network that nobody has tried, in a process of its own that may use so much memory and time.

`python -m dicomnode.engine.adding.trial_child` reads a request and a network from stdin and prints one
line of JSON. What it may use is limited before a library is loaded: a graph can allocate and compute while
it is read.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dicomnode.engine.runtimes.contract import Session

    Ratios = dict[str, tuple[float, ...]]

LENGTH_BYTES: Final = 8  # of the length of the request, which comes before it
_BYTES_OF_KIB: Final = 1024  # ru_maxrss of Linux


def main() -> int:
    """Answer one request; nothing that a library prints is in the answer's way."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH_BYTES), "big")
    request = json.loads(sys.stdin.buffer.read(length))
    _limit(resource.RLIMIT_AS, request["memory_bytes"])
    _limit(resource.RLIMIT_CPU, request["cpu_s"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)  # it has no business with files
    os.write(answers, json.dumps(_answer(request, sys.stdin.buffer.read())).encode())
    os.close(answers)
    # Not by the interpreter's long way out: freeing what is left may take longer than the trial
    os._exit(0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (least, least))


def _answer(request: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    # Heavy, and to be loaded under the limits
    from dicomnode.engine.runtimes.contract import Network, Reason  # noqa: PLC0415
    from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime  # noqa: PLC0415
    from dicomnode.faults import NodeError  # noqa: PLC0415

    runtime = OnnxRuntime()
    capability = runtime.probe(request["threads"])
    if isinstance(capability, Reason):
        return {"error": f"{runtime.name}: {capability.text}"}
    try:
        session = runtime.load(Network(engine="", file=request["file"], content=content), capability)
    except NodeError as error:
        return {"error": str(error.values["error"])}
    except MemoryError:
        return {"error": "bad allocation"}
    answer: dict[str, Any] = {
        "inputs": [[one.name, one.shape, one.dtype] for one in session.inputs],
        "groups": [],
    }
    ratios: Ratios | None = None
    for group in request["groups"]:
        found, ratios = _first_that_runs(session, group, request, ratios)
        answer["groups"].append(found)
    return answer


def _first_that_runs(
    session: Session, group: Sequence[Mapping[str, Any]], request: Mapping[str, Any], wanted: Ratios | None
) -> tuple[dict[str, Any], Ratios | None]:
    """Try shapes until the network takes one, and its outputs lie as those of the group before."""
    from dicomnode.faults import NodeError  # noqa: PLC0415

    errors = []
    for shapes in group:
        try:
            found = _run(session, shapes, request)
        except NodeError as error:
            errors.append(str(error.values["error"]))
            continue
        except MemoryError:
            errors.append("bad allocation")
            continue
        ratios = _ratios(shapes, found["outputs"])
        if wanted is None or ratios == wanted:
            return {**found, "errors": errors}, ratios
        errors.append("its outputs lie otherwise")
    return {"errors": errors}, wanted


def _ratios(shapes: Mapping[str, Sequence[int]], outputs: Sequence[Mapping[str, Any]]) -> Ratios:
    """How much shorter than the first input each output is along each axis of space that they share."""
    first = next(iter(shapes.values()), [])
    return {
        one["name"]: tuple(a / b for a, b in zip(first[2:], one["shape"][2:], strict=True))
        for one in outputs
        if len(one["shape"]) == len(first) and min(one["shape"]) > 0
    }


def _run(session: Session, shapes: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Run it on the seeded input of the gate, `runs` times, and reduce what came out to a few numbers."""
    import numpy as np  # noqa: PLC0415  after the limits

    from dicomnode.engine.gate import PROBES, fingerprint, seeded_input  # noqa: PLC0415
    from dicomnode.engine.manifest.tree import GateSpec  # noqa: PLC0415

    gate = GateSpec(
        shapes={name: tuple(shape) for name, shape in shapes.items()},
        low=request["low"],
        high=request["high"],
        seed=request["seed"],
    )
    given = {spec.name: seeded_input(gate.for_input(spec.name)).astype(spec.dtype) for spec in session.inputs}
    before, began = _peak(), time.perf_counter()
    outputs = session.run(given)
    took, taken = time.perf_counter() - began, _peak() - before
    repeated = dict.fromkeys(outputs, True)
    for _ in range(request["runs"] - 1):
        again = session.run(given)
        repeated = {
            name: same and outputs[name].tobytes() == again[name].tobytes() for name, same in repeated.items()
        }
    made = []
    for name, array in outputs.items():
        some = array.size > 0
        print_ = fingerprint(name, array, PROBES) if some else None
        made.append(
            {
                "name": name,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "finite": bool(np.isfinite(array).all()),
                "repeated": repeated[name],
                "numbers": [print_.mean, print_.std, print_.smallest, print_.largest] if print_ else [],
                "probes": list(print_.probes) if print_ else [],
            }
        )
    return {"shapes": dict(shapes), "outputs": made, "seconds": took, "memory_bytes": taken}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_KIB


if __name__ == "__main__":
    sys.exit(main())

"""The first run of a network that nobody has tried: in a limited child, whose end is no end of this process.

A file from elsewhere may loop for ever, ask for a hundred gigabytes, or find a fault in the runtime. Each of
these is an answer here: a sentence that says what happened, and what to do.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine.adding.trial_child import LENGTH_BYTES
from dicomnode.engine.manifest.tree import Fingerprint
from dicomnode.faults import TRIAL_FAILED, NodeError

COMMAND: Final = (sys.executable, "-m", "dicomnode.engine.adding.trial_child")
_MOST_THREADS: Final = 8
_GB: Final = 10**9
LEAST_SECONDS: Final = 1
MOST_SECONDS: Final = 24 * 60 * 60
LEAST_BYTES: Final = _GB  # of address space: what Python and ONNX Runtime reserve before any network
# Each thread of a library reserves address space, which is what the limit counts
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each input by its name."""


def machine_bytes() -> int:
    """Return the memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _memory_bytes() -> int:
    """Three quarters of the machine's memory, and no more than 16 GB: what is tried is small."""
    return min(machine_bytes() * 3 // 4, 16 * _GB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a network may use when it is tried.

    seconds: by the clock, for all its runs together. memory_bytes: of address space; None: three quarters of
    the machine's memory, and 16 GB at most. ValueError for what cannot be, in words for people.
    """

    seconds: float = 300.0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not LEAST_SECONDS <= self.seconds <= MOST_SECONDS:
            raise ValueError(
                f"a trial may take between {LEAST_SECONDS} and {MOST_SECONDS} seconds (24 hours)"
            )
        if self.memory_bytes is None:
            return
        if self.memory_bytes < LEAST_BYTES:
            raise ValueError(f"a trial needs at least {LEAST_BYTES / _GB:g} GB, for the runtime alone")
        if self.memory_bytes > machine_bytes():
            raise ValueError(
                f"this machine has {machine_bytes() / _GB:.1f} GB, and a trial no more than that"
            )

    @property
    def memory(self) -> int:
        """Bytes of address space."""
        return _memory_bytes() if self.memory_bytes is None else self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What came out of one output. fingerprint: None of an output without a number in it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    finite: bool
    repeated: bool
    fingerprint: Fingerprint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One input that the network took, and what came out. memory_bytes: what the run took beyond before."""

    shapes: Shapes
    outputs: tuple[Given, ...]
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No input of a group was taken; what the runtime said to each."""

    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrder:
    """What is to be tried: of each group the first input that runs, whose outputs lie as those before.

    low, high, seed: of the seeded input (see `dicomnode.engine.gate`). runs: how often, for repeatability.
    """

    file: str
    groups: Sequence[Sequence[Shapes]]
    low: float
    high: float
    seed: int = 1
    runs: int = 1


def try_network(
    content: bytes, order: TrialOrder, limits: Limits, command: Sequence[str] = COMMAND
) -> tuple[Tried | Refused, ...]:
    """Run a network in a limited child; return what came of each group.

    Raises NodeError(TRIAL_FAILED) when the runtime does not load it, and when the child came to an end.
    """
    request = json.dumps(
        {
            "file": order.file,
            "groups": [[dict(shapes) for shapes in group] for group in order.groups],
            "low": order.low,
            "high": order.high,
            "seed": order.seed,
            "runs": order.runs,
            "threads": _MOST_THREADS,
            "memory_bytes": limits.memory,
            "cpu_s": math.ceil(limits.seconds) * _MOST_THREADS + 1,
        }
    ).encode()
    head = len(request).to_bytes(LENGTH_BYTES, "big")
    answer = _asked(order.file, command, head + request + content, limits)
    if "error" in answer:
        raise trial_failure(order.file, str(answer["error"]), limits)
    try:
        return tuple(_tried(group) for group in answer["groups"])
    except (KeyError, TypeError, ValueError) as error:
        raise trial_failure(order.file, "it gave no answer", limits) from error


def _asked(file: str, command: Sequence[str], given: bytes, limits: Limits) -> dict[str, Any]:
    try:
        done = subprocess.run(
            list(command),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limits.seconds,
            env={**os.environ, **_ENVIRONMENT},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise trial_failure(file, f"it did not come to an end within {limits.seconds:g} s", limits) from error
    except OSError as error:
        raise trial_failure(file, f"no process could be started: {error.strerror}", limits) from error
    if done.returncode == -signal.SIGXCPU:
        raise trial_failure(file, f"it did not come to an end within {limits.seconds:g} s", limits)
    if done.returncode < 0:
        raise trial_failure(
            file, f"it ended the process that tried it ({signal.Signals(-done.returncode).name})", limits
        )
    if done.returncode > 0:
        raise trial_failure(file, f"the process that tried it failed (exit status {done.returncode})", limits)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise trial_failure(file, "it gave no answer", limits)
    return answer


def _tried(group: Mapping[str, Any]) -> Tried | Refused:
    if "outputs" not in group:
        return Refused(errors=tuple(map(str, group["errors"])))
    return Tried(
        shapes={name: tuple(map(int, shape)) for name, shape in group["shapes"].items()},
        outputs=tuple(_given(one) for one in group["outputs"]),
        seconds=float(group["seconds"]),
        memory_bytes=int(group["memory_bytes"]),
    )


def _given(one: Mapping[str, Any]) -> Given:
    print_ = None
    if one["numbers"]:
        mean, std, smallest, largest = map(float, one["numbers"])
        print_ = Fingerprint(
            output=str(one["name"]),
            mean=mean,
            std=std,
            smallest=smallest,
            largest=largest,
            probes=tuple(map(float, one["probes"])),
        )
    return Given(
        name=str(one["name"]),
        dtype=str(one["dtype"]),
        shape=tuple(map(int, one["shape"])),
        finite=bool(one["finite"]),
        repeated=bool(one["repeated"]),
        fingerprint=print_,
    )


# What ONNX Runtime says → what that means ("": as it says), and what to do about it
_ADVICE: Final = (
    (
        r"max supported IR version: (\d+)",
        "",
        (
            "ONNX Runtime {version} reads IR version {0} at most: update onnxruntime, or save the file "
            "with an older one (`model.ir_version = {0}` with Python's onnx)."
        ),
    ),
    (
        r"is till opset (\d+)",
        "its operator set is newer than {0}, the last that ONNX Runtime {version} knows",
        "Export it with opset {0} or earlier (`opset_version` of torch.onnx.export), or update onnxruntime.",
    ),
    (
        r"is not a registered function/op|No Op registered for|No opset import for domain",
        "",
        (
            "It has an operator that ONNX Runtime does not know: export it with ONNX's own operators alone; "
            "libraries of custom operators are not loaded."
        ),
    ),
    (
        r"Could not find an implementation",
        "",
        "ONNX Runtime has no code for that on the CPU: export the network in float32.",
    ),
    (
        r"(?i)bad.?alloc|failed to allocate|allocat\w* memory|SIGKILL",
        "",
        (
            "It asks for more than the {memory_gb:.1f} GB that a trial may have: if it is meant to, give "
            "it more with `--memory-gb`; else do not use it."
        ),
    ),
    (
        r"come to an end",
        "",
        "If it is only slow, give it more time with `--time-limit`; one that never ends cannot be used.",
    ),
    (
        r"process that tried it failed|gave no answer|could be started",
        "",
        "It is hardly the file's doing: if `dicomnode engine check lung-ct` fails too, install it anew.",
    ),
    (
        r"ended the process",
        "",
        "The runtime broke on this file: update onnxruntime, or export the network again.",
    ),
)
_OTHERWISE: Final = (
    "Check the file with Python's onnx (`onnx.checker.check_model`), and export it again if that fails."
)


def trial_failure(file: str, error: str, limits: Limits) -> NodeError:
    """Make the failure of a network out of what the runtime, or the child's end, said of it."""
    for pattern, meaning, advice in _ADVICE:
        found = re.search(pattern, error)
        if found is not None:
            facts = {"version": _version(), "memory_gb": limits.memory / 1e9}
            problem = meaning.format(*found.groups(), **facts) or _short(error)
            return NodeError(
                TRIAL_FAILED, file=file, problem=problem, advice=advice.format(*found.groups(), **facts)
            )
    return NodeError(TRIAL_FAILED, file=file, problem=_short(error), advice=_OTHERWISE)


def _short(error: str) -> str:
    """The runtime's own text is long and begins with places in its source."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(error.split()))
    text = re.sub(r"^/\S+:\d+ .*?\) ", "", text)
    return text[:300].rstrip(". ")


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415  for a failure only

    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:
        return "(not installed)"

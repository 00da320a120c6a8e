"""A conversion in a process of its own: it may use so much memory and time, and can write no file.

What is converted comes from elsewhere: reading it may loop, ask for a hundred gigabytes, or break a library.
The child reads a request and a file's content from stdin, and writes an answer and an ONNX file to stdout.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from dicomnode.faults import CONVERSION_DIED, FAULTS, NodeError

LIMIT_S: Final = 900.0
THREADS: Final = 4
_LENGTH_BYTES: Final = 8  # of the length of the request, and of that of the answer, which come first
_GIB: Final = 1 << 30
# What the libraries reserve, and how often the content is in memory while it is converted
_BASE_BYTES: Final = 16 * _GIB
_COPIES: Final = 8

Answer = tuple[Mapping[str, Any], bytes]


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this package as a child."""
    # -P: what lies in the folder that this process was started in is not imported
    return (sys.executable, "-P", "-m", module)


def converted(
    source: str,
    request: Mapping[str, Any],
    content: bytes,
    command: Sequence[str],
    limit_s: float = LIMIT_S,
) -> Answer:
    """Have a child convert `content`; return what it tells, and the ONNX file.

    Raises NodeError as the child found it, CONVERSION_DIED when it came to an end.
    """
    limits = {
        "source": source,
        "memory_bytes": _BASE_BYTES + _COPIES * len(content),
        "cpu_s": math.ceil(limit_s) * THREADS,
    }
    head = json.dumps({**request, **limits}).encode()
    given = len(head).to_bytes(_LENGTH_BYTES, "big") + head + content
    try:
        done = subprocess.run(
            list(command),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            env=_environment(),
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        status = f"it was not done within {limit_s:g} s"
        raise NodeError(CONVERSION_DIED, source=source, status=status) from error
    except OSError as error:
        raise NodeError(CONVERSION_DIED, source=source, status=error.strerror or str(error)) from error
    length = int.from_bytes(done.stdout[:_LENGTH_BYTES], "big")
    head = done.stdout[_LENGTH_BYTES : _LENGTH_BYTES + length]
    with suppress(ValueError):
        answer = json.loads(head)
        if done.returncode == 0 and isinstance(answer, dict):
            if "failed" in answer:
                raise NodeError(FAULTS[answer["failed"]], **answer["values"])
            return answer, done.stdout[_LENGTH_BYTES + length :]
    raise NodeError(CONVERSION_DIED, source=source, status=_status(done.returncode))


def _environment() -> dict[str, str]:
    """What the child is told of this process: where Python finds its packages, and no secrets."""
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    package = str(Path(__file__).resolve().parents[3])  # of a checkout, where nothing is installed
    path = [package, *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(one for one in path if one),
        "HOME": "/nonexistent",
        "OMP_NUM_THREADS": str(THREADS),
        "MALLOC_ARENA_MAX": "2",
    }


def _status(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "it computed for longer than it may"
    if code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


# ── within the child ──


def serve(convert: Callable[[Mapping[str, Any], bytes], Answer]) -> NoReturn:
    """Answer one request and end; nothing that a library prints is in the answer's way."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    length = int.from_bytes(sys.stdin.buffer.read(_LENGTH_BYTES), "big")
    request = json.loads(sys.stdin.buffer.read(length))
    _limit(resource.RLIMIT_AS, request["memory_bytes"])
    _limit(resource.RLIMIT_CPU, request["cpu_s"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    answer, network = _answer(convert, request)
    head = json.dumps(answer).encode()
    with os.fdopen(answers, "wb") as out:
        out.write(len(head).to_bytes(_LENGTH_BYTES, "big") + head + network)
    # Not by the interpreter's long way out, where what was read might still be asked to clean up
    os._exit(0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (least, least))


def _answer(convert: Callable[[Mapping[str, Any], bytes], Answer], request: Mapping[str, Any]) -> Answer:
    try:
        return convert(request, sys.stdin.buffer.read())
    except NodeError as error:
        return _failed(error)
    except MemoryError:
        status = "it asked for more memory than it may have"
        return _failed(NodeError(CONVERSION_DIED, source=request["source"], status=status))


def _failed(error: NodeError) -> Answer:
    values = {name: str(value) for name, value in error.values.items()}
    return {"failed": error.fault.code, "values": values}, b""


def first_line(error: BaseException) -> str:
    """Return the line of an error that says what happened, without the trace of a library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Of a long trace of TorchScript the last line is it
    if lines and lines[0].startswith("The following operation failed"):
        lines = lines[-1:]
    return lines[0][:200].rstrip(". ") if lines else type(error).__name__

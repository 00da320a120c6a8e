"""Tries a runtime in a process of its own: a driver or a library may end the process that tries it.

`python -m dicomnode.engine.runtimes.probing NAME` tries the runtime of that name and prints one line of JSON.
Death by a signal, silence and nonsense are reasons against the runtime, like any other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from dicomnode.device import Device, cpu_device
from dicomnode.engine.runtimes.contract import Capability, Reason, Runtime
from dicomnode.engine.runtimes.kept import keep, read_kept

_FOLDER: Final = "probes"
# Loading a library from a cold disk takes seconds; a driver that hangs takes for ever
_LIMIT_S: Final = 60.0


@runtime_checkable
class TriedInChild(Protocol):
    """A runtime that is tried in a child."""

    @property
    def name(self) -> str:
        """As the settings and messages call it."""

    @property
    def library(self) -> str:
        """Name of the module."""

    @property
    def distribution(self) -> str:
        """Name of the package that brings the module; its version is part of what is kept."""

    def try_here(self) -> Capability | Reason:
        """Use the library for something small, in this process. It may not survive that."""


def probe(runtime: Runtime, threads: int = 0, state: Path | None = None) -> Capability | Reason:
    """Ask a runtime whether it works here; where `state` is given, by what is kept of an earlier time.

    Only a good answer for the CPU is kept: a GPU may be taken out, and a failure may have gone. It holds for
    the version of the library and the CPU that it was given for.
    """
    if state is None or not isinstance(runtime, TriedInChild):
        return runtime.probe(threads)
    path, here = state / _FOLDER / f"{runtime.name}.json", _here(runtime)
    kept = read_kept(path)
    if kept is not None and here is not None and kept.get("here") == here:
        found = _capability(kept.get("answer"))
        if found is not None:
            return _with_threads(found, threads)
    answer = runtime.probe(threads)
    if isinstance(answer, Capability) and answer.device.kind == "cpu" and here is not None:
        keep(path, {"here": here, "answer": asdict(answer)})
    return answer


def probe_in_child(runtime: TriedInChild, threads: int = 0) -> Capability | Reason:
    """Try a runtime in a child, until that has gone well; a library that is missing costs nothing."""
    if importlib.util.find_spec(runtime.library) is None:
        return Reason(runtime.name, "it is not installed", installed=False)
    answer = _ask(runtime.name)
    return answer if isinstance(answer, Reason) else _with_threads(answer, threads)


def _here(runtime: TriedInChild) -> dict[str, str] | None:
    """What a kept answer holds for; None while the package is not installed."""
    try:
        version = metadata.version(runtime.distribution)
    except metadata.PackageNotFoundError:
        return None
    return {"version": version, "cpu": cpu_device().name, "python": sys.version.split()[0]}


_found: Final[dict[str, Capability]] = {}  # in the life of this process; a failure may go, and is not kept


def _ask(name: str) -> Capability | Reason:
    if name in _found:
        return _found[name]
    answer = ask_child(name, [sys.executable, "-m", "dicomnode.engine.runtimes.probing", name], _LIMIT_S)
    if isinstance(answer, Capability):
        _found[name] = answer
    return answer


def ask_child(name: str, command: list[str], limit_s: float) -> Capability | Reason:
    """Run a child that tries the runtime `name`, and read its answer; whatever it does is an answer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reason(name, f"it did not answer within {limit_s:g} s when it was tried")
    except OSError as error:
        return Reason(name, f"it could not be tried: {error.strerror}")
    if done.returncode < 0:
        return Reason(name, f"it ended the process that tried it ({_signal(-done.returncode)})")
    if done.returncode > 0:
        return Reason(name, f"the process that tried it failed (exit status {done.returncode})")
    return _answer(name, done.stdout)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _answer(name: str, printed: bytes) -> Capability | Reason:
    try:
        found = json.loads(printed)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("reason"), str):
        return Reason(name, found["reason"])
    capability = _capability(found)
    if capability is None or capability.runtime != name:
        return Reason(name, "the process that tried it gave no answer")
    return capability


def _capability(facts: Any) -> Capability | None:
    """The answer that `asdict` made a table of; None when it is none."""
    try:
        device = dict(facts["device"])
        level = device.pop("compute_capability")
        return Capability(
            runtime=str(facts["runtime"]),
            version=str(facts["version"]),
            device=Device(compute_capability=None if level is None else (level[0], level[1]), **device),
            precisions=tuple(map(str, facts["precisions"])),
        )
    except (TypeError, KeyError, ValueError, IndexError):
        return None


def _with_threads(found: Capability, threads: int) -> Capability:
    if found.device.kind != "cpu":
        return found
    return replace(found, device=cpu_device(threads))


def main(name: str) -> int:
    """Try a runtime in this process, and print the answer; nothing that a library prints is in its way."""
    from dicomnode.engine.runtimes.choose import RUNTIMES  # noqa: PLC0415  choose needs this module

    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    [runtime] = [one for one in RUNTIMES if one.name == name and isinstance(one, TriedInChild)]
    answer = runtime.try_here()
    facts = {"reason": answer.text} if isinstance(answer, Reason) else asdict(answer)
    os.write(answers, json.dumps(facts).encode())
    # Not by the interpreter's long way out: a driver that cannot be shut down has answered all the same
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

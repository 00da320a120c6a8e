"""Acceptance: no runtime serves a network before its outputs agree with ONNX Runtime in fp32.

Seeded volumes go through both. What was found is kept in the state folder, so that it is done once for
each network, runtime, version, device, precision and plan; figures are kept, not the verdict, so that it
is always held against the limits of today.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine.agreement import LIMITS, Agreement, Limits, compare, limits_of
from dicomnode.engine.gate import seeded_input
from dicomnode.engine.manifest.tree import GateSpec, StepSpec
from dicomnode.engine.plans.profiles import sees_boxes
from dicomnode.engine.runtimes.contract import Capability, Session
from dicomnode.engine.runtimes.kept import keep, read_kept
from dicomnode.faults import NodeError

FOLDER: Final = "acceptance"
# Of the volumes below: a record that was made with others says nothing about these
_VOLUMES: Final = 2
_SEEDS: Final = 8  # of one input: no two volumes, and no two inputs, have the same noise
_SPACE: Final = 3
_SEEDED: Final = "the seeded volume"
_FLAT: Final = "a flat volume"
_FIRST_RUN: Final = "its first run"
_NO_MEASURE: Final = "the reference itself gives what is not a number, or infinite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was accepted, or not; all of it must be the same for a record to hold.

    network: SHA-256 of the file in the package, before any conversion. asked: SHA-256 of all that engine.toml
    says of the step but its limits: data files with their digests, the volumes of the gate, what masks are
    cut at. device: name, and driver where it has one. plan: identity of what was built for this machine; ""
    where nothing is built.
    """

    engine: str
    step: str
    network: str
    asked: str
    runtime: str
    version: str
    device: str
    precision: str
    plan: str = ""

    @property
    def file_name(self) -> str:
        """Name of the record: nothing of it comes from what an engine's author wrote."""
        facts = json.dumps([_VOLUMES, *asdict(self).values()])
        return f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.json"


def subject_of(engine: str, step: StepSpec, capability: Capability, session: Session) -> Subject:
    """Say what a session is that may serve."""
    device = capability.device
    return Subject(
        engine=engine,
        step=step.name,
        network=step.sha256 or "",
        asked=_asked(step),
        runtime=capability.runtime,
        version=capability.version,
        device=f"{device.name}, driver {device.driver}" if device.driver else device.name,
        precision=session.precision,
        plan=session.provenance.get("plan", ""),
    )


def _asked(step: StepSpec) -> str:
    gate = replace(_gate(step), expect=(), tolerance=1.0, relative_l2=None, max_abs=None, dice=None)
    return hashlib.sha256(repr(replace(step, gate=gate)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a session was found to give, output by output, and the limits that hold for it."""

    subject: Subject
    agreements: tuple[Agreement, ...]
    limits: Limits

    @property
    def passed(self) -> bool:
        """Whether it may serve: everything could be compared, and every figure holds."""
        comparable = self.agreements and not any(one.problem for one in self.agreements)
        figures = (figure for one in self.agreements for figure in one.figures(self.limits))
        return bool(comparable) and all(figure.passed for figure in figures)

    @property
    def measured(self) -> Acceptance:
        """The same without what a first run of the engine came to; it is tried again at each start."""
        kept = tuple(one for one in self.agreements if one.volume != _FIRST_RUN)
        return self if len(kept) == len(self.agreements) else replace(self, agreements=kept)

    def failed(self, problem: str) -> Acceptance:
        """The same of a session that agreed, and then did not run on what the engine gave it."""
        failure = Agreement(volume=_FIRST_RUN, output="the network", problem=problem)
        return replace(self, agreements=(*self.measured.agreements, failure))

    @property
    def worst(self) -> str:
        """What could not be compared, else the figure that is nearest to its limit or beyond it, in words."""
        for one in self.agreements:
            if one.problem:
                return f"{one.output} on {one.volume}: {one.problem}"
        figures = [
            (math.inf if math.isnan(figure.strain) else figure.strain, one.volume, figure)
            for one in self.agreements
            for figure in one.figures(self.limits)
        ]
        if not figures:
            return "nothing could be compared"
        _, volume, figure = max(figures, key=lambda entry: entry[0])
        return f"{figure} on {volume}"


class SessionFailedError(NodeError):
    """The session that is to be accepted does not run on what the reference runs on."""


def accept(subject: Subject, step: StepSpec, session: Session, reference: Session) -> Acceptance:
    """Run all volumes through both sessions and compare.

    A volume that the reference itself refuses, or gives no finite numbers for, is no measure; but the gate's
    own must be one for every output. Raises NodeError(NETWORK_FAILED) when the reference does not run on
    that, and SessionFailedError when the session fails where the reference gives numbers.
    """
    limits = limits_of(subject.precision, _gate(step))
    agreements: list[Agreement] = []
    for title, volume in volumes(step, reference, session):
        try:
            wanted = reference.run(volume)
        except NodeError:
            if title == _SEEDED:
                raise
            continue
        try:
            given = session.run(volume)
        except NodeError as error:
            if title != _SEEDED and not all(np.isfinite(array).all() for array in wanted.values()):
                continue  # what the reference gives no numbers for, a session may refuse
            raise SessionFailedError(error.fault, **error.values) from error
        found = compare(step, title, wanted, given, limits.of_span)
        if title == _SEEDED:
            missing = wanted.keys() - {one.output for one in found}
            found += [Agreement(volume=title, output=name, problem=_NO_MEASURE) for name in sorted(missing)]
        if title == _FLAT:  # numbers about nought say nothing of each other; that they are numbers is enough
            found = [Agreement(volume=title, output=one.output, problem=one.problem) for one in found]
        agreements += found
    return Acceptance(subject=subject, agreements=tuple(agreements), limits=limits)


def _gate(step: StepSpec) -> GateSpec:
    if step.gate is None:  # `read` has made sure that every network has one
        raise ValueError(f"step {step.name!r} has no gate")
    return step.gate


Volume = dict[str, NDArray[Any]]


def volumes(step: StepSpec, reference: Session, session: Session) -> Iterator[tuple[str, Volume]]:
    """Make the volumes, by the names of the inputs.

    The gate's own; one of other lengths, or two at a time where lengths do not vary; noise over the whole
    range, which makes activations large (and overflows first in half precision); and a flat one, in which
    all deviations are nought (and a normalisation divides by them).
    """
    gate = _gate(step)
    yield _SEEDED, _feeds(reference, gate, seeded_input)
    change = _turned if sees_boxes(step, [spec.shape for spec in session.inputs]) else _doubled
    other = replace(gate, seed=gate.seed + 1)
    yield "another volume", _feeds(reference, other, lambda one: seeded_input(change(one, session)))
    yield "noise over the whole range", _feeds(reference, replace(gate, seed=gate.seed + 2), _noise)
    yield _FLAT, _feeds(reference, gate, lambda one: np.full(one.shape, one.low, np.float32))


def _feeds(reference: Session, gate: GateSpec, make: Callable[[GateSpec], NDArray[np.float32]]) -> Volume:
    """Make an array for each input; of several none is like another, so that none can stand for another."""
    gates = {
        spec: replace(gate.for_input(spec.name), seed=gate.seed + _SEEDS * number)
        for number, spec in enumerate(reference.inputs)
    }
    return {spec.name: make(one).astype(spec.dtype) for spec, one in gates.items()}


def _noise(gate: GateSpec) -> NDArray[np.float32]:
    raw = np.random.PCG64(gate.seed).random_raw(math.prod(gate.shape))
    part = (np.asarray(raw, dtype=np.uint64) >> np.uint64(40)).astype(np.float64) / 2.0**24
    return (gate.low + (gate.high - gate.low) * part.reshape(gate.shape)).astype(np.float32)


def _turned(gate: GateSpec, _session: Session) -> GateSpec:
    """The lengths in space turned round."""
    return replace(gate, shape=(*gate.shape[:-_SPACE], gate.shape[-1], *gate.shape[-_SPACE:-1]))


def _doubled(gate: GateSpec, session: Session) -> GateSpec:
    """Two in a batch, where every input lets that vary: windows go through several at a time."""
    if not all(spec.shape and spec.shape[0] is None for spec in session.inputs):
        return gate
    return replace(gate, shape=(2 * gate.shape[0], *gate.shape[1:]))


def find_record(state: Path | None, subject: Subject, step: StepSpec) -> Acceptance | None:
    """Read the record of a subject; None when it has not been tried, or nothing is kept."""
    if state is None:
        return None
    found = _read(state / FOLDER / subject.file_name, limits_of(subject.precision, _gate(step)))
    return found if found is not None and found.subject == subject else None


def keep_record(state: Path, acceptance: Acceptance) -> None:
    """Keep a record, whole or not at all; where it cannot be written, the log says so."""
    keep(
        state / FOLDER / acceptance.subject.file_name,
        {
            "passed": acceptance.passed,  # for people: what counts is reckoned from the figures
            "worst": acceptance.worst,
            "subject": asdict(acceptance.subject),
            "agreements": [asdict(one) for one in acceptance.agreements],
        },
    )


def records_of(state: Path, engine: str, steps: Sequence[StepSpec]) -> list[tuple[Path, Acceptance]]:
    """All records of an engine's networks as they are now, with their files; sorted by step and runtime."""
    gates = {(step.name, step.sha256, _asked(step)): _gate(step) for step in steps}
    found = []
    for path in sorted((state / FOLDER).glob("*.json")):
        kept = _read(path, None)
        if kept is None or kept.subject.engine != engine:
            continue
        gate = gates.get((kept.subject.step, kept.subject.network, kept.subject.asked))
        if gate is not None and kept.subject.precision in LIMITS:
            limits = limits_of(kept.subject.precision, gate)
            found.append((path, replace(kept, limits=limits)))
    key = ("step", "runtime", "precision", "version", "device", "plan")
    return sorted(found, key=lambda entry: [getattr(entry[1].subject, name) for name in key])


_NO_LIMITS: Final = Limits(relative_l2=0.0, of_span=0.0, dice=1.0)


def _read(path: Path, limits: Limits | None) -> Acceptance | None:
    kept: Any = read_kept(path)
    try:
        return Acceptance(
            subject=Subject(**kept["subject"]),
            agreements=tuple(Agreement(**one) for one in kept["agreements"]),
            limits=limits or _NO_LIMITS,
        )
    except (TypeError, KeyError):
        return None

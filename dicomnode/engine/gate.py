"""The gate that every session passes before it serves: numbers first, speed second.

A seeded input must give finite outputs, the same ones again, and those that engine.toml has stored. A
runtime, library or CPU that computes something else is found here, and not in a patient's report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine.agreement import LIMITS
from dicomnode.engine.manifest.tree import Fingerprint, GateSpec, StepSpec
from dicomnode.engine.runtimes.contract import Session

PROBES: Final = 7

# The seeded input, as parts of the way from `low` to `high`: a background with noise, and a ball that is
# brighter. For a CT network from -1000 to 400 HU this is lung (-860 HU ± 70) with a nodule (50 HU).
_BACKGROUND: Final = 0.05
_NOISE: Final = 0.1
_BALL: Final = 0.75
_BALL_PART: Final = 0.15  # radius, of the shortest of the last three axes
_BALL_AT: Final = (0.4, 0.45, 0.6)  # not in the middle, so that a turned axis is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One comparison: what was expected and what was found, as text."""

    network: str
    name: str
    passed: bool
    expected: str
    found: str


def failures(checks: Sequence[GateCheck]) -> str:
    """Say which comparisons did not pass; empty when all did."""
    return "; ".join(
        f"{one.network} {one.name}: expected {one.expected}, found {one.found}"
        for one in checks
        if not one.passed
    )


def run_gate(session: Session, step: StepSpec) -> list[GateCheck]:
    """Run the seeded input twice and compare; raises NodeError(NETWORK_FAILED) when it does not run."""
    if step.gate is None:  # `read` has made sure that every network has one
        raise ValueError(f"step {step.name!r} has no gate")
    outputs, again = (_run(session, step.gate) for _ in range(2))
    checks = []
    for name in outputs:
        finite = bool(np.isfinite(outputs[name]).all())
        found = "finite numbers" if finite else "not a number, or infinite"
        checks.append(_check(step, f"{name} finite", finite, "finite numbers", found))
        same = outputs[name].tobytes() == again[name].tobytes()
        found = "the same numbers" if same else "other numbers at the second run"
        checks.append(_check(step, f"{name} repeated", same, "the same numbers", found))
    for head in step.heads:
        if head.centre_heat is not None:
            named = {head.centre_heat.heat, head.centre_heat.size, head.centre_heat.mask}
            expected, found = ", ".join(sorted(named)), ", ".join(sorted(outputs))
            right = named <= set(outputs)
            checks.append(_check(step, "outputs that centre_heat names", right, expected, found))
    for wanted in step.gate.expect:
        tolerance = _tolerance(step.gate, wanted, session.precision)
        checks += _compare(step, wanted, tolerance, outputs)
    return checks


def _run(session: Session, gate: GateSpec) -> dict[str, NDArray[Any]]:
    return session.run(
        {spec.name: seeded_input(gate.for_input(spec.name)).astype(spec.dtype) for spec in session.inputs}
    )


def _tolerance(gate: GateSpec, wanted: Fingerprint, precision: str) -> float:
    """What engine.toml says holds in fp32; fewer bits are held to a part of the output's range."""
    if precision == "fp32":
        return gate.tolerance
    return max(gate.tolerance, LIMITS[precision].of_span * (wanted.largest - wanted.smallest))


def _compare(
    step: StepSpec, wanted: Fingerprint, tolerance: float, outputs: Mapping[str, NDArray[Any]]
) -> list[GateCheck]:
    if wanted.output not in outputs:
        listed = f"outputs {', '.join(sorted(outputs))}"
        return [_check(step, wanted.output, False, f"an output {wanted.output!r}", listed)]
    found = fingerprint(wanted.output, outputs[wanted.output], len(wanted.probes))
    rows = [(name, getattr(wanted, name), getattr(found, name)) for name in _NUMBERS]
    rows += [(f"probe {n}", a, b) for n, (a, b) in enumerate(zip(wanted.probes, found.probes, strict=True))]
    return [_close(step, f"{wanted.output} {name}", a, b, tolerance) for name, a, b in rows]


def _close(step: StepSpec, name: str, wanted: float, found: float, tolerance: float) -> GateCheck:
    # "<=" is false for NaN
    return _check(
        step, name, abs(wanted - found) <= tolerance, f"{wanted:.6g} ± {tolerance:g}", f"{found:.6g}"
    )


_NUMBERS: Final = ("mean", "std", "smallest", "largest")


def _check(step: StepSpec, name: str, passed: bool, expected: str, found: str) -> GateCheck:
    return GateCheck(network=step.name, name=name, passed=passed, expected=expected, found=found)


def fingerprint(output: str, array: NDArray[Any], probes: int) -> Fingerprint:
    """Reduce an output to a few numbers, computed in float64; probes at evenly spaced flat places.

    Of an output without numbers all of them are NaN: like nothing that can be expected.
    """
    flat = array.astype(np.float64).ravel() if array.size else np.array([np.nan])
    places = (np.arange(probes) * 2 + 1) * flat.size // (2 * probes)
    return Fingerprint(
        output=output,
        mean=float(flat.mean()),
        std=float(flat.std()),
        smallest=float(flat.min()),
        largest=float(flat.max()),
        probes=tuple(float(flat[place]) for place in places),
    )


def seeded_input(gate: GateSpec) -> NDArray[np.float32]:
    """Make the input of the gate: float32 of `gate.shape`, between low and high, the same on any machine.

    The last three axes are space: a ball lies in them (in fewer axes there is noise only).
    """
    # The raw stream of PCG64 is promised to stay (numpy NEP 19); what is drawn from it may change.
    count = math.prod(gate.shape)
    raw = np.random.PCG64(gate.seed).random_raw(count)
    noise = (np.asarray(raw, dtype=np.uint64) >> np.uint64(40)).astype(np.float64) / 2.0**24
    part = _BACKGROUND + _NOISE * noise.reshape(gate.shape)
    if len(gate.shape) >= len(_BALL_AT):
        space = gate.shape[-3:]
        radius = _BALL_PART * min(space)
        axes = np.ogrid[tuple(slice(0, n) for n in space)]
        apart = sum((axis - at * n) ** 2 for axis, at, n in zip(axes, _BALL_AT, space, strict=True))
        part[..., apart <= radius**2] += _BALL - _BACKGROUND
    return (gate.low + (gate.high - gate.low) * part).astype(np.float32)

"""How well two runtimes agree on a network's outputs, in figures, and how well they must.

Numbers alone do not tell what a difference means. So what results are made of is compared too: the voxels
that are labelled (Dice), and the places where a detector sees something (peaks of its heat map).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine.manifest.interpretation import Head, Sigmoid
from dicomnode.engine.manifest.tree import GateSpec, StepSpec

_SPATIAL: Final = 4  # axes of an output that has at least two of space: (n, c, j, i)
_CHANNELS: Final = 1  # axis
_SUM_TOLERANCE: Final = 1e-3
_LEAST_PROPORTION: Final = 1e-6  # fp16 has its smallest steps, of 6e-8, below it


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a runtime must hold against the reference.

    relative_l2: |difference| over |reference|, Euclidean. of_span: largest difference, as a part of the way
    from the smallest to the largest number of the reference, 0 among them. max_abs: the same in the output's
    own unit, where engine.toml sets it. dice: least, of any class.
    """

    relative_l2: float
    of_span: float
    dice: float
    max_abs: float = math.inf


# fp32: OpenVINO was within 2e-7 (relative L2) and 1e-6 (of the span) of ONNX Runtime on lung-ct; a limit of
# 1e-3 leaves room for Winograd convolutions and for TF32 switched off, and not for TF32 or bf16.
# Others: rounding of 11 (fp16), 8 (bf16) and some 8 bits (int8, fp8: with scales) through some 20 layers.
LIMITS: Final[Mapping[str, Limits]] = MappingProxyType(
    {
        "fp32": Limits(relative_l2=1e-3, of_span=1e-3, dice=0.999),
        "fp16": Limits(relative_l2=1e-2, of_span=2e-2, dice=0.999),
        "bf16": Limits(relative_l2=3e-2, of_span=6e-2, dice=0.995),
        "int8": Limits(relative_l2=6e-2, of_span=1e-1, dice=0.99),
        "fp8": Limits(relative_l2=6e-2, of_span=1e-1, dice=0.99),
    }
)


def limits_of(precision: str, gate: GateSpec) -> Limits:
    """The limits of a precision, or tighter ones that engine.toml sets; it cannot loosen them."""
    own = LIMITS[precision]
    return Limits(
        relative_l2=min(own.relative_l2, _or(gate.relative_l2, math.inf)),
        of_span=own.of_span,
        dice=max(own.dice, _or(gate.dice, 0.0)),
        max_abs=_or(gate.max_abs, math.inf),
    )


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure beside its limit. strain: 1 and less is within it; it tells which figure is the worst."""

    name: str
    value: float
    limit: float
    strain: float

    @property
    def passed(self) -> bool:
        """Whether it holds; a strain that is not a number does not."""
        return self.strain <= 1.0

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g} (limit {self.limit:g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One output on one volume, of a runtime and of the reference.

    problem: why there is nothing to compare, in words: another shape, no finite numbers. relative_l2,
    max_abs, span as in `Limits`. dice: of the worst class; None for an output that labels nothing.
    peaks_apart: places of a heat map that only one of the two has; None for another output. log_l2: relative
    L2 of the logarithms of proportions; None for another output. Where the reference sees nothing but
    background, its small proportions alone tell a runtime that sees like it from one that is blind.
    """

    volume: str = ""
    output: str = ""
    problem: str = ""
    relative_l2: float = 0.0
    max_abs: float = 0.0
    span: float = 0.0
    dice: float | None = None
    peaks_apart: int | None = None
    log_l2: float | None = None

    def figures(self, limits: Limits) -> Iterator[Figure]:
        """Hold what was found against the limits; empty when there was nothing to compare."""
        if self.problem:
            return
        most = min(limits.max_abs, limits.of_span * self.span)
        rows = [
            ("relative L2", self.relative_l2, limits.relative_l2, self.relative_l2 / limits.relative_l2),
            ("largest difference", self.max_abs, most, _part(self.max_abs, most)),
        ]
        if self.log_l2 is not None:
            rows.append(
                (
                    "relative L2 of logarithms",
                    self.log_l2,
                    limits.relative_l2,
                    self.log_l2 / limits.relative_l2,
                )
            )
        if self.dice is not None:
            strain = _part(1.0 - self.dice, 1.0 - limits.dice)
            rows.append(("Dice", self.dice, limits.dice, strain))
        if self.peaks_apart is not None:
            rows.append(("peaks apart", float(self.peaks_apart), 0.0, _part(float(self.peaks_apart), 0.0)))
        for name, value, limit, strain in rows:
            yield Figure(name=f"{self.output} {name}", value=value, limit=limit, strain=strain)


def _part(value: float, most: float) -> float:
    """How much of what is allowed is used: 0 where nothing is used, however little is allowed."""
    if value == 0.0:
        return 0.0
    return value / most if most > 0.0 else math.inf


Outputs = Mapping[str, NDArray[Any]]


def compare(
    step: StepSpec, volume: str, reference: Outputs, found: Outputs, of_span: float
) -> list[Agreement]:
    """Compare all outputs on one volume. of_span: as in `Limits`, for what counts as a peak.

    An output of the reference that is not finite itself is no measure, and is left out.
    """
    agreements = []
    for name, wanted in reference.items():
        if not np.isfinite(wanted).all():
            continue
        problem = _incomparable(wanted, found.get(name))
        if problem:
            agreements.append(Agreement(volume=volume, output=name, problem=problem))
            continue
        agreement = replace(_numbers(wanted, found[name]), volume=volume, output=name)
        if _sums_to_one(wanted):
            agreement = replace(agreement, log_l2=_log_l2(wanted, found[name]))
        for head in step.heads:
            if head.output == name or (head.output is None and (len(reference) == 1 or head.centre_heat)):
                agreement = _meaning(head, agreement, (wanted, found[name]), of_span)
        agreements.append(agreement)
    return agreements


def _incomparable(wanted: NDArray[Any], found: NDArray[Any] | None) -> str:
    if found is None:
        return "it does not give this output"
    if found.shape != wanted.shape:
        return f"its shape is {found.shape}, the reference's {wanted.shape}"
    if not np.isfinite(found).all():
        return "it gives what is not a number, or infinite"
    return ""


def _numbers(wanted: NDArray[Any], found: NDArray[Any]) -> Agreement:
    exact, here = wanted.astype(np.float64), found.astype(np.float64)
    apart, size = float(np.linalg.norm(here - exact)), float(np.linalg.norm(exact))
    return Agreement(
        relative_l2=_part(apart, size),
        max_abs=float(np.abs(here - exact).max(initial=0.0)),
        span=float(exact.max(initial=0.0) - exact.min(initial=0.0)),
    )


def _sums_to_one(wanted: NDArray[Any]) -> bool:
    """Whether an output is a softmax: (n, c, …) proportions of several channels."""
    if wanted.ndim <= _CHANNELS or wanted.shape[_CHANNELS] < 2 or wanted.dtype.kind != "f" or not wanted.size:
        return False
    return bool(wanted.min() >= 0.0 and np.abs(wanted.sum(axis=_CHANNELS) - 1.0).max() < _SUM_TOLERANCE)


def _log_l2(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    exact, here = (
        np.log(np.maximum(array.astype(np.float64), _LEAST_PROPORTION)) for array in (wanted, found)
    )
    return _part(float(np.linalg.norm(here - exact)), float(np.linalg.norm(exact)))


def _meaning(
    head: Head, numbers: Agreement, arrays: tuple[NDArray[Any], NDArray[Any]], of_span: float
) -> Agreement:
    """Add what results are made of, where a head reads masks or peaks from this output."""
    wanted, found = arrays
    spec = head.centre_heat
    if spec is not None and numbers.output == spec.heat:
        least, margin = _logit(spec.heat_at_least), of_span * numbers.span
        return replace(numbers, peaks_apart=peaks_apart(wanted, found, least, margin))
    if wanted.ndim < _SPATIAL:
        return numbers
    if spec is not None and numbers.output == spec.mask:
        masks = [array[:, n] > spec.mask_logit for array in arrays for n in range(wanted.shape[1])]
    elif head.interpret == "sigmoid":
        how = head.sigmoid or Sigmoid()
        if how.values == "probabilities":
            numbers = replace(numbers, log_l2=_log_l2(wanted, found))
        least = _logit(how.threshold) if how.values == "logits" else how.threshold
        masks = [array[:, n] > least for array in arrays for n in range(wanted.shape[1])]
    elif head.interpret == "labels":
        masks = [one for array in arrays for one in _classes(array, arrays)]
        if wanted.dtype.kind in "biu":  # numbers of classes: how far they are apart says nothing
            numbers = replace(numbers, relative_l2=0.0, max_abs=0.0)
    else:
        return numbers
    half = len(masks) // 2
    return replace(numbers, dice=worst_dice(masks[:half], masks[half:]))


def _logit(proportion: float) -> float:
    if proportion <= 0.0:
        return -math.inf
    return math.log(proportion / (1.0 - proportion)) if proportion < 1.0 else math.inf


def _classes(array: NDArray[Any], both: tuple[NDArray[Any], NDArray[Any]]) -> list[NDArray[np.bool_]]:
    """One mask a class: of numbers of classes, of the sign of one channel, or of the largest of several.

    both: the output of either; a class that only one of them has counts.
    """
    wanted, found = both
    if wanted.dtype.kind in "biu":
        return [array == label for label in np.union1d(wanted, found)]
    if wanted.shape[1] == 1:
        return [array > 0]
    labels = array.argmax(axis=1)
    return [labels == n for n in range(wanted.shape[1])]


def worst_dice(wanted: Sequence[NDArray[np.bool_]], found: Sequence[NDArray[np.bool_]]) -> float | None:
    """The smallest Dice of the classes; None when there are none, 0 when they are not the same ones.

    A single voxel that is on the other side is rounding, not disagreement: of a class of ten voxels it would
    be a Dice of 0.95.
    """
    if len(wanted) != len(found):
        return 0.0
    return min((_dice(a, b) for a, b in zip(wanted, found, strict=True)), default=None)


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    if np.count_nonzero(a ^ b) <= 1:
        return 1.0
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def peaks_apart(wanted: NDArray[Any], found: NDArray[Any], at_least: float, margin: float) -> int:
    """Count the peaks of one heat map that have no counterpart in the other, within one cell in space.

    wanted, found: (n, c, …). A peak is as high as all its neighbours and at least `at_least`; one that is
    less than `margin` above that may be missing in the other map, where it may lie below.
    """
    sure, likely = at_least + margin, at_least - margin
    pairs = [(_peaks(a, sure), _peaks(b, likely)) for a, b in ((wanted, found), (found, wanted))]
    return sum(int(np.count_nonzero(peaks & ~_largest_around(others))) for peaks, others in pairs)


def _peaks(heat: NDArray[Any], at_least: float) -> NDArray[np.bool_]:
    return np.asarray((heat == _largest_around(heat)) & (heat >= at_least))


def _largest_around(array: NDArray[Any]) -> NDArray[Any]:
    """The largest of each place and its neighbours in space: (n, c, …)."""
    from scipy.ndimage import maximum_filter  # noqa: PLC0415  heavy, and only needed by a detector

    around = (1, 1) + (3,) * (array.ndim - 2)
    return np.asarray(maximum_filter(array, size=around, mode="nearest"))

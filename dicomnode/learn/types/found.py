"""What an engine finds in a scan: of each lesion its numbers, as the engine would have them in service.

The engine runs as the node runs it, whole, with one step more that measures each lesion. So a type is learned
from outlines as they come, with all that is wrong about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.analyse.algorithms import ALGORITHMS, ROW_ALGORITHMS
from dicomnode.analyse.algorithms.contract import RowAlgorithm
from dicomnode.engine import EnginePackage, Manifest, OutputSpec, StepSpec, load_package
from dicomnode.evaluate import match_candidates
from dicomnode.faults import RUN_DIFFERS, NodeError
from dicomnode.learn.drawn.kept import read_formed, write_formed
from dicomnode.learn.drawn.looking import findings_of, volume_of
from dicomnode.phantom.patients import CHEST_VERSION, ChestScan
from dicomnode.values import Segment

PROFILE: Final[RowAlgorithm] = ROW_ALGORITHMS["blob_profile"]
ROWS: Final = "type-rows"
"""Name of the step that measures each lesion."""

STEP: Final = "types"
"""Name of the step that names its type."""

FORM: Final = f"{ALGORITHMS['lungs'].label}, {PROFILE.label}, chests {CHEST_VERSION}, lesions 1"
"""What is kept under another one is made again."""

MOST: Final = 60
"""Lesions of a scan that are looked at: a drawn chest has more nodules than an engine reports."""

NOTHING: Final = ""
"""Kind of a lesion that lies on no nodule."""

Float32 = NDArray[np.float32]
ScanOf = Callable[[int], ChestScan]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The lesions that were found in one scan, the surest first.

    rows: float32 (lesions, names of `PROFILE`). kinds: of the nodule that each lies on, `NOTHING` where there
    is none. diameters_mm: of these nodules, 0 where there is none. scores: 0 … 1. planted: kind and diameter
    of all nodules of the scan that count. unmeasured: lesions that no row could be made of.
    """

    seed: int
    rows: Float32
    kinds: tuple[str, ...]
    diameters_mm: tuple[float, ...]
    scores: tuple[float, ...]
    planted: tuple[tuple[str, float], ...]
    unmeasured: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LookOrder:
    """A scan that is wanted: whose, by which engine (its folder and its digest), and where it is kept.

    part: of the threshold of the engine, down to which its candidates are taken.
    """

    seed: int
    engine: Path
    digest: str
    part: float
    kept: Path
    scan_of: ScanOf

    @property
    def form(self) -> str:
        """What is kept under another one is made again."""
        return f"{FORM}, engine {self.digest}, down to {self.part:g}"


def make_found(order: LookOrder) -> str:
    """Look at a scan unless it is kept already; return the file's name. Raises NodeError as an engine.

    NodeError(RUN_DIFFERS) where another engine lies there by now.
    """
    if read_found(order) is None:
        analyst = _analyst(order.engine, order.digest, order.part)
        if analyst.package.digest != order.digest:
            what = f"the engine {order.engine.name} has become another one since it began"
            raise NodeError(RUN_DIFFERS, run=order.kept.parent, what=what)
        write_found(look_at(order.scan_of(order.seed), analyst), order)
    return order.kept.name


@cache
def _analyst(folder: Path, digest: str, part: float) -> Analyst:  # noqa: ARG001  another digest, another engine
    """Load the engine once a process."""
    return Analyst(measuring(load_package(folder), part), threads=1, node_version=__version__)


def lesions_step(manifest: Manifest) -> OutputSpec | None:
    """Return the output whose lesions have outlines that can be measured; None: there is none."""
    return next((one for one in manifest.output if one.what == "segment" and one.kind == "lesion"), None)


def measuring(package: EnginePackage, part: float) -> EnginePackage:
    """Return an engine that measures each of its lesions, and reports all of them above its threshold.

    part: of the threshold, down to which they are taken. Raises ValueError without an output of lesions.
    """
    manifest = package.manifest
    lesions = lesions_step(manifest)
    if lesions is None:
        raise ValueError(f"{manifest.name} has no [[output]] of lesions with outlines")
    each = f"{lesions.step}/{lesions.head}".rstrip("/")
    step = StepSpec(name=ROWS, algorithm=PROFILE.name, each=each, interpret="features")
    before = [one for one in manifest.step if one.name not in {ROWS, STEP}]  # it may have types already
    steps = (*(_all_of(one, lesions, part) for one in before), step)
    output = OutputSpec(features=ROWS, step=ROWS)
    outputs = tuple(_all_reported(one, part) for one in manifest.output if one.step not in {ROWS, STEP})
    wider = replace(manifest, step=steps, output=(*outputs, output))
    return replace(package, manifest=wider)


def _all_of(step: StepSpec, lesions: OutputSpec, part: float) -> StepSpec:
    if step.name != lesions.step or step.centre_heat is None:
        return step
    how = step.centre_heat
    loose = replace(
        how,
        threshold=how.threshold * part,
        heat_at_least=min(how.heat_at_least, how.threshold * part),
        at_most=MOST,
    )
    return replace(step, centre_heat=loose)


def _all_reported(output: OutputSpec, part: float) -> OutputSpec:
    if output.score is None:
        return output
    score = replace(output.score, threshold=output.score.threshold * part, at_most=MOST)
    return replace(output, score=score)


def look_at(scan: ChestScan, analyst: Analyst) -> Found:
    """Let an engine that measures look at a scan, and say which of its lesions lies on which nodule."""
    found = findings_of(analyst, volume_of(scan))
    lesions = [one for one in found.segments if one.score is not None]
    rows = {one.label: _row_of(one) for one in lesions}
    measured = [one for one in lesions if rows[one.label] is not None]
    matching = match_candidates([(one.centre_lps_mm, one.score or 0.0) for one in measured], scan.nodules)
    on = {hit.found: scan.nodules[hit.truth] for hit in matching.hits}
    unclear = {*matching.repeats, *matching.ignored}
    kept = [n for n in range(len(measured)) if n not in unclear]
    table = [rows[measured[n].label] for n in kept]
    return Found(
        seed=scan.seed,
        rows=np.array(table, dtype=np.float32).reshape(len(table), len(PROFILE.names)),
        kinds=tuple(on[n].kind if n in on else NOTHING for n in kept),
        diameters_mm=tuple(on[n].diameter_mm if n in on else 0.0 for n in kept),
        scores=tuple(measured[n].score or 0.0 for n in kept),
        planted=tuple((one.kind, one.diameter_mm) for one in scan.nodules if not one.ignore),
        unmeasured=len(lesions) - len(measured),
    )


def _row_of(lesion: Segment) -> Float32 | None:
    return next((one.values for one in lesion.features if one.label == ROWS), None)


def write_found(found: Found, order: LookOrder) -> None:
    """Keep it as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    arrays = {
        "seed": np.array(found.seed),
        "rows": found.rows,
        "kinds": np.array(found.kinds, dtype=np.str_),
        "sizes": np.array([found.diameters_mm, found.scores], dtype=np.float64),
        "planted_kinds": np.array([kind for kind, _ in found.planted], dtype=np.str_),
        "planted_mm": np.array([size for _, size in found.planted], dtype=np.float64),
        "unmeasured": np.array(found.unmeasured),
    }
    write_formed(order.kept, order.form, arrays)


def read_found(order: LookOrder) -> Found | None:
    """Return what is kept; None: there is none of this form, or it is of another engine."""
    return read_formed(order.kept, order.form, _found)


def _found(kept: Mapping[str, NDArray[Any]]) -> Found:
    diameters, scores = kept["sizes"]
    planted = zip(_texts(kept["planted_kinds"]), kept["planted_mm"].tolist(), strict=True)
    return Found(
        seed=int(kept["seed"]),
        rows=kept["rows"],
        kinds=_texts(kept["kinds"]),
        diameters_mm=tuple(diameters.tolist()),
        scores=tuple(scores.tolist()),
        planted=tuple(planted),
        unmeasured=int(kept["unmeasured"]),
    )


def _texts(array: NDArray[Any]) -> tuple[str, ...]:
    return tuple(str(one) for one in array)

"""What the node measures of the lungs of a drawn patient, and what he has: a row and its truth.

The scan goes through an engine without a head, on the node's own path: what forests learn from is, to the
last bit, what they are given in service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import load_package
from dicomnode.learn.drawn.kept import read_arrays, write_arrays
from dicomnode.learn.patterns.drawn import PATTERNS, scan_of, volume_of
from dicomnode.learn.patterns.steps import FORM
from dicomnode.values import Findings, RemarkKind, Volume

Float32 = NDArray[np.float32]

# Nothing of the findings but numbers is kept: a moment and a salt of no installation
_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SALT: Final = b"p" * 32
_NODE: Final = "training"
_NO_ROW: Final = "no lungs were measured"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """A drawn patient. row: float32 (names,), or None where the node gave none, as `reason` says.

    has: of each of `PATTERNS`, whether he has it.
    """

    seed: int
    has: tuple[bool, ...]
    row: Float32 | None
    reason: str = ""


def findings_of(analyst: Analyst, volume: Volume) -> Findings:
    """Run an engine with one input on a volume, as the node does."""
    spec = analyst.package.manifest.input[0].name
    return analyst.analyse(Analysis(volumes={spec: volume}, salt=_SALT, study_version=1, made_at=_WHEN))


def look_at(seed: int, engine: Path) -> Looked:
    """Draw a patient, scan him, and measure his lungs by the engine of a folder: three seconds of a core."""
    scan = scan_of(seed)
    findings = findings_of(Analyst(load_package(engine), threads=1, node_version=_NODE), volume_of(scan))
    has = tuple(name in scan.diseases for name in PATTERNS)
    if findings.features:
        return Looked(seed=seed, has=has, row=findings.features[0].values.astype(np.float32))
    said = [one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED]
    return Looked(seed=seed, has=has, row=None, reason=" ".join(said) or _NO_ROW)


@dataclass(frozen=True, slots=True)
class LookOrder:
    """A patient who is wanted: his seed, the engine that measures, and where his row is kept."""

    seed: int
    engine: Path
    kept: Path


def make_looked(order: LookOrder) -> str:
    """Look at a patient unless it is kept already; return the file's name."""
    if read_looked(order.kept) is None:
        write_looked(look_at(order.seed, order.engine), order.kept)
    return order.kept.name


def write_looked(looked: Looked, path: Path) -> None:
    """Keep it as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    arrays = {
        "form": np.array(FORM),
        "seed": np.array(looked.seed),
        "has": np.array(looked.has),
        "row": np.zeros(0, dtype=np.float32) if looked.row is None else looked.row,
        "reason": np.array(looked.reason),
    }
    write_arrays(path, arrays)


def read_looked(path: Path) -> Looked | None:
    """Return what is kept; None: there is none of this form."""
    kept = read_arrays(path)
    if kept is None or "form" not in kept or str(kept["form"]) != FORM:
        return None
    row: Float32 = kept["row"]
    return Looked(
        seed=int(kept["seed"]),
        has=tuple(bool(one) for one in kept["has"]),
        row=row if row.size else None,
        reason=str(kept["reason"]),
    )

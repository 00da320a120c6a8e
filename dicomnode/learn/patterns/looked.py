"""What the node measures of the lungs of a drawn patient, and what he has: a row and its truth.

The scan goes through an engine without a head, on the node's own path: what forests learn from is, to the
last bit, what they are given in service.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.engine import load_package
from dicomnode.learn.drawn.kept import read_formed, write_formed
from dicomnode.learn.drawn.looking import findings_of, volume_of
from dicomnode.learn.patterns.drawn import PATTERNS, scan_of
from dicomnode.learn.patterns.steps import FORM
from dicomnode.values import RemarkKind

Float32 = NDArray[np.float32]

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


def look_at(seed: int, engine: Path) -> Looked:
    """Draw a patient, scan him, and measure his lungs by the engine of a folder: three seconds of a core."""
    scan = scan_of(seed)
    with closing(Analyst(load_package(engine), threads=1, node_version=__version__)) as analyst:
        findings = findings_of(analyst, volume_of(scan))
    has = tuple(name in scan.diseases for name in PATTERNS)
    if findings.features:
        return Looked(seed=seed, has=has, row=findings.features[0].values.astype(np.float32))
    said = [one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED]
    return Looked(seed=seed, has=has, row=None, reason=" ".join(said) or _NO_ROW)


@dataclass(frozen=True, slots=True)
class LookOrder:
    """A patient who is wanted: his seed, the engine that measures, its digest, and where his row is kept."""

    seed: int
    engine: Path
    digest: str
    kept: Path

    @property
    def form(self) -> str:
        """What is kept under another one is made again: another engine may measure otherwise."""
        return f"{FORM}, engine {self.digest}"


def make_looked(order: LookOrder) -> str:
    """Look at a patient unless it is kept already; return the file's name."""
    if read_looked(order) is None:
        write_looked(look_at(order.seed, order.engine), order)
    return order.kept.name


def write_looked(looked: Looked, order: LookOrder) -> None:
    """Keep it as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    arrays = {
        "seed": np.array(looked.seed),
        "has": np.array(looked.has),
        "row": np.zeros(0, dtype=np.float32) if looked.row is None else looked.row,
        "reason": np.array(looked.reason),
    }
    write_formed(order.kept, order.form, arrays)


def read_looked(order: LookOrder) -> Looked | None:
    """Return what is kept; None: there is none of this form."""
    return read_formed(order.kept, order.form, _looked)


def _looked(kept: Mapping[str, NDArray[Any]]) -> Looked:
    row: Float32 = kept["row"]
    return Looked(
        seed=int(kept["seed"]),
        has=tuple(bool(one) for one in kept["has"]),
        row=row if row.size else None,
        reason=str(kept["reason"]),
    )

"""What is asked of the writers of registrations, and what they give."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Findings, Float64, Grid, Outcome, Provenance, Source

Kind = Literal["rigid", "affine", "deformable"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Laid:
    """How the moving series lies over the fixed one.

    moved_lps: float64 (4, 4), LPS mm of the moving series → LPS mm of the fixed one; of a deformation the
    affine part. field_lps_mm: of a deformation, float32 (k, j, i, 3) on `grid`, in the space of the fixed
    series: what is added to a point there before the affine part is gone back. words: how sure it is.
    """

    kind: Kind
    moved_lps: Float64
    words: str
    grid: Grid | None = None
    field_lps_mm: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if (self.kind == "deformable") != (self.field_lps_mm is not None and self.grid is not None):
            raise ValueError("Laid.field_lps_mm and grid belong to a deformation, and to nothing else")

    @property
    def digest(self) -> str:
        """Tell this map from any other one: objects of another map are other objects."""
        digest = hashlib.sha256(self.moved_lps.tobytes())
        if self.field_lps_mm is not None:
            digest.update(self.field_lps_mm.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpatialOccasion:
    """What the objects are made with. made_at: time-zone aware. salt: of UIDs."""

    provenance: Provenance
    made_at: datetime
    salt: bytes

    def findings(self, source: Source) -> Findings:
        """Findings of nothing but a source: what objects on it take their identity from."""
        return Findings(
            outcome=Outcome.NO_FINDINGS,
            sources=(source,),
            provenance=self.provenance,
            made_at=self.made_at,
            study_version=1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialObject:
    """A finished object: "REG" or "IMAGE", a whole Part 10 file."""

    kind: Literal["REG", "IMAGE"]
    sop_class_uid: str
    sop_instance_uid: str
    content: bytes

"""Which nodules, which scans and which lungs a figure is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dicomnode.phantom import DISEASES, STRATA_MM, stratum
from dicomnode.phantom.lumps import KINDS
from dicomnode.phantom.places import PLACES
from tests.bench.lung.judging import CaseRow, NoduleRow

OfNodule = Callable[[NoduleRow], bool]
OfCase = Callable[[CaseRow], bool]

HARD: Final = ("consolidation", "collapse", "effusion", "emphysema")
"""Diseases that lungs without a network are known to get wrong."""

_THICK: Final = {
    "slices to 1.5 mm": lambda mm: mm <= 1.5,
    "slices 1.5 to 2.5 mm": lambda mm: 1.5 < mm <= 2.5,
    "slices above 2.5 mm": lambda mm: mm > 2.5,
}


def of_nodules() -> dict[str, OfNodule]:
    """Return the strata of nodules by name: those of the goals first, then size, kind and place."""
    found: dict[str, OfNodule] = {
        "all": lambda one: True,
        "6 mm and more": lambda one: one.diameter_mm >= 6.0,
        "4 to 6 mm": lambda one: 4.0 <= one.diameter_mm < 6.0,
        "solid, 6 mm and more": lambda one: one.kind == "solid" and one.diameter_mm >= 6.0,
        "not ground glass, 6 mm and more": lambda one: one.kind != "ground glass" and one.diameter_mm >= 6.0,
    }
    names = [stratum(mm) for mm in STRATA_MM]
    found |= {name: lambda one, n=name: stratum(one.diameter_mm) == n for name in names}
    found |= {kind: lambda one, k=kind: one.kind == k for kind in KINDS}
    found |= {f"place: {place}": lambda one, p=place: one.place == p for place in PLACES}
    return found


def of_cases() -> dict[str, OfCase]:
    """Return the strata of scans: thickness, kernel, contrast medium."""
    found: dict[str, OfCase] = {
        name: lambda case, h=holds: h(case.thickness_mm) for name, holds in _THICK.items()
    }
    found |= {
        f"{kernel} kernel": lambda case, k=kernel: case.kernel == k
        for kernel in ("soft", "standard", "sharp")
    }
    return found | {"enhanced": lambda case: case.enhanced, "not enhanced": lambda case: not case.enhanced}


def of_lungs() -> Mapping[str, OfCase]:
    """Return the strata of lungs: all, none of the hard diseases, then each disease."""
    found: dict[str, OfCase] = {
        "all": lambda case: True,
        f"none of {', '.join(HARD)}": lambda case: not set(HARD) & set(case.diseases),
    }
    rest = [name for name in DISEASES if name not in HARD]
    return found | {name: lambda case, d=name: d in case.diseases for name in (*HARD, *rest)}

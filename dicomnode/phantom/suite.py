"""The frozen suite: chests that engines are measured on, and that nobody trains on.

`suite.csv` fixes patient, protocol, diseases and every nodule; what it does not say follows from the seed. A
row that changes, or a voxel, makes another suite: CHEST_VERSION goes up, and what was measured is measured
again. Its strata of size are those in which figures are printed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Final, cast, get_args

from dicomnode.faults import SEED_RESERVED, NodeError
from dicomnode.phantom.anatomy import Size
from dicomnode.phantom.change import DISEASES, Disease
from dicomnode.phantom.lumps import Kind, Margin
from dicomnode.phantom.patients import ChestScan, World, chest
from dicomnode.phantom.places import Place, Wish
from dicomnode.phantom.protocol import Kernel, Protocol

RESERVED_SEEDS: Final = range(140_000, 141_000)
"""Of the suite and of what will be added to it. Training refuses them."""
STRATA_MM: Final = (3.0, 4.0, 6.0, 8.0, 15.0)
"""Where each stratum of size begins: 3 to 4 mm, 4 to 6, 6 to 8, 8 to 15, above 15."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteCase:
    """One patient of the suite."""

    seed: int
    size: Size
    world: World

    def scan(self) -> ChestScan:
        """Make it: about ten seconds of a core for a full one, three for a small one."""
        return chest(self.seed, self.size, world=self.world)


def suite_cases(size: Size) -> tuple[SuiteCase, ...]:
    """The cases of a size: 40 full ones, which `make bench` measures on, 8 small ones for the tests."""
    text = files("dicomnode.phantom").joinpath("suite.csv").read_text(encoding="utf-8")
    return tuple(_case(row) for row in csv.DictReader(text.splitlines()) if row["size"] == size)


def stratum(diameter_mm: float) -> str:
    """Name the stratum of a diameter: "3-4 mm" … "> 15 mm"; "< 3 mm" is in none of them."""
    if not diameter_mm >= STRATA_MM[0]:
        return f"< {STRATA_MM[0]:g} mm"
    for low, high in pairwise(STRATA_MM):
        if diameter_mm < high:
            return f"{low:g}-{high:g} mm"
    return f"> {STRATA_MM[-1]:g} mm"


def refuse_reserved(seeds: Iterable[int]) -> None:
    """Raise NodeError SEED_RESERVED when one of `seeds` is the suite's: who trains calls this first."""
    for seed in seeds:
        if seed in RESERVED_SEEDS:
            raise NodeError(
                SEED_RESERVED, seed=seed, first=RESERVED_SEEDS.start, last=RESERVED_SEEDS.stop - 1
            )


def _case(row: dict[str, str]) -> SuiteCase:
    kernel = cast("Kernel", _one_of(row["kernel"], get_args(Kernel)))
    protocol = Protocol(
        thickness_mm=float(row["thickness_mm"]),
        increment_mm=float(row["increment_mm"]),
        kernel=kernel,
        noise_hu=float(row["noise_hu"]),
        lung_field=row["field"] == "lungs",
    )
    diseases = tuple(cast("Disease", _one_of(name, DISEASES)) for name in _listed(row["diseases"]))
    world = World(
        diseases=diseases,
        nodules=tuple(_wish(text) for text in _listed(row["nodules"])),
        protocol=protocol,
        enhanced=row["enhanced"] == "yes",
    )
    size = cast("Size", _one_of(row["size"], get_args(Size)))
    return SuiteCase(seed=int(row["seed"]), size=size, world=world)


def _wish(text: str) -> Wish:
    """Read "7.4 part-solid, pleura, lobulated"."""
    what, place, margin = text.split(", ")
    diameter, kind = what.split(" ", 1)
    return Wish(
        diameter_mm=float(diameter),
        kind=cast("Kind", _one_of(kind, get_args(Kind))),
        place=cast("Place", _one_of(place, get_args(Place))),
        margin=cast("Margin", _one_of(margin, get_args(Margin))),
    )


def _listed(text: str) -> list[str]:
    return [part for part in text.split("; ") if part]


def _one_of(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise ValueError(f"suite.csv says {name!r}, which is none of {', '.join(names)}")
    return name

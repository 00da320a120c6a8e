"""Chests that types of nodules are learned from: scans of nobody with many nodules, of each kind as many.

As many of each, since a table of right and wrong answers needs the rare kinds, too. How often a kind really
occurs is said apart: `USUAL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.phantom.lumps import LEAST_MM, Kind, draw_margin
from dicomnode.phantom.patients import ChestScan, World, chest
from dicomnode.phantom.places import PLACES, Wish

KINDS: Final[tuple[Kind, ...]] = ("solid", "part-solid", "ground glass", "calcified", "cavity")
"""In the order of the channels of a network of types."""

USUAL: Final[Mapping[Kind, float]] = MappingProxyType(
    {"solid": 0.69, "part-solid": 0.14, "ground glass": 0.06, "calcified": 0.09, "cavity": 0.02}
)
"""How often each kind is taken to occur: about as readers of LIDC-IDRI called 1391 nodules.

Solid 78 %, between 18 %, ground glass 5 %; calcium in 12 %, which takes most from the solid. Cavities were
not counted there: 2 % is a guess.
"""

NODULES: Final = 30
"""Of a chest; where there is no place left it has fewer."""

_SMALLEST_MM, _LARGEST_MM = 4.0, 25.0
_PLACED: Final = (0.50, 0.30, 0.15, 0.05)  # how often a nodule lies in each of PLACES
_WISHES: Final = 71  # what a generator is drawn for


def wishes_of(seed: int, count: int = NODULES) -> tuple[Wish, ...]:
    """Draw the nodules of a patient: one kind after the other, sizes log-uniform from 4 to 25 mm."""
    rng = np.random.default_rng([seed, _WISHES])
    wishes = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        low = max(_SMALLEST_MM, LEAST_MM[kind])
        diameter = float(np.exp(rng.uniform(np.log(low), np.log(_LARGEST_MM))))
        place = PLACES[int(rng.choice(len(PLACES), p=_PLACED))]
        wishes.append(Wish(diameter_mm=diameter, kind=kind, place=place, margin=draw_margin(rng, diameter)))
    return tuple(wishes[n] for n in rng.permutation(count))


def scan_of(seed: int) -> ChestScan:
    """Scan the patient of `seed`, with all that he has: about ten seconds. Equal seeds, equal scans."""
    return chest(seed, "full", world=World(nodules=wishes_of(seed)))

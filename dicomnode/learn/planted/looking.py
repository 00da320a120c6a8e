"""What a network finds in a whole world, read as the node reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from torch import nn

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.interpret import INTERPRETATIONS
from dicomnode.analyse.interpret.contract import Outputs, Region
from dicomnode.engine import CentreHeat, Head
from dicomnode.learn.planted.network import MULTIPLE, OUTPUTS
from dicomnode.learn.planted.world import SPACING_MM
from dicomnode.values import Grid, Mask, PointLps

Maps = Mapping[str, NDArray[np.float32]]
Run = Callable[[NDArray[np.float32]], Maps]
"""A network: (1, 1, k, j, i) HU → its outputs by name, (1, 1, …)."""

MOST: Final = 80
"""Candidates of a world that are looked at."""

_MOST_HEAT: Final = 0.999  # below 1, as of any least heat
_PAD_HU: Final = -1000.0
_FRAME: Final = "2.25.1"  # one patient space, so that it counts as a volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """centre_lps_mm: on the grid of `grid_of`. score: 0 … 1. mask: its voxels, None of a point."""

    centre_lps_mm: PointLps
    score: float
    mask: Mask | None


def grid_of(shape: tuple[int, int, int]) -> Grid:
    """Return the grid of a world of `shape`, its first voxel at 0."""
    return Grid(shape, np.diag((SPACING_MM, SPACING_MM, SPACING_MM, 1.0)), _FRAME)


def candidates_in(run: Run, hu: Float32, lungs: Bool, how: CentreHeat) -> list[Candidate]:
    """Return what a network finds in `hu` (k, j, i) near `lungs`, by score."""
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    wider = [(0, -side % MULTIPLE) for side in shape]
    box = np.pad(hu, wider, constant_values=_PAD_HU)
    maps = run(np.ascontiguousarray(box[None, None], dtype=np.float32))
    how = _not_too_many(maps[how.heat][0, 0], how)
    whole, own = grid_of((box.shape[0], box.shape[1], box.shape[2])), grid_of(shape)
    outputs = Outputs(
        maps={name: np.asarray(maps[name][0]) for name in OUTPUTS},
        grid=whole,
        source=own,
        within=Region(lungs, own),
        wanted=1,
        inside=shape,
        seen={"hu": box[np.newaxis]},
    )
    reading = INTERPRETATIONS["centre_heat"](outputs, Head(interpret="centre_heat", centre_heat=how))
    found = [
        Candidate(centre_lps_mm=_middle(one.mask, own), score=one.score or 0.0, mask=one.mask)
        for one in reading.shapes
    ]
    found += [
        Candidate(centre_lps_mm=one.centre_lps_mm, score=one.score, mask=None) for one in reading.points
    ]
    return sorted(found, key=lambda one: -one.score)


def _not_too_many(heat: Float32, how: CentreHeat) -> CentreHeat:
    """Raise the threshold so far that `at_most` are left: each is outlined, and there may be thousands."""
    peaks = np.sort(heat[heat == ndimage.maximum_filter(heat, size=3)])[::-1]
    if len(peaks) <= how.at_most:
        return how
    least = float(expit(np.float64(peaks[how.at_most])))
    return replace(
        how, threshold=max(how.threshold, least), heat_at_least=max(how.heat_at_least, min(least, _MOST_HEAT))
    )


def _middle(mask: Mask, grid: Grid) -> PointLps:
    start = [low for low, _ in mask.box_kji]
    x, y, z = (float(one) for one in grid.to_lps_mm((np.argwhere(mask.crop()) + start).mean(axis=0)))
    return x, y, z


def by_torch(network: nn.Module) -> Run:
    """Run a network that still learns; it must be set to evaluation."""
    device = next(network.parameters()).device

    def run(box: NDArray[np.float32]) -> Maps:
        with torch.inference_mode():
            found = network(torch.from_numpy(box).to(device))
        return {name: one.cpu().numpy() for name, one in zip(OUTPUTS, found, strict=True)}

    return run

"""Several volumes prepared together: channels of one image, as nnU-Net and MONAI have them.

All lie on one grid before and after each entry. Values are each channel's own business; what changes the grid
is done to all of them at once, and where it depends on what an image shows, on what any of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, box_of
from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.geometry import cut_foreground, foreground_of
from dicomnode.analyse.prepare import finished
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.stages import Watch, observer
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import CropForeground
from dicomnode.values import Progress

_FILLED: Final = "nonzero_filled"

Images = Mapping[str, Prepared]


@dataclass(slots=True, eq=False)
class _Stretch:
    """The entries of one channel up to the next change of the grid, and that change; None: it is the end."""

    values: list[Preparation] = field(default_factory=list)
    change: Preparation | None = None


def prepare_together(
    images: Images,
    entries: Mapping[str, Sequence[Preparation]],
    progress: Progress,
    watch: Watch | None = None,
) -> dict[str, Prepared]:
    """Do the preparations of each channel to it; return float32 (k, j, i), contiguous and read-only, by name.

    images: by name, all on one grid. entries: of each; those that change the grid are the same ones in the
    same order (ValueError). crop_foreground cuts to the box of what counts in any channel; "nonzero_filled"
    is where any of them is not 0 before its values are changed, with the holes that lie within (nnU-Net).
    Raises NodeError(PREPARATION_FAILED) as `prepare` does.
    """
    stretches = {name: _stretches(entries[name]) for name in images}
    here = dict(images)
    for parts in zip(*stretches.values(), strict=True):
        own = dict(zip(images, parts, strict=True))
        here = _values_changed(here, own, progress, watch)
        changes = {name: part.change for name, part in own.items() if part.change is not None}
        if changes:
            here = _grid_changed(here, changes, progress)
            for name, change in changes.items():
                if (seen := observer(watch, name)) is not None:
                    seen(change, here[name])
    return {name: finished(image) for name, image in here.items()}


def _stretches(entries: Sequence[Preparation]) -> list[_Stretch]:
    found = [_Stretch()]
    for entry in entries:
        if entry.keeps_grid:
            found[-1].values.append(entry)
        else:
            found[-1].change = entry
            found.append(_Stretch())
    return found


def _values_changed(
    images: Images, own: Mapping[str, _Stretch], progress: Progress, watch: Watch | None
) -> dict[str, Prepared]:
    """Do the entries of each channel that keep the grid."""
    filled = any(
        getattr(entry.declared, "over", "") == _FILLED for part in own.values() for entry in part.values
    )
    foreground = _filled(images) if filled else None
    changed = {}
    for name, image in images.items():
        here, seen = image, observer(watch, name)
        for entry in own[name].values:
            given = replace(here, foreground=foreground)
            here = PREPARATIONS[entry.name].run(given, entry.declared, progress)
            if seen is not None:
                seen(entry, here)
        changed[name] = replace(here, foreground=None)
    return changed


def _filled(images: Images) -> Bool:
    """Return where any channel is not 0, with the holes within: (k, j, i)."""
    some: Bool = reduce(np.logical_or, [np.asarray(image.voxels) != 0 for image in images.values()])
    return np.asarray(ndimage.binary_fill_holes(some), dtype=bool)


def _grid_changed(
    images: Images, changes: Mapping[str, Preparation], progress: Progress
) -> dict[str, Prepared]:
    """Do the entry that all channels have at this place."""
    names = {entry.name for entry in changes.values()}
    if len(names) != 1 or len(changes) != len(images):
        raise ValueError(f"channels of one image change the grid alike, got {sorted(names)}")
    crops = {name: how.declared for name, how in changes.items() if isinstance(how.declared, CropForeground)}
    if not crops:
        return {
            name: PREPARATIONS[changes[name].name].run(image, changes[name].declared, progress)
            for name, image in images.items()
        }
    some: Bool = reduce(np.logical_or, [foreground_of(images[name], how) for name, how in crops.items()])
    box = box_of(some)
    if box is None:
        return dict(images)
    return {name: cut_foreground(images[name], box, how) for name, how in crops.items()}

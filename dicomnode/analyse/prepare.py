"""What is done to a volume before the steps of an engine: named preparations, in the order of the manifest.

Each takes voxels on a grid and gives voxels on a grid; the affine of the result is exact, so that what is
found on it can be put back where it lies in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.geometry import orient
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.stages import Observer
from dicomnode.engine import Preparation
from dicomnode.values import Progress, Volume, no_progress

__all__ = ["Prepared", "finished", "orient", "prepare", "prepare_image"]


def prepare(
    volume: Volume,
    entries: Sequence[Preparation],
    progress: Progress = no_progress,
    observe: Observer | None = None,
) -> Prepared:
    """Do the preparations of an input to its volume, in their order.

    Returns float32 (k, j, i), contiguous and read-only, with the grid that it lies on. Raises
    NodeError(PREPARATION_FAILED) when a step cannot be done to this volume.
    """
    return prepare_image(Prepared(volume.voxels, volume.grid), entries, progress, observe)


def prepare_image(
    image: Prepared,
    entries: Sequence[Preparation],
    progress: Progress = no_progress,
    observe: Observer | None = None,
) -> Prepared:
    """Do them to what lies on another grid already; see `prepare`."""
    for entry in entries:
        image = PREPARATIONS[entry.name].run(image, entry.declared, progress)
        if observe is not None:
            observe(entry, image)
    return finished(image)


def finished(image: Prepared) -> Prepared:
    """Return it as networks take it: float32, contiguous and read-only."""
    voxels = np.ascontiguousarray(image.voxels, dtype=np.float32).view()  # who gave them may write to them
    voxels.setflags(write=False)
    return Prepared(voxels, image.grid)

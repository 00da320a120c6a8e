"""Whether values that are said to be Hounsfield units can be that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.assemble.rescale import CT_LOWEST_HU, Voxels
from dicomnode.faults import VALUES_NOT_HU, NodeError

AIR_SHARE: Final = 0.02
"""So many of the voxels at least lie between 0 and `AIR_BELOW` where air was stored as 0 (unsigned CT)."""

AIR_BELOW: Final = 150.0

TISSUE_SHARE: Final = 0.05
"""So many lie within `TISSUE`, where water is 1000 or 1024: in Hounsfield units only bone is as dense."""

TISSUE: Final = (900.0, 1200.0)

_SAMPLED: Final = 2_000_000  # voxels that are looked at


def check_hounsfield(voxels: Voxels, intercepts: Sequence[float]) -> None:
    """Refuse a CT whose rescale was lost: nothing below 0, air near 0 and soft tissue near 1000.

    voxels: (k, j, i), in what should be Hounsfield units. intercepts: that gave them, one a slice. A field of
    view without air passes: it has no such tissue. Raises NodeError(VALUES_NOT_HU), which names the attribute
    that is wrong.
    """
    if min(intercepts) < 0:
        return
    every = max(1, voxels.size // _SAMPLED)
    rows = voxels.reshape(-1, voxels.shape[-1])[::every]  # single voxels cost as much as all
    values = rows[rows > CT_LOWEST_HU]  # padding was set to it
    if not values.size or values.min() < 0:
        return
    air = values[values < AIR_BELOW]
    tissue = values[(values >= TISSUE[0]) & (values <= TISSUE[1])]
    if air.size < AIR_SHARE * values.size or tissue.size < TISSUE_SHARE * values.size:
        return
    raise NodeError(
        VALUES_NOT_HU,
        tag="(0028,1052)",
        keyword="RescaleIntercept",
        found=f"{min(intercepts):g}",
        air=float(np.median(air)),
        tissue=float(np.median(tissue)),
    )

"""Body composition without a network: fat, muscle, bone, air and the body they make up, in any CT.

By HU on slices of at least 2.5 mm, and by place: the ring of muscle and bone parts the fat under the skin
from that of the cavities, lungs and depth behind the wall part muscle from organs. What it cannot tell is
said with each result.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.algorithms.composition_body import Body, body_in
from dicomnode.analyse.algorithms.composition_bone import contrast_in
from dicomnode.analyse.algorithms.composition_said import BodyFacts, remarks_of
from dicomnode.analyse.algorithms.composition_slabs import Slabs, slabs_of
from dicomnode.analyse.algorithms.composition_tissues import TISSUES, tissues_in
from dicomnode.analyse.algorithms.composition_wall import Wall, wall_of
from dicomnode.analyse.algorithms.contract import Algorithm, Anatomy, Parameters, Part
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import NO_BODY
from dicomnode.values import Progress
from dicomnode.values.codes import HOUNSFIELD

_STAGE: Final = "body composition"
_STEPS: Final = 5
_METAL_HU: Final = 2500


def _run(image: Prepared, parameters: Parameters, progress: Progress) -> Anatomy:
    progress(_STAGE, 0, _STEPS)
    slabs = slabs_of(orient(image), parameters["slab_mm"], parameters["pixel_mm"], parameters["blur_mm"])
    progress(_STAGE, 1, _STEPS)
    body = body_in(slabs)
    if body is None:
        return Anatomy(grid=slabs.grid, nothing="nothing in the images is as large and as dense as a body")
    progress(_STAGE, 2, _STEPS)
    contrast = contrast_in(slabs, body.mask)
    progress(_STAGE, 3, _STEPS)
    wall = wall_of(slabs, body, contrast)
    progress(_STAGE, 4, _STEPS)
    tissues = tissues_in(slabs, body, wall, contrast)
    progress(_STAGE, _STEPS, _STEPS)
    parts = tuple(Part(None, tissues.masks[name], name=name) for name in TISSUES if tissues.masks[name].any())
    remarks = remarks_of(_facts(slabs, body, wall, contrast))
    return Anatomy(grid=slabs.grid, parts=parts, remarks=remarks, whole=True)


def _facts(slabs: Slabs, body: Body, wall: Wall, contrast: Bool) -> BodyFacts:
    k_mm, j_mm, i_mm = slabs.coarse_kji_mm
    there: NDArray[np.bool_] = np.asarray(body.mask.any(axis=(1, 2)))
    ml = k_mm * j_mm * i_mm / 1000.0

    def height(slices: NDArray[np.bool_]) -> float:
        return float((slices & there).sum()) * k_mm

    return BodyFacts(
        height_mm=height(there),
        cut_mm=height(body.cut),
        open_mm=height(np.asarray(wall.trunk & ~wall.closed)),
        apart_mm=height(np.asarray(body.pieces > 1)),
        trunk_mm=height(wall.trunk),
        head_mm=height(wall.head),
        contrast_ml=float(contrast.sum()) * ml,
        metal_ml=float(((slabs.coarse_hu > _METAL_HU) & body.mask).sum()) * ml,
    )


BODY_COMPOSITION: Final = Algorithm(
    name="body_composition",
    version=2,
    unit=HOUNSFIELD,
    parameters=MappingProxyType({"slab_mm": 2.5, "pixel_mm": 0.6, "blur_mm": 0.8}),
    run=_run,
    parts=TISSUES,
    absent=NO_BODY,
)

"""Real scans as worlds: read, prepared and looked at by the node's own code.

A scan whose lungs are not sure is refused: nodules would be planted into fluid, and a collapsed lobe would
be taught as "nothing". What is known to be in a scan comes as a table, and is ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dicomnode.analyse import ALGORITHMS
from dicomnode.analyse.algorithms.contract import Anatomy
from dicomnode.analyse.onto import onto
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.assemble import Stack, load_volume, read_studies
from dicomnode.evaluate.data.labels import KeyKind
from dicomnode.evaluate.data.lesion_tables import LesionRow, read_lesions, wrong_lesions
from dicomnode.faults import BACKGROUND_LEFT_OUT, NodeError
from dicomnode.learn.planted.grain import noise_of
from dicomnode.learn.planted.world import HIGHEST_HU, LOWEST_HU, SPACING_MM, Balls, World, world_from
from dicomnode.values import Grid, Progress, Refusal, RemarkKind, no_progress
from dicomnode.values.codes import HOUNSFIELD

_FWHM: Final = 2.3548  # of a Gaussian, in its SD
_SIGMA_IN_PLANE: Final = (
    0.45  # voxels of 1.25 mm: of usual kernels, measured on the scans of the first version
)
_LEAST_SIGMA: Final = 0.3
_USUAL_MM: Final = 20.0  # of a finding whose size nobody has told
_HALO_MM: Final = 3.0
_THICKEST_MM: Final = 5.0
_SIDES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """A real scan that may be planted into. known: rows of the table that speak of it."""

    stack: Stack
    known: tuple[LesionRow, ...]

    @property
    def uid(self) -> str:
        """Its Series Instance UID."""
        return self.stack.facts.series_instance_uid

    @property
    def digest(self) -> str:
        """SHA-256 over its files, what is known of it, and the algorithm that finds its lungs."""
        said = [(one.place_mm, one.diameter_mm) for one in self.known]
        digest = hashlib.sha256(repr((ALGORITHMS["lungs"].label, said)).encode())
        for path in self.stack.files:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def find_backgrounds(folder: Path, ignore: Path | None, progress: Progress = no_progress) -> list[Background]:
    """Return the CT volumes below `folder`, by UID; of a series that is there in several stacks the largest.

    ignore: a table of findings (seriesuid, coordX, coordY, coordZ, diameter_mm; LPS mm).
    Raises NodeError: NO_INSTANCES, FILE_UNREADABLE, LESIONS_WRONG with all problems of the table.
    """
    rows = {} if ignore is None else _known(ignore)
    found: dict[str, Stack] = {}
    for study in read_studies([folder], progress).studies:
        for stack in (stack for series in study.series for stack in series.stacks):
            uid = stack.facts.series_instance_uid
            if stack.kind != "volume" or stack.headers[0].modality != "CT":
                continue
            if uid not in found or len(stack.files) > len(found[uid].files):
                found[uid] = stack
    return [Background(stack=found[uid], known=tuple(rows.get(uid, ()))) for uid in sorted(found)]


def _known(path: Path) -> Mapping[str, list[LesionRow]]:
    table = read_lesions(path)
    if table.kind is not KeyKind.SERIES:
        raise wrong_lesions(path, ["its first column is to name series (seriesuid)"])
    lost = [
        f"row {row.number} has no place in mm" for row in table.rows if not row.is_none and not _placed(row)
    ]
    if lost:
        raise wrong_lesions(path, lost)
    rows: dict[str, list[LesionRow]] = {}
    for row in table.rows:
        rows.setdefault(row.key, []).append(row)
    return {uid: [row for row in some if _placed(row)] for uid, some in rows.items()}


def _placed(row: LesionRow) -> bool:
    return row.place_mm is not None and row.place_mm[2] is not None


def image_of(background: Background) -> Prepared | Refusal:
    """Return a scan in HU with its axes along the patient's; a refusal where it cannot be taken."""
    try:
        volume = load_volume(background.stack)
    except NodeError as error:
        return left_out(background, f"{error.refusal.code} {error.refusal.text}".rstrip("."))
    if volume.unit != HOUNSFIELD:
        return left_out(background, "its voxels are not in Hounsfield units")
    if volume.grid.is_sheared:
        return left_out(background, "its gantry was tilted")
    thick = max(volume.grid.spacing_kji_mm)
    if thick > _THICKEST_MM:
        return left_out(background, f"its slices are {thick:g} mm apart, more than {_THICKEST_MM:g}")
    return orient(Prepared(np.clip(volume.voxels, LOWEST_HU, HIGHEST_HU), volume.grid))


def sure_lungs(background: Background, image: Prepared) -> Anatomy | Refusal:
    """Return both lungs as the node's `lungs` sees them in `image`; a refusal where they are not sure."""
    anatomy = ALGORITHMS["lungs"].run(image, ALGORITHMS["lungs"].parameters, no_progress)
    doubts = [one.text for one in anatomy.remarks if one.kind is RemarkKind.QUALITY]
    if anatomy.nothing is not None or doubts or len(anatomy.parts) != _SIDES:
        why = anatomy.nothing or " ".join(doubts) or "one lung was found"
        return left_out(background, f"its lungs are not sure: {why}".rstrip("."))
    return anatomy


def real_world(background: Background) -> World | Refusal:
    """Make the world of a scan, lungs by the node's `lungs`; a refusal where they are not sure."""
    image = image_of(background)
    if isinstance(image, Refusal):
        return image
    fine = resample(image, (SPACING_MM,) * 3)
    anatomy = sure_lungs(background, fine)
    if isinstance(anatomy, Refusal):
        return anatomy
    lungs = np.logical_or.reduce([part.mask for part in anatomy.parts])
    inside, _ = onto(Prepared(lungs.astype(np.float32), anatomy.grid), fine.grid, 0.0, no_progress)
    k_mm = image.grid.spacing_kji_mm[0]
    sigma = max(_LEAST_SIGMA, k_mm / _FWHM / SPACING_MM)
    hu, blur = np.asarray(fine.voxels, dtype=np.float32), (sigma, _SIGMA_IN_PLANE, _SIGMA_IN_PLANE)
    noise = noise_of(hu, inside >= 0.5, blur)
    return world_from(background.uid, hu, inside >= 0.5, _balls(background, fine.grid), blur, noise)


def left_out(background: Background, reason: str) -> Refusal:
    """Say why a scan is not learned from."""
    return BACKGROUND_LEFT_OUT.refusal(series=background.uid, reason=reason)


def _balls(background: Background, grid: Grid) -> Balls:
    """Return what is known of a scan as balls on `grid`."""
    balls = np.zeros((len(background.known), 4), dtype=np.float32)
    for number, row in enumerate(background.known):
        if row.place_mm is not None:
            diameter = _USUAL_MM if row.diameter_mm is None else row.diameter_mm
            balls[number, :3] = grid.to_index_kji(np.array(row.place_mm, dtype=np.float64))
            balls[number, 3] = (diameter / 2.0 + _HALO_MM) / SPACING_MM
    return balls

"""The moved series as images in the space of the fixed one, of the kind that it was itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from dicomnode.report.concepts import SOURCE_IMAGE, code_item
from dicomnode.report.fields.derived_images import build_moved_images
from dicomnode.report.fields.limits import against_image
from dicomnode.report.fields.technique import Technique, technique_of
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.spatial.laid import Laid, SpatialObject, SpatialOccasion
from dicomnode.report.spatial.registrations import references
from dicomnode.report.uids import ResultUids
from dicomnode.values import DerivedImage, Grid, Source

SERIES_NUMBER: Final = 9031


def against_moved_images(moving: Source, image: DerivedImage, occasion: SpatialOccasion) -> str | None:
    """Say why the moved series has no images; None where it has."""
    findings = occasion.findings(moving)
    if (reason := against_image(findings, image.grid)) is not None:
        return reason
    return _against(technique_of(findings))


def _against(technique: Technique | None) -> str | None:
    if technique is None or technique.sop_class_uid == PositronEmissionTomographyImageStorage:
        return "the moving series is neither CT nor MR"
    if technique.missing:
        return f"the moving series does not say {', '.join(technique.missing)}"
    return None


def make_moved_images(
    fixed: Source, moving: Source, laid: Laid, image: DerivedImage, occasion: SpatialOccasion
) -> tuple[SpatialObject, ...]:
    """Write one image a plane of `image`, k ascending, in the study and space of the fixed series.

    image: the moved voxels on the fixed grid. () where `against_moved_images` says why not.
    """
    if against_moved_images(moving, image, occasion) is not None:
        return ()
    findings, others = occasion.findings(fixed), occasion.findings(moving)
    imprint = Imprint(findings, read_heading(findings), occasion.salt)
    source = Imprint(others, read_heading(others), occasion.salt)
    about = f"moved {moving.series_instance_uid}, {laid.digest}"
    uids = ResultUids.of(findings, occasion.salt, "IMAGES", about)
    seen = _references(moving, source, laid, image.grid)
    made = []
    for one in build_moved_images(imprint, uids, SERIES_NUMBER, image, source, seen):
        apply_identity(one, imprint, uids, "IMAGES")
        made.append(
            SpatialObject(
                kind="IMAGE",
                sop_class_uid=str(one.SOPClassUID),
                sop_instance_uid=str(one.SOPInstanceUID),
                content=to_bytes(one),
            )
        )
    return tuple(made)


def _references(moving: Source, source: Imprint, laid: Laid, grid: Grid) -> list[list[Dataset]]:
    """For each plane of the fixed grid: the images of the moving series that it cuts, or the nearest."""
    assert moving.grid is not None
    by_uid = {str(one.ReferencedSOPInstanceUID): one for one in references(source.heading)}
    back = np.linalg.inv(laid.moved_lps)
    further = 0.0
    if laid.field_lps_mm is not None:
        further = float(np.linalg.norm(laid.field_lps_mm, axis=-1).max()) / moving.grid.slice_distance_mm
    _, rows, columns = grid.shape_kji
    found = []
    for k in range(grid.shape_kji[0]):
        corners = grid.to_lps_mm([[k, j, i] for j in (0, rows - 1) for i in (0, columns - 1)])
        index = moving.grid.to_index_kji(corners @ back[:3, :3].T + back[:3, 3])[:, 0]
        found.append(_between(moving, by_uid, index.min() - further, index.max() + further))
    return found


def _between(moving: Source, by_uid: dict[str, Dataset], low: float, high: float) -> list[Dataset]:
    last = len(moving.frames) - 1
    first, final = (int(np.clip(end, 0, last)) for end in (np.floor(low), np.ceil(high)))
    frames: dict[str, list[int]] = {}
    for frame in moving.frames[first : final + 1]:
        frames.setdefault(frame.sop_instance_uid, [])
        if frame.frame_number is not None:
            frames[frame.sop_instance_uid].append(frame.frame_number)
    return [_item(by_uid[uid], numbers) for uid, numbers in frames.items()]


def _item(reference: Dataset, frame_numbers: Sequence[int]) -> Dataset:
    item = Dataset()
    item.update(reference)
    if frame_numbers:
        item.ReferencedFrameNumber = sorted(frame_numbers)
    item.SpatialLocationsPreserved = "NO"
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
    return item

"""Structure sets and presentation states read back in patient space and pixels; no code of the writers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from tests.unit.report.outlines.rasterising import filled


def on_image(points_lps_mm: np.ndarray, image: Dataset) -> np.ndarray:
    """Column, row and distance (mm) of points (n, 3) on an image of one frame: PS3.3 C.7.6.2.1.1."""
    position = np.array(image.ImagePositionPatient, float)
    cosines = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(one) for one in image.PixelSpacing)
    step = np.array(
        [cosines[0] * between_columns, cosines[1] * between_rows, np.cross(cosines[0], cosines[1])]
    )
    return (points_lps_mm - position) @ np.linalg.inv(step)


def masks_of_structure_set(
    ds: Dataset, images: Sequence[Dataset], rule: str = "even-odd"
) -> list[np.ndarray]:
    """One bool (images, rows, columns) a region, in the order of the images given."""
    place = {str(image.SOPInstanceUID): n for n, image in enumerate(images)}
    masks = []
    for region in ds.ROIContourSequence:
        mask = np.zeros((len(images), images[0].Rows, images[0].Columns), dtype=bool)
        for contour in region.get("ContourSequence", ()):
            n = place[str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)]
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            placed = on_image(points, images[n])
            assert np.abs(placed[:, 2]).max() < 1e-3  # on the image itself
            mask[n] ^= filled([placed[:, :2]], mask.shape[1:], rule)
        masks.append(mask)
    return masks


def lines_of(ds: Dataset, layer: str) -> dict[tuple[str, int | None], list[np.ndarray]]:
    """Closed lines of a layer, (n, 2) with the first pixel's centre at 0, 0, by image and frame."""
    found: dict[tuple[str, int | None], list[np.ndarray]] = {}
    for annotation in ds.GraphicAnnotationSequence:
        if annotation.GraphicLayer != layer or "ReferencedImageSequence" not in annotation:
            continue
        (image,) = annotation.ReferencedImageSequence
        key = (str(image.ReferencedSOPInstanceUID), image.get("ReferencedFrameNumber"))
        for one in annotation.get("GraphicObjectSequence", ()):
            assert (one.GraphicAnnotationUnits, one.GraphicType) == ("PIXEL", "POLYLINE")
            points = np.array(one.GraphicData, float).reshape(-1, 2) - 0.5
            if np.array_equal(points[0], points[-1]):
                found.setdefault(key, []).append(points[:-1])
    return found

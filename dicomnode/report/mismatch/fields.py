"""What a map or a series of derived images says, read as far as it can be: for the picture of a mismatch.

Nothing is compared and nothing refused. Numbers are shown where the object says that they lie: each plane of
the field is looked up in the plane of the object that is nearest to it, so what is mirrored is seen mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicomnode.report.guard.reading import Encoded
from dicomnode.report.guard.source import place_of
from dicomnode.store.elements import ScanError
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import DerivedImage, Findings, Float64, Grid, ScalarMap
from dicomnode.values.numbers import Float32

_PARAMETRIC_MAP: Final = "1.2.840.10008.5.1.4.1.1.30"
_IMAGES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.{one}" for one in ("2", "4", "128"))


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """Stored numbers (rows, columns), and what they mean.

    lies: float64 (3, 3), maps (column, row, 1) to LPS mm.
    """

    lies: Float64
    stored: NDArray[Any]
    slope: float
    intercept: float

    def values(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> Float64:
        """Numbers of some pixels."""
        return self.stored[row, column] * self.slope + self.intercept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldPlanes:
    """Planes of a field, as found and as read back: (rows, columns), not a number where nothing lies.

    shown: which planes, of 0 to last. ends: lowest and highest number found.
    """

    shown: Sequence[int]
    last: int
    ends: tuple[float, float]
    found: Sequence[Float32]
    back: Sequence[Float32]
    problem: str


def field_planes(contents: Sequence[bytes], findings: Findings, most: int) -> FieldPlanes | None:
    """Read the planes that differ most, `most` of them; None where the objects hold no field."""
    read: list[_Plane] = []
    field, problem = None, ""
    for content in contents:
        try:
            head = dcmread(BytesIO(content))
            wanted = _field_of(head, findings)
            if wanted is None:
                continue
            field = field or wanted
            if wanted is field:
                read += _planes(head, content)
        except (*UNREADABLE_ITEMS, ScanError) as error:
            problem = f"it cannot be read to its end ({type(error).__name__})"
    if field is None:
        return None
    count = field.grid.shape_kji[0]
    differences = [_difference(_at(read, field.grid, k), field.values[k]) for k in range(count)]
    shown = sorted(sorted(range(count), key=lambda k: (-differences[k], k))[:most])
    return FieldPlanes(
        shown=shown,
        last=count - 1,
        ends=(float(field.values.min()), float(field.values.max())),
        found=[field.values[k] for k in shown],
        back=[_at(read, field.grid, k) for k in shown],
        problem=problem,
    )


def _field_of(head: Dataset, findings: Findings) -> ScalarMap | DerivedImage | None:
    """The field that an object says it is of: a map by its number, an image by what it was derived as."""
    if head.SOPClassUID == _PARAMETRIC_MAP:
        number = int(head.InstanceNumber)
        return findings.maps[number - 1] if 1 <= number <= len(findings.maps) else None
    if head.SOPClassUID not in _IMAGES:
        return None
    said = str(head.get("DerivationDescription") or "")
    return next((one for one in findings.images if f"({one.label})" in said), None)


def _planes(head: Dataset, content: bytes) -> Iterator[_Plane]:
    if head.SOPClassUID == _PARAMETRIC_MAP:
        mapping = head.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
        places = [place.plane for _, place in Encoded(content).frames()]
    else:
        mappings = head.get("RealWorldValueMappingSequence")
        mapping = mappings[0] if mappings else None
        places = [place_of(head).plane]
    slope = float(head.get("RescaleSlope", 1) if mapping is None else mapping.RealWorldValueSlope)
    intercept = float(head.get("RescaleIntercept", 0) if mapping is None else mapping.RealWorldValueIntercept)
    for lies, stored in zip(places, iter_pixels(head, raw=True), strict=False):
        yield _Plane(lies, stored, slope, intercept)


def _at(read: Sequence[_Plane], grid: Grid, k: int) -> Float32:
    """What lies on plane k of a grid, of the plane that is nearest to its middle: nearest neighbours."""
    _, rows, columns = grid.shape_kji
    nothing = np.full((rows, columns), np.nan, dtype=np.float32)
    middle = grid.to_lps_mm((k, (rows - 1) / 2, (columns - 1) / 2))
    away = [abs(float((middle - one.lies[:, 2]) @ _normal(one.lies))) for one in read]
    if not away or min(away) > grid.slice_distance_mm / 2:
        return nothing
    plane = read[int(np.argmin(away))]
    j, i = np.indices((rows, columns))
    points = grid.to_lps_mm(np.stack((np.full_like(j, k), j, i), axis=-1)) - plane.lies[:, 2]
    column, row = np.rint(np.moveaxis(points @ np.linalg.pinv(plane.lies[:, :2]).T, -1, 0)).astype(np.int64)
    inside = (row >= 0) & (row < plane.stored.shape[0]) & (column >= 0) & (column < plane.stored.shape[1])
    nothing[inside] = plane.values(row[inside], column[inside])
    return nothing


def _normal(plane: Float64) -> Float64:
    normal: Float64 = np.cross(plane[:, 0], plane[:, 1])
    return normal / max(float(np.linalg.norm(normal)), 1e-30)


def _difference(back: Float32, found: Float32) -> float:
    """Sum of differences; what is missing differs by the whole range."""
    apart = np.abs(back.astype(np.float64) - found)
    return float(np.nan_to_num(apart, nan=float(np.ptp(found)) + 1e-30).sum())

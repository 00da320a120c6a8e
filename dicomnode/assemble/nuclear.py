"""One data set a frame of an NM image: where its slices lie (PS3.3 C.8.4.11, C.8.4.15).

A reconstructed NM object says where its first slice lies and how far the others are from it, along the
normal; a negative distance is against it. Vectors say of each frame which slice, time slot or energy window
it is. Projections, planar images and their dynamics are no slices of a patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from pydicom import Dataset

from dicomnode.assemble.attributes import items_of, many, numbers_of, texts_of, value_of
from dicomnode.assemble.dataset import read_as

RECONSTRUCTED: Final = frozenset({"RECON TOMO", "RECON GATED TOMO"})
"""Image Type, value 3 (PS3.3 C.8.4.9.1.1.3), of objects whose frames are slices."""

_SLICES: Final = "SliceVector"
# What else may tell frames apart (PS3.3 C.8.4.8)
_PHASES: Final = ("EnergyWindowVector", "DetectorVector", "RRIntervalVector", "TimeSlotVector")
VECTORS: Final = (_SLICES, *_PHASES)


def is_reconstructed(dataset: Dataset) -> bool:
    """Tell whether the frames of an NM object are slices."""
    return not RECONSTRUCTED.isdisjoint(texts_of(dataset, "ImageType"))


def nuclear_frames(dataset: Dataset, frames: int) -> Iterator[Dataset]:
    """Yield a flat data set of each frame, in their order; without a position where the object gives none.

    Without any vector that tells them apart the frames are slices in their order. Where a vector has not an
    entry a frame, or tells frames apart and no Slice Vector says which slices they are, none has a position.
    """
    detector = (*items_of(dataset, "DetectorInformationSequence"), Dataset())[0]
    orientation = numbers_of(detector, "ImageOrientationPatient", 6)
    first = numbers_of(detector, "ImagePositionPatient", 3)
    distance = numbers_of(dataset, "SpacingBetweenSlices", 1)
    vectors = {name: _vector(dataset, name, frames) for name in VECTORS}
    slices = _slices(dataset, vectors, frames)
    for n in range(frames):
        frame = read_as(Dataset(), dataset)
        frame.update(dataset)
        for name in VECTORS:
            frame.pop(name, None)
        for name in _PHASES:
            vector = vectors[name]
            if vector is not None:
                setattr(frame, name, vector[n])
        if orientation is not None:
            frame.ImageOrientationPatient = list(orientation)
        if slices and orientation is not None and first is not None and (distance or frames == 1):
            row, column = np.reshape(np.array(orientation), (2, 3))
            step = np.cross(row, column) * (distance[0] if distance else 0.0)
            position = np.array(first) + (slices[n] - 1) * step
            frame.ImagePositionPatient = [float(value) for value in position]
        yield frame


def _slices(
    dataset: Dataset, vectors: Mapping[str, tuple[int, ...] | None], frames: int
) -> tuple[int, ...] | None:
    """Return which slice each frame is, counted from 1; None if that is not told."""
    if any(vector is None and value_of(dataset, name) is not None for name, vector in vectors.items()):
        return None
    if vectors[_SLICES] is not None:
        return vectors[_SLICES]
    tells_apart = any(len(set(vectors[name] or ())) > 1 for name in _PHASES)
    return None if tells_apart else tuple(range(1, frames + 1))


def _vector(dataset: Dataset, keyword: str, frames: int) -> tuple[int, ...] | None:
    values = many(value_of(dataset, keyword))
    whole = [int(value) for value in values if isinstance(value, int | float)]
    return tuple(whole) if len(whole) == frames else None

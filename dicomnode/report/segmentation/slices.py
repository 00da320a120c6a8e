"""Where the slices of the source lie and what they are called: what frames of a segmentation refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.report.heading.identity import Imprint
from dicomnode.values import Float64, SourceFrame


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The slices of the first source, k ascending.

    frames: the images or frames that they are. classes: their SOP Class UIDs. positions: Image Position
    (Patient), numbers as DS; the source's own, where it keeps to the VR. orientation: six cosines, of all.
    order: the slices k as frames come, along the normal as highdicom counts it. as_named: the slices as the
    source has them, instances in their order and frames by number.
    """

    frames: tuple[SourceFrame, ...]
    classes: tuple[str, ...]
    positions: tuple[tuple[str, ...], ...]
    orientation: tuple[str, ...]
    order: tuple[int, ...]
    as_named: tuple[int, ...]

    def spacing(self, only: Sequence[int] | None = None) -> str | None:
        """Distance of neighbouring slices in mm, as a DS; None where they are no regular stack.

        only: these slices, which must be regular as the source has them one after the other.
        """
        from highdicom.spatial import get_volume_positions  # noqa: PLC0415  heavy

        wanted = set(range(len(self.frames)) if only is None else only)
        places = np.array([self.positions[k] for k in self.as_named if k in wanted], dtype=np.float64)
        along = [float(one) for one in self.orientation]
        distance_mm, _ = get_volume_positions(places.tolist(), along, sort=only is None)
        return format_number_as_ds(float(distance_mm)) if distance_mm else None


def slices_of(imprint: Imprint) -> Slices:
    """Return the slices of the first source. Raises ValueError where two lie at one place."""
    frames = imprint.findings.sources[0].frames
    stubs = {str(stub.SOPInstanceUID): stub for stub in imprint.heading.stubs[0]}
    own = [stubs[frame.sop_instance_uid] for frame in frames]
    place = {uid: n for n, uid in enumerate(stubs)}
    positions = tuple(
        tuple(str(value) for value in _placed(stub, frame.frame_number).ImagePositionPatient)
        for stub, frame in zip(own, frames, strict=True)
    )
    orientation = tuple(str(value) for value in one_frame_of(own[0]).ImageOrientationPatient)
    return Slices(
        frames=frames,
        classes=tuple(str(stub.SOPClassUID) for stub in own),
        positions=positions,
        orientation=orientation,
        order=_order(np.array(positions, dtype=np.float64), [float(one) for one in orientation]),
        as_named=tuple(
            sorted(
                range(len(frames)),
                key=lambda k: (place[frames[k].sop_instance_uid], frames[k].frame_number or 0),
            )
        ),
    )


def one_frame_of(stub: Dataset) -> Dataset:
    """Return an instance as if it had one frame, with the geometry that all of its frames have."""
    single = Dataset()
    single.update(stub)
    if "SharedFunctionalGroupsSequence" not in stub:
        return single
    shared = stub.SharedFunctionalGroupsSequence[0]
    for keyword in ("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        delattr(single, keyword)
    single.update(shared.PixelMeasuresSequence[0])
    single.update(shared.PlaneOrientationSequence[0])
    single.update(stub.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0])
    return single


def instance_references(imprint: Imprint) -> list[Dataset]:
    """Items that name each instance of the first source, in its order."""
    items = []
    for stub in imprint.heading.stubs[0]:
        item = Dataset()
        item.add(DataElement(0x00081150, "UI", stub.SOPClassUID))
        item.add(DataElement(0x00081155, "UI", stub.SOPInstanceUID))
        items.append(item)
    return items


def _placed(stub: Dataset, frame_number: int | None) -> Dataset:
    """The data set that says where an image or a frame lies."""
    if frame_number is None:
        return stub
    group: Dataset = stub.PerFrameFunctionalGroupsSequence[frame_number - 1]
    placed: Dataset = group.PlanePositionSequence[0]
    return placed


def _order(positions: Float64, orientation: Sequence[float]) -> tuple[int, ...]:
    from highdicom.spatial import VOLUME_INDEX_CONVENTION, get_normal_vector  # noqa: PLC0415  heavy

    normal = get_normal_vector(orientation, index_convention=VOLUME_INDEX_CONVENTION)
    along = positions @ np.asarray(normal)
    if len(np.unique(along)) < len(along):
        raise ValueError("two slices of the source lie at one place")
    return tuple(int(k) for k in np.argsort(along))

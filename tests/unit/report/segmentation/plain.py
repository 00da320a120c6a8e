"""The same segmentations as highdicom writes them by itself: what ours must say, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import MANUFACTURER, Imprint
from dicomnode.report.segmentation.bits import overlap
from dicomnode.report.segmentation.head import describe, identified
from dicomnode.report.uids import ResultUids
from dicomnode.values import Findings
from tests.unit.report.sources import SALT

SERIES_NUMBER = 9000


def imprint_of(found: Findings) -> Imprint:
    return Imprint(found, read_heading(found, "ISO_IR 100"), SALT)


def uids_of(found: Findings, kind: str) -> ResultUids:
    return ResultUids.of(found, SALT, kind, "a test")


def plain_pixels(found: Findings) -> np.ndarray:
    """uint8 labels (planes, rows, columns), or bits (planes, rows, columns, segments) where segments overlap.

    Planes are in the order of the source: instances, or frames by their number.
    """
    masks = [segment.mask for segment in found.segments]
    frames = found.sources[0].frames
    order = sorted(range(len(frames)), key=lambda k: frames[k].frame_number or k)
    if overlap(masks):
        return np.stack([mask.to_array() for mask in masks], axis=-1).astype(np.uint8)[order]
    labels = np.zeros(masks[0].shape_kji, dtype=np.uint8 if len(masks) < 256 else np.uint16)
    for number, mask in enumerate(masks, start=1):
        labels[mask.slices_kji][mask.crop()] = number
    return labels[order] if order != sorted(order) else labels


def plain_sources(imprint: Imprint) -> list[Dataset]:
    """The source images without patient; highdicom takes single-frame images only as a class that has one."""
    grid = imprint.findings.sources[0].grid
    assert grid is not None
    images = []
    for stub in imprint.heading.stubs[0]:
        image = Dataset()
        image.update(stub)
        _, rows, columns = grid.shape_kji
        image.add_new("Rows", "US", rows)
        image.add_new("Columns", "US", columns)
        if "NumberOfFrames" not in image:
            image.add_new("SOPClassUID", "UI", CTImageStorage)
        images.append(image)
    return images


def plain(
    imprint: Imprint,
    uids: ResultUids,
    sources: list[Dataset],
    pixels: np.ndarray,
    *,
    kind: str = "BINARY",
    empty_frames: bool = False,
) -> Dataset:
    """Let highdicom write all segments of the Findings in one object."""
    made_by = imprint.findings.provenance
    segments = coloured(imprint.findings.segments)
    algorithms = {name: identified(name, made_by) for name in {one.algorithm for one in segments}}
    seg = Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues(kind),
        segment_descriptions=[
            describe(number, one, algorithms[one.algorithm]) for number, one in enumerate(segments, start=1)
        ],
        series_instance_uid=uids.series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=made_by.engine,
        software_versions=made_by.engine_digest,
        device_serial_number=imprint.serial_number,
        content_label="LUNG_CT",
        content_description=made_by.title,
        transfer_syntax_uid=ExplicitVRLittleEndian if kind == "BINARY" else RLELossless,
        omit_empty_frames=not empty_frames,
    )
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        seg.BodyPartExamined = body_part
    return seg


def differences(
    ours: Dataset, other: Dataset, path: str = "", apart: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Every element that is in one only or has another VR or value; those named in `apart` may differ."""
    for tag in sorted({*ours.keys(), *other.keys()}):
        if tag not in ours or tag not in other:
            yield f"{path}{tag} only in {'ours' if tag in ours else 'the other'}"
            continue
        one, two = ours[tag], other[tag]
        here = f"{path}{one.keyword}"
        if one.keyword in apart:
            continue
        if one.VR != two.VR or (one.VR == "SQ" and len(one.value) != len(two.value)):
            yield f"{here}: {one.VR} and {two.VR}, or of another number of items"
        elif one.VR == "SQ":
            for n, (mine, its) in enumerate(zip(one.value, two.value, strict=True)):
                yield from differences(mine, its, f"{here}[{n}].", apart)
        elif str(one.value) != str(two.value):
            yield f"{here}: {one.value!r} and {two.value!r}"

"""Objects that annotate synthetic series: our own writers', highdicom's, and some made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.assemble import Stack, read_studies
from dicomnode.assemble.annotations import AnnotationReading, read_annotations
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Annotation, Findings
from tests.unit.report.sources import SALT, Series

FOLDER = "images"
Change = Callable[[Dataset], None]


def write_images(series: Series, folder: Path) -> list[Dataset]:
    """Write the images of a series; return them, k ascending."""
    datasets = series.datasets()
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    for ds in datasets:
        hd_file(ds, target / f"{ds.SOPInstanceUID}.dcm")
    return datasets


def hd_file(ds: Dataset, path: Path) -> Path:
    """Write an object as a Part 10 file, in Explicit VR Little Endian where it does not say."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    return path


def stacks_in(folder: Path) -> list[Stack]:
    """The stacks of all images among and below a folder."""
    return [stack for study in read_studies([folder]).studies for one in study.series for stack in one.stacks]


def read_in(folder: Path, stacks: Sequence[Stack] | None = None) -> AnnotationReading:
    """What annotates the images of a folder."""
    return read_annotations([folder], stacks_in(folder / FOLDER) if stacks is None else stacks)


def the_annotation(folder: Path, stacks: Sequence[Stack] | None = None) -> Annotation:
    """The only annotation of a folder, of which nothing is set aside."""
    reading = read_in(folder, stacks)
    assert not reading.set_aside
    (one,) = reading.annotations
    return one


def refused(folder: Path, stacks: Sequence[Stack] | None = None) -> str:
    """The code of the row by which the only annotation of a folder is set aside."""
    reading = read_in(folder, stacks)
    assert not reading.annotations
    (one,) = reading.set_aside
    assert one.file is not None
    assert "Müller" not in one.text
    assert "PAT-7" not in one.text
    return one.code


def write_results(found: Findings, folder: Path, *kinds: str, **profile: object) -> list[Path]:
    """Write the results of some Findings as the node makes them."""
    paths = []
    for n, one in enumerate(make_objects(found, ReportProfile(kinds=kinds, **profile), SALT)):
        path = folder / f"{one.kind}-{n}.dcm"
        path.write_bytes(one.content)
        paths.append(path)
    return paths


def change(path: Path, edit: Change) -> None:
    """Edit an object in its file."""
    ds = dcmread(path)
    edit(ds)
    ds.save_as(path)


def described(number: int, label: str = "nodule", **more: object) -> hd.seg.SegmentDescription:
    facts: dict[str, object] = {
        "segment_number": number,
        "segment_label": label,
        "segmented_property_category": codes.SCT.MorphologicallyAbnormalStructure,
        "segmented_property_type": codes.SCT.Nodule,
        "algorithm_type": hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    }
    return hd.seg.SegmentDescription(**{**facts, **more})


def by_highdicom(
    images: Sequence[Dataset], array: np.ndarray, kind: str = "BINARY", **more: object
) -> hd.seg.Segmentation:
    """A segmentation of the images as highdicom writes it; array: (k, j, i) or (k, j, i, segment)."""
    count = array.shape[3] if array.ndim == 4 else max(int(array.max()), 1) if kind == "LABELMAP" else 1
    facts: dict[str, object] = {
        "source_images": images,
        "pixel_array": array,
        "segmentation_type": kind,
        "segment_descriptions": [described(n, f"segment {n}") for n in range(1, count + 1)],
        "series_instance_uid": hd.UID(),
        "series_number": 7,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "Somebody",
        "manufacturer_model_name": "Something",
        "software_versions": "1",
        "device_serial_number": "1",
    }
    return hd.seg.Segmentation(**{**facts, **more})


def blob(shape_kji: tuple[int, int, int]) -> np.ndarray:
    """A mask without symmetry that touches no side, with an empty slice within."""
    mask = np.zeros(shape_kji, dtype=bool)
    k, j, i = shape_kji
    mask[1 : k - 2, 2 : j // 2, 3 : i - 4] = True
    mask[k // 2, 2 : j - 3, 4:6] = True
    mask[1, 2, 3] = False
    mask[3] = False
    return mask


def with_segment(found: Findings, mask: object) -> Findings:
    """Findings of one segment with this mask."""
    one = replace(found.segments[2], mask=mask)
    return replace(found, segments=(one,))

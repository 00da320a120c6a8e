"""Pages and documents of Findings as the node finishes them, and their sources' pixels."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.assemble import load_picture, read_studies
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.pages import SourcePixels, build_captures, build_document
from dicomnode.report.uids import ResultUids
from dicomnode.values import Findings, Picture, Source, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.fixtures.pictures import written as written_pictures
from tests.unit.report.sources import MADE_AT, SALT, Series, provenance


def volume_of(series: Series) -> Volume:
    source = series.source()
    return Volume(
        voxels=series.voxels(),
        affine_lps=series.affine,
        unit=HOUNSFIELD,
        frame_of_reference_uid=series.uid("frame of reference"),
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        frames=source.frames,
        headers=source.headers,
    )


def of_volume(series: Series | None = None) -> SourcePixels:
    return SourcePixels((volume_of(series or Series()),))


def read_pictures(folder: Path, *datasets: Dataset, display: bool = True) -> tuple[Picture, ...]:
    """Pictures as the node reads them, in the order of their instance numbers."""
    reading = read_studies(sorted(written_pictures(folder, *datasets).iterdir()))
    stacks = [stack for study in reading.studies for series in study.series for stack in series.stacks]
    pictures = [load_picture(stack, display=display) for stack in stacks]
    return tuple(sorted(pictures, key=lambda one: one.sources[0].sop_instance_uid))


def on_pictures(pictures: Sequence[Picture], **facts: object) -> Findings:
    sources = tuple(
        Source(
            name=f"film {n}",
            study_instance_uid=one.study_instance_uid,
            series_instance_uid=one.series_instance_uid,
            grid=one.grid,
            frames=one.sources,
            headers=one.headers,
            plane=one.plane,
        )
        for n, one in enumerate(pictures, start=1)
    )
    given = {"provenance": provenance(), "made_at": MADE_AT, "study_version": 1}
    return Findings(**{"sources": sources, **given, **facts})  # type: ignore[arg-type]


def imprint_of(found: Findings, **more: object) -> Imprint:
    return Imprint(found, read_heading(found, "ISO_IR 100"), SALT, **more)  # type: ignore[arg-type]


def captures(found: Findings, pixels: SourcePixels | None, **more: object) -> tuple[bytes, ...]:
    """Finished captures, as `make` finishes what writers build."""
    imprint = imprint_of(found, **more)
    uids = ResultUids.of(found, SALT, "SC", "pages")
    made = build_captures(imprint, uids, 9002, pixels)
    for one in made:
        apply_identity(one, imprint, uids, "SC")
    return tuple(to_bytes(one) for one in made)


def document(
    found: Findings, pixels: SourcePixels | None, sources: Sequence[Dataset] = (), **more: object
) -> bytes:
    """The finished document."""
    imprint = imprint_of(found, **more)
    uids = ResultUids.of(found, SALT, "PDF", "document")
    (made,) = build_document(imprint, uids, 9003, pixels, sources)
    apply_identity(made, imprint, uids, "PDF")
    return to_bytes(made)


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


def page_pixels(content: bytes) -> np.ndarray:
    return read(content).pixel_array

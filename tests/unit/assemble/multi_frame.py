"""Multi-frame objects whose frames are known by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import quiet
from dicomnode.values import SetAside
from tests.unit.assemble.series import Series, write_all

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
NM = "1.2.840.10008.5.1.4.1.1.20"


def item(**values) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def whole(sop_class: str, frames: int, syntax=ExplicitVRLittleEndian, **tags) -> Dataset:
    """An object of so many frames, without any word of where they lie. Frame n has the value n everywhere."""
    ds = Series(syntax=syntax).datasets()[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "SliceThickness",
    ):
        del ds[keyword]
    ds.NumberOfFrames = frames
    pixels = np.arange(1, frames + 1, dtype="<i2")[:, None, None] * np.ones(
        (ds.Rows, ds.Columns), dtype="<i2"
    )
    ds.PixelData = pixels.astype("<i2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(
    positions,
    *,
    sop_class: str = ENHANCED_MR,
    shared=None,
    frames=None,
    syntax=ExplicitVRLittleEndian,
    **tags,
) -> Dataset:
    """An axial enhanced object with a frame at each z. shared, frames: groups beside those of geometry."""
    ds = whole(sop_class, len(positions), syntax, **tags)
    ds.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.9], SliceThickness=3)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelValueTransformationSequence=[
                item(RescaleSlope=2, RescaleIntercept=-5, RescaleType="US"),
            ],
            **(shared or {}),
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-10.5, 20.25, z])],
            **(frames[n] if frames else {}),
        )
        for n, z in enumerate(positions)
    ]
    return ds


def headers_of(ds: Dataset, folder: Path) -> tuple[Header, ...]:
    with quiet():
        read = read_headers(write_all([ds], folder)[0])
    assert not isinstance(read, SetAside), read
    return read

"""The images of a case as DICOM files: the slices of its series, or its picture or cine."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.learn.generate.drawn import Drawing, DrawnPicture
from dicomnode.learn.generate.marks import PHANTOM, Plan, Words, mark, mark_image
from dicomnode.learn.generate.plan import Case
from dicomnode.phantom import write_series
from dicomnode.phantom.series import save

_FRAME_TIME: Final = 0x00181063


def write_images(
    plan: Plan, case: Case, drawing: Drawing, folder: Path, words: Words = PHANTOM
) -> list[Dataset]:
    """Write the images and give the headers of the first series, k ascending, or of the picture.

    Raises OSError as it comes.
    """
    if drawing.picture is not None:
        return [_write_picture(plan, case, drawing.picture, folder, words)]
    assert drawing.grid is not None
    edit = partial(_mark_slices, plan, case, words)
    written = [
        write_series(one.voxels, drawing.grid, folder, seed=plan.seed, form=one.form, edit=edit)
        for one in drawing.series
    ]
    return [dcmread(path, stop_before_pixels=True) for path in written[0]]


def _mark_slices(plan: Plan, case: Case, words: Words, header: Dataset) -> None:
    mark(header, plan, case, words)
    mark_image(header, words)
    header.SeriesInstanceUID = plan.uid("series", str(case.number), str(header.SeriesNumber))


def _write_picture(plan: Plan, case: Case, picture: DrawnPicture, folder: Path, words: Words) -> Dataset:
    image = Dataset()
    image.SOPClassUID, image.Modality = picture.sop_class_uid, picture.modality
    image.SeriesDescription, image.SeriesNumber, image.InstanceNumber = picture.description, 2, 1
    image.AcquisitionNumber = 1
    for keyword, value in picture.attributes.items():
        setattr(image, keyword, value)
    mark(image, plan, case, words)
    mark_image(image, words)
    image.ImageType = picture.attributes.get("ImageType", image.ImageType)
    image.SeriesInstanceUID = plan.uid("series", str(case.number), "2")
    image.SOPInstanceUID = plan.uid("instance", str(case.number))
    _add_format(image, picture)
    folder.mkdir(parents=True, exist_ok=True)
    name = sha256(image.SOPInstanceUID.encode()).hexdigest()[:12]
    pixels = picture.pixels if len(picture.pixels) > 1 else picture.pixels[0]
    save(image, pixels, ExplicitVRLittleEndian, folder / f"IM{name}.dcm")
    del image.PixelData
    return image


def _add_format(image: Dataset, picture: DrawnPicture) -> None:
    """Say how the pixels are encoded (PS3.3 C.7.6.3), and when the frames were (C.7.6.5)."""
    frames, image.Rows, image.Columns, image.SamplesPerPixel = picture.pixels.shape
    image.PhotometricInterpretation = "RGB" if image.SamplesPerPixel > 1 else "MONOCHROME2"
    if image.SamplesPerPixel > 1:
        image.PlanarConfiguration = 0
    image.BitsAllocated = 8 * picture.pixels.dtype.itemsize
    image.BitsStored = 8 if image.BitsAllocated == 8 else 12
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    if picture.frame_ms is not None:
        image.NumberOfFrames = frames
        image.FrameIncrementPointer = _FRAME_TIME
        image.FrameTime = f"{picture.frame_ms:g}"

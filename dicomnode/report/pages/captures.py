"""The pages as colour Secondary Captures (PS3.3 A.8.1), which every archive keeps and every viewer shows.

RGB of 8 bits, not compressed: whoever has little takes this. They lie in no Frame of Reference, and no viewer
measures on them. Burned In Annotation (C.7.6.1) is NO, since nothing that is written identifies the patient
or says when the images were acquired: neither name nor ID, date, or accession number is on any page. Pictures
are another matter: what their own headers say of them holds for the pages that show them, and where they say
nothing, nothing is said (it is Type 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicomnode.report import concepts as c
from dicomnode.report.frame_references import reference_to
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.pages.layout import Page, pages_of
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.pages.shown import Shown, said_of_images
from dicomnode.report.uids import ResultUids

_LOSSY: Final = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_ABOUT_IMAGES: Final = ("BurnedInAnnotation", "RecognizableVisualFeatures")


def build_captures(
    imprint: Imprint, uids: ResultUids, series_number: int, pixels: SourcePixels | None
) -> tuple[Dataset, ...]:
    """Write the pages as instances of one series, in their order; there is always a summary.

    pixels: None where they are not at hand; then there is text alone. Raises ValueError for those of others.
    """
    if pixels is not None:
        pixels.check(imprint.findings)
    pages = pages_of(imprint, pixels)
    return tuple(
        _capture(imprint, page, number, len(pages), _series(uids, series_number, number))
        for number, page in enumerate(pages, start=1)
    )


def _series(uids: ResultUids, series_number: int, number: int) -> Dataset:
    """The attributes that place an instance in its series."""
    ds = Dataset()
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = uids.inside(f"instance {number}")
    ds.SeriesInstanceUID = uids.series
    ds.SeriesNumber, ds.InstanceNumber = series_number, number
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _capture(imprint: Imprint, page: Page, number: int, of: int, ds: Dataset) -> Dataset:
    ds.Modality = "OT"  # of the page; to sort it among CT images would open it as one
    ds.ConversionType = "WSD"
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        ds.BodyPartExamined = body_part
    else:
        ds.Laterality = ""  # Type 2C: without the part of the body, whether it is paired is unknown
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.DerivationDescription = f"{page.description}: page {number} of {of}"
    ds.PatientOrientation = ""
    _set_picture(ds, imprint, page.single)
    if page.shows:
        ds.SourceImageSequence = [_source(imprint, page, shown) for shown in _distinct(page.shows)]
        for keyword in _LOSSY:
            if keyword in (stub := imprint.heading.stubs[0][0]):
                ds[keyword] = stub[keyword]
    for keyword in _ABOUT_IMAGES:
        if said := said_of_images(imprint.findings, keyword, page.shows):
            setattr(ds, keyword, said)
    pixels = page.sheet.finished(number, of)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = pixels.shape
    ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def _set_picture(ds: Dataset, imprint: Imprint, single: Shown | None) -> None:
    """Say how the patient lies on a page that is one picture; of several, there is no one answer."""
    plane = imprint.findings.sources[single.source].plane if single is not None else None
    if plane is None:
        return
    if plane.toward is not None:
        ds.PatientOrientation = list(plane.toward)
    # Beside Laterality of the series it may not stand (C.7.3.1)
    if plane.laterality is not None and "Laterality" not in ds:
        ds.ImageLaterality = plane.laterality


def _source(imprint: Imprint, page: Page, shown: Shown) -> Dataset:
    sop_class, uid, numbers = reference_to(imprint, shown.frame, shown.source)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    if numbers is not None:
        item.ReferencedFrameNumber = numbers
    item.PurposeOfReferenceCodeSequence = [
        c.code_item(c.SOURCE_FOR_MONTAGE if page.is_montage else c.SOURCE_IMAGE)
    ]
    return item


def _distinct(shows: Iterable[Shown]) -> list[Shown]:
    return list(dict.fromkeys(shows))

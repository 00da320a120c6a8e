"""The pages as a document (Encapsulated PDF, PS3.3 A.45.1): to be searched, printed, and sent along.

Nothing in it names the patient or says when the images were acquired: it is identified by the DICOM header
that it travels in. So Burned In Annotation (C.24.2) is NO, unless a picture in it says otherwise of itself,
or does not say what it has: the attribute has no third answer here.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from dicomnode.report import concepts as c
from dicomnode.report.frame_references import reference_to
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.pages.document_pdf import Document, document_of
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.pages.shown import said_of_images
from dicomnode.report.uids import ResultUids

_TITLE_MAX = 1024  # ST, PS3.5 6.2


def build_document(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    pixels: SourcePixels | None,
    sources: Sequence[Dataset] = (),
) -> tuple[Dataset, ...]:
    """Write the document, always one.

    pixels: None where they are not at hand; then there are no pictures in it. sources: other results that it
    stands beside, the structured report above all. Raises ValueError for pixels of other images.
    """
    if pixels is not None:
        pixels.check(imprint.findings)
    document = document_of(imprint, pixels)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = EncapsulatedPDFStorage
    ds.SOPInstanceUID, ds.SeriesInstanceUID = uids.instance, uids.series
    ds.SeriesNumber, ds.InstanceNumber = series_number, 1
    ds.Modality, ds.ConversionType = "DOC", "WSD"
    ds.AcquisitionDateTime = ""  # of the document's data: whatever is known stands in the images
    ds.BurnedInAnnotation = said_of_images(imprint.findings, "BurnedInAnnotation", document.shows) or "YES"
    if said := said_of_images(imprint.findings, "RecognizableVisualFeatures", document.shows):
        ds.RecognizableVisualFeatures = said
    made_by = imprint.findings.provenance
    ds.DocumentTitle = f"{made_by.title}: {made_by.engine} {made_by.version}"[:_TITLE_MAX]
    ds.ConceptNameCodeSequence = [c.code_item(c.MEASUREMENT_REPORT)]
    ds.VerificationFlag = "UNVERIFIED"
    ds.SourceInstanceSequence = [*map(_beside, sources), *_images(imprint, document)]
    _set_content(ds, document.content)
    return (ds,)


def _set_content(ds: Dataset, content: bytes) -> None:
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(content)
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)


def _beside(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def _images(imprint: Imprint, document: Document) -> list[Dataset]:
    """The images that it shows; where it shows none, the first that was looked at (it is Type 1C)."""
    references = {
        (sop_class, uid): None
        for shown in document.shows
        for sop_class, uid, _ in [reference_to(imprint, shown.frame, shown.source)]
    }
    if not references:
        sop_class, uid, _ = reference_to(imprint, 0)
        references[sop_class, uid] = None
    items = []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        items.append(item)
    return items

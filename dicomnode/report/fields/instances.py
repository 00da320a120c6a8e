"""What maps and derived images have in common: a blank instance, and the words on how it came to be."""

from __future__ import annotations

import re
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.report.concepts import code_item
from dicomnode.report.heading.identity import FOR_A_LOOK, Imprint, mark_of
from dicomnode.report.uids import ResultUids
from dicomnode.values import Code

_ST_MAX: Final = 1024  # characters of an ST, PS3.5 6.2
_CS_MAX: Final = 16


def blank_instance(
    imprint: Imprint, uids: ResultUids, place: tuple[int, int], sop_class_uid: str, modality: str
) -> Dataset:
    """Make an instance without content. place: Series Number, and Instance Number (from 1) within the series.

    Patient, study, dates and equipment are set with the identity.
    """
    series_number, number = place
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class_uid, uids.inside(f"instance {number}")
    instance.Modality = modality
    instance.SeriesNumber, instance.InstanceNumber = series_number, number
    grid = imprint.findings.sources[0].grid
    if grid is not None:
        instance.FrameOfReferenceUID = grid.frame_of_reference_uid
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        instance.BodyPartExamined = body_part
    return instance


def set_lossy(instance: Dataset, imprint: Imprint) -> None:
    """Say that the source was compressed with loss (PS3.3 C.7.6.1.1.5): what is made of it stays so."""
    for element in imprint.heading.stubs[0][0]:
        if element.keyword.startswith("LossyImageCompression"):
            instance[element.tag] = element


def set_derivation(instance: Dataset, imprint: Imprint, what: str, how: Code | None) -> None:
    """Say what was done and by what, and that nobody may take it for an image of a scanner.

    what: in words. how: the same as a code (CID 7203) where there is one.
    """
    made_by = imprint.findings.provenance
    by = f"{made_by.engine} {made_by.version}, {made_by.runtime}, {made_by.precision}"
    instance.DerivationDescription = f"{what}, by {by}"[:_ST_MAX]
    if how is not None:
        instance.DerivationCodeSequence = [code_item(how)]
    # SOP Common (PS3.3 C.12.1): nothing that an engine made of an image is a product that was cleared
    instance.ContentQualification = "RESEARCH"


def spoken(imprint: Imprint, *sentences: str) -> str:
    """Sentences for people, with what it may be used for at the end."""
    look = (FOR_A_LOOK,) if imprint.for_a_look else ()
    return " ".join(one for one in (*look, *sentences, mark_of(imprint.findings)) if one)


def label_word(label: str, otherwise: str) -> str:
    """A label as a CS: "LUNG_CT" of "lung-ct"."""
    return re.sub(r"[^A-Z0-9 ]", "_", label.upper())[:_CS_MAX].strip() or otherwise

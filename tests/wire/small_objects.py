"""Small DICOM objects, made on the spot."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
STUDY = "1.2.826.0.1.3680043.10.1.7"


def write_object(
    path: Path,
    number: int,
    *,
    sop_class: str = CT,
    syntax: str = EXPLICIT_LE,
    pixels: bytes = bytes(32 * 32 * 2),
    **values: object,
) -> Path:
    """Write an instance of the study with the number `number`; values: attributes by keyword, in addition."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = f"{STUDY}.1.{number}"
    data.StudyInstanceUID = STUDY
    data.SeriesInstanceUID = f"{STUDY}.1"
    data.PatientName = "Иванов^Пётр"
    data.PatientID = "P1"
    data.Modality = "CT"
    data.StudyDate = "20260102"
    data.StudyTime = "101112"
    data.AccessionNumber = "A1"
    data.StudyID = "1"
    data.SeriesNumber = 1
    data.InstanceNumber = number
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "39607008", "SCT", "Lung"
    data.AnatomicRegionSequence = Sequence([code])
    data.Rows = data.Columns = 32
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 1
    data.SmallestImagePixelValue = -5  # VR "US or SS": decided by Pixel Representation
    data.RescaleSlope, data.RescaleIntercept = "1.50", "-1024"
    data.PixelData = pixels
    for keyword, value in values.items():
        setattr(data, keyword, value)
    data["PixelData"].VR = "OB" if pixels[:4] == b"\xfe\xff\x00\xe0" else "OW"  # encapsulated: PS3.5 A.4
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    if UID(syntax).is_compressed and not UID(syntax).is_deflated:
        data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    return path


def write_objects(folder: Path, count: int) -> list[Path]:
    """Write `count` CT instances of one series."""
    return [write_object(folder / f"{n:03}.dcm", n) for n in range(1, count + 1)]

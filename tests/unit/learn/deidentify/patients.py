"""Studies of a patient who never was: small series whose headers tell all that headers can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset, Sequence

from dicomnode.learn.deidentify import ExportKey, Options, export_files
from dicomnode.learn.deidentify.writing import Exported, Order, files_below
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.values import Grid, derive_uid

KEY = ExportKey(secret=bytes(range(32)))
SECRETS = (
    "Quixbury",
    "Zephyrine",
    "MRN-90210-X",
    "ACC7788991",
    "Saint Elsewhere",
    "Drumlanrig",
    "19471231",
    "555-0123-9876",
    "Hattersley",
)
"""What no byte of an export may hold."""


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def tell_all(header: Dataset) -> None:
    """Give a header names, IDs, dates and places: at the top, in items, private elements, drawings."""
    header.PatientName = "Quixbury^Zephyrine"
    header.PatientID = "MRN-90210-X"
    header.PatientBirthDate = "19471231"
    header.PatientAge, header.PatientSex, header.PatientWeight = "093Y", "F", "61"
    header.PatientTelephoneNumbers = "555-0123-9876"
    header.AccessionNumber = "ACC7788991"
    header.InstitutionName = "Saint Elsewhere"
    header.ReferringPhysicianName = "Drumlanrig^Ann"
    header.StudyDescription = "CT chest of Zephyrine Quixbury"
    header.SeriesDescription = "Lung 5mm Drumlanrig"
    header.StudyDate, header.SeriesDate = "20240115", "20240115"
    header.AcquisitionDateTime = "20240115083000.123456+0900"
    header.OperatorsName = "Hattersley^Bob"
    header.SequenceVariant = None
    header.RequestAttributesSequence = Sequence([item(RequestedProcedureDescription="For Quixbury")])
    header.AnatomicRegionSequence = Sequence(
        [
            item(
                CodeValue="39607008",
                CodingSchemeDesignator="SCT",
                CodeMeaning="Lung",
                AnatomicRegionModifierSequence=Sequence(
                    [item(OperatorsName="Hattersley^Bob", PatientComments="Quixbury came by bus")]
                ),
            )
        ]
    )
    block = header.private_block(0x0029, "ACME 1.1", create=True)
    block.add_new(0x01, "LO", "Quixbury^Zephyrine")
    block.add_new(0x02, "UN", b"MRN-90210-X")
    header.add_new(0x60000010, "US", 8)
    header.add_new(0x60000011, "US", 8)
    header.add_new(0x60003000, "OB", b"Quixbury")
    header.add_new(0x60004000, "LT", "Quixbury")
    header.add_new(0x50003000, "OB", b"Quixbury")


def write_ct(
    folder: Path,
    seed: int = 1,
    edit: Callable[[Dataset], None] = tell_all,
    form: SeriesForm | None = None,
    size: int = 8,
) -> list[Path]:
    """Write three slices of size × size pixels; seed: another study."""
    grid = Grid((3, size, size), np.diag([1.0, 1.0, 1.0, 1.0]), derive_uid(b"patient", str(seed)))
    voxels = np.arange(3.0 * size**2).reshape(3, size, size) % 1000
    return write_series(voxels, grid, folder / f"study-{seed}", seed=seed, edit=edit, form=form)


def write_picture(folder: Path, edit: Callable[[Dataset], None], *, samples: int = 1) -> Path:
    """Write one CT slice made over into another kind of image, all pixels 7."""
    path = write_ct(folder, edit=lambda header: None)[0]
    dataset = pydicom.dcmread(path)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.SamplesPerPixel = samples
    if samples == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.PixelData = bytes([7]) * 64 * samples
    dataset["PixelData"].VR = "OB"
    del dataset.BurnedInAnnotation
    edit(dataset)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path, enforce_file_format=True)
    for other in set(path.parent.iterdir()) - {path}:
        other.unlink()
    return path


def exported(data: Path, out: Path, **given: object) -> Exported:
    order = {"key": KEY, "options": Options(), **given}
    files = files_below([data], sorted(path for path in data.rglob("*.dcm")))
    return export_files(Order(files=tuple(files), out=out, **order))


def written(out: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(out.rglob("*.dcm"))]

"""Series of images whose grid is known by construction."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.values import SetAside

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"

# Row direction, column direction
PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "axial, feet first": ((-1, 0, 0), (0, 1, 0)),
    "axial, prone": ((-1, 0, 0), (0, -1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "oblique": ((0.8, 0.36, -0.48), (0.0, 0.8, 0.6)),
}


def affine_of(row, column, spacing_kji=(2.5, 0.7, 0.9), origin=(-123.4, 56.7, -890.1)):
    """Return index (i, j, k) → LPS mm of a right-handed grid; spacing is between slices, rows, columns."""
    row, column = np.array(row, float), np.array(column, float)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing_kji[2]
    affine[:3, 1] = column * spacing_kji[1]
    affine[:3, 2] = np.cross(row, column) * spacing_kji[0]
    affine[:3, 3] = origin
    return affine


def phantom(shape_kji=(6, 9, 7)):
    """Return stored values int16 (k, j, i), another one for each index, no two axes alike."""
    k, j, i = np.indices(shape_kji)
    return (400 * k + 20 * j * j + 3 * i - 500).astype(np.int16)


@dataclass(frozen=True)
class Series:
    """What a series is made from."""

    affine: np.ndarray = field(default_factory=lambda: affine_of(*PLANES["axial"]))
    stored: np.ndarray = field(default_factory=phantom)
    sop_class: str = CT
    syntax: str = ExplicitVRLittleEndian
    slope: float = 1.0
    intercept: float = -24.0
    number: int = 1  # makes the UIDs
    tags: dict = field(default_factory=dict)

    def with_(self, **changes) -> Series:
        return replace(self, **changes)

    def uid(self, k: int) -> str:
        return f"1.2.826.0.1.3680043.10.1.{self.number}.3.{k + 1}"

    def datasets(self) -> list[Dataset]:
        """Return one data set a slice, k ascending; pixels native, in the byte order of `syntax`."""
        return [self._dataset(k) for k in range(len(self.stored))]

    def _dataset(self, k: int) -> Dataset:
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        spacing_i, spacing_j, _ = np.linalg.norm(self.affine[:3, :3], axis=0)
        position = self.affine[:3, 3] + k * self.affine[:3, 2]
        root = f"1.2.826.0.1.3680043.10.1.{self.number}"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = self.sop_class
        meta.MediaStorageSOPInstanceUID = self.uid(k)
        meta.TransferSyntaxUID = self.syntax
        ds = Dataset()
        ds.file_meta = meta
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID = self.sop_class
        ds.SOPInstanceUID = self.uid(k)
        ds.StudyDate = "20260101"
        ds.Modality = "CT" if self.sop_class == CT else "MR"
        ds.Manufacturer = "Phantom"
        ds.SeriesDescription = "generated"
        ds.PatientName = "Phantöm^Näme"
        ds.PatientID = f"PHANTOM-{self.number}"
        ds.PatientBirthDate = ""
        ds.PatientSex = ""
        ds.BodyPartExamined = "CHEST"
        ds.SliceThickness = DSfloat(9.87, auto_format=True)  # never to be used
        ds.StudyInstanceUID = f"{root}.1"
        ds.SeriesInstanceUID = f"{root}.2"
        ds.InstanceNumber = k + 1
        ds.ImagePositionPatient = _decimals(position)
        ds.ImageOrientationPatient = _decimals([*directions[:, 0], *directions[:, 1]])
        ds.FrameOfReferenceUID = f"{root}.4"
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows, ds.Columns = self.stored.shape[1:]
        ds.PixelSpacing = _decimals([spacing_j, spacing_i])  # between rows first
        ds.BitsAllocated = 16
        ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        if self.sop_class == CT or self.slope != 1.0:
            ds.RescaleIntercept = DSfloat(self.intercept, auto_format=True)
            ds.RescaleSlope = DSfloat(self.slope, auto_format=True)
        big = self.syntax == "1.2.840.10008.1.2.2"
        ds.PixelData = self.stored[k].astype(">i2" if big else "<i2").tobytes()
        ds["PixelData"].VR = "OW"
        for keyword, value in self.tags.items():
            setattr(ds, keyword, value)
        return ds

    def write(self, folder: Path, order=None) -> list[Path]:
        """Write the slices; `order` says which slice gets which file name."""
        datasets = self.datasets()
        names = order if order is not None else range(len(datasets))
        return write_all([datasets[k] for k in names], folder)

    def headers(self) -> list[Header]:
        """Return the records of the slices without files (pure decisions need none)."""
        return [record_of(ds) for ds in self.datasets()]


def write_all(datasets, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, ds in enumerate(datasets):
        path = folder / f"{n:04d}.dcm"
        dcmwrite(path, ds, enforce_file_format=True)
        paths.append(path)
    return paths


def record_of(ds: Dataset) -> Header:
    """Return the record of a data set as the reader makes it from a file."""
    with tempfile.TemporaryDirectory() as folder:
        return header_of(write_all([ds], Path(folder))[0])


def header_of(path: Path) -> Header:
    """Return the record of a file of one image. Call it within `quiet()` for files of others."""
    read = read_headers(path)
    assert not isinstance(read, SetAside), read
    (header,) = read
    return header


def _decimals(numbers) -> list[DSfloat]:
    return [DSfloat(float(number), auto_format=True) for number in numbers]

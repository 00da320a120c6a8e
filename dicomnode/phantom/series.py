"""Writes a volume as a series of single-frame images: any grid, any order, any syntax that the node reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicomnode.phantom.header import SALT, SeriesForm, decimals, normal, series_header
from dicomnode.values import Grid, derive_uid
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_TWELVE_BITS: Final = 1 << 12


def write_series(
    voxels: NDArray[np.generic],
    grid: Grid,
    folder: Path,
    *,
    seed: int,
    form: SeriesForm | None = None,
    edit: Callable[[Dataset], None] | None = None,
) -> list[Path]:
    """Write one file a slice and return their paths, k ascending.

    voxels: (k, j, i), HU for CT; rounded to what the stored integers hold. grid: any, also sheared or with k
    against the normal. folder: made if it is not there; file names say nothing of the order. edit: changes
    what all images share (patient, study, series) before they are written; its UIDs are the ones that hold.
    The same arguments give the same bytes; UIDs follow from the seed and the form, not from the voxels.
    Raises ValueError when shape and grid differ or values do not fit into 16 bits; OSError as it comes.
    """
    form = form or SeriesForm()
    if voxels.shape != grid.shape_kji:
        raise ValueError(f"voxels have shape {voxels.shape}, the grid {grid.shape_kji}")
    stored = stored_values(voxels, form)
    header = series_header(grid, form, seed)
    if edit is not None:
        edit(header)
    add_pixel_format(header, stored)
    numbers = instance_numbers(len(stored), form, seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, plane in enumerate(stored):
        image = _image(header, grid, k, numbers[k])
        name = hashlib.sha256(image.SOPInstanceUID.encode()).hexdigest()[:12]
        path = folder / f"IM{name}.dcm"
        save(image, plane, form.transfer_syntax_uid, path)
        paths.append(path)
    return paths


def stored_values(voxels: NDArray[np.generic], form: SeriesForm) -> NDArray[np.uint16] | NDArray[np.int16]:
    """Turn values into what the file stores: unsigned if nothing is negative, else signed."""
    slope, intercept = (form.slope, form.intercept) if form.modality == "CT" else (1.0, 0.0)
    exact = (np.asarray(voxels, dtype=np.float64) - intercept) / slope
    whole = np.rint(exact)
    low, high = float(whole.min()), float(whole.max())
    signed = low < 0
    limits = np.iinfo(np.int16 if signed else np.uint16)
    if not (limits.min <= low and high <= limits.max):  # NaN fails too
        raise ValueError(f"stored values from {low} to {high} do not fit into 16 bits")
    return whole.astype(np.int16) if signed else whole.astype(np.uint16)


def add_pixel_format(header: Dataset, stored: NDArray[np.uint16] | NDArray[np.int16]) -> None:
    """Say how the stored values are encoded (PS3.3 C.7.6.3)."""
    signed = stored.dtype == np.int16
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = 16
    header.BitsStored = 12 if not signed and int(stored.max()) < _TWELVE_BITS else 16
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = int(signed)


def instance_numbers(count: int, form: SeriesForm, seed: int) -> list[int]:
    """Number so many slices, k ascending, in the order of the form."""
    numbers = list(range(1, count + 1))
    if form.instance_order == "reversed":
        numbers.reverse()
    elif form.instance_order == "shuffled":
        numbers = [int(n) for n in np.random.default_rng((seed, count)).permutation(numbers)]
    return numbers


def _image(header: Dataset, grid: Grid, k: int, number: int) -> Dataset:
    image = Dataset(header)
    position = grid.to_lps_mm((k, 0, 0))
    image.SOPInstanceUID = derive_uid(SALT, "instance", header.SeriesInstanceUID, str(k))
    image.InstanceNumber = number
    image.ImagePositionPatient = decimals(position)
    image.SliceLocation = decimals(np.array([normal(grid) @ position]))[0]
    return image


def save(image: Dataset, plane: NDArray[np.generic], transfer_syntax_uid: str, path: Path) -> None:
    """Write an image of one or more frames, encoded as the transfer syntax says."""
    syntax = UID(transfer_syntax_uid)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_encapsulated else syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    image.file_meta = meta
    swap = syntax == ExplicitVRBigEndian
    image.PixelData = plane.astype(plane.dtype.newbyteorder(">" if swap else "<")).tobytes()
    image["PixelData"].VR = "OW"
    if syntax.is_encapsulated:
        image.compress(syntax, generate_instance_uid=False)
    image.save_as(path, enforce_file_format=True)

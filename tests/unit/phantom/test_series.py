"""A written series is valid DICOM, says where it lies, and can be read back to the same volume."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.phantom import SeriesForm, series_uid, study_uid, write_series
from dicomnode.values import Grid, is_valid_uid

_DCIODVFY = Path(sys.executable).parent / "dciodvfy"


def _turn(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    a, b = (n for n in range(3) if n != axis)
    turn[a, a] = turn[b, b] = c
    turn[a, b], turn[b, a] = -s, s
    return turn


ORIENTATIONS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": _turn(20, 0) @ _turn(-35, 1) @ _turn(11, 2),
    "against the normal": np.diag((1, 1, -1)),
    "tilted gantry": np.array([[1, 0, 0], [0, 1, 0.3], [0, 0, 1]]),
}


def _grid(orientation: str, shape: tuple[int, int, int] = (5, 40, 36)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[orientation] * np.array((0.7, 1.3, 2.1))  # i, j, k: pixels are not square
    affine[:3, 3] = (-31.123456789, 17.5, -402.25)
    return Grid(shape, affine, "2.25.77")


def _voxels(shape: tuple[int, int, int] = (5, 40, 36), low: int = -1000) -> np.ndarray:
    return np.random.default_rng(1).integers(low, 2000, shape).astype(np.int16)


def _read(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine as a reader makes them of files in this order."""
    images = [pydicom.dcmread(path) for path in paths]
    voxels = np.stack(
        [
            image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
            for image in images
        ]
    )
    first, last = (np.array(images[n].ImagePositionPatient, dtype=float) for n in (0, -1))
    rows_mm, columns_mm = (float(v) for v in images[0].PixelSpacing)
    orientation = np.array(images[0].ImageOrientationPatient, dtype=float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * columns_mm, orientation[3:] * rows_mm
    affine[:3, 2] = (last - first) / (len(images) - 1)
    affine[:3, 3] = first
    return voxels, affine


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
def test_any_grid_comes_back_with_its_voxels(orientation: str, modality: str, tmp_path: Path) -> None:
    grid = _grid(orientation)
    voxels = _voxels(low=-1000 if modality == "CT" else 0)
    paths = write_series(voxels, grid, tmp_path, seed=3, form=SeriesForm(modality=modality))
    back, affine = _read(paths)
    assert np.array_equal(back, voxels)
    assert np.allclose(affine, grid.affine_lps, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 5)] * 3),
    origin=st.tuples(*[st.floats(-600, 600)] * 3),
)
def test_any_turned_grid_is_told_to_a_hundredth_of_a_millimetre(
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (_turn(angles[0], 0) @ _turn(angles[1], 1) @ _turn(angles[2], 2)) * np.array(spacing)
    affine[:3, 3] = origin
    grid = Grid((3, 4, 5), affine, "2.25.1")
    paths = write_series(np.zeros((3, 4, 5)), grid, tmp_path_factory.mktemp("series"), seed=1)
    assert Grid((3, 4, 5), _read(paths)[1], "2.25.1").same_as(grid, tolerance_mm=0.01)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_every_syntax_holds_the_same_pixels(syntax: str, tmp_path: Path) -> None:
    voxels = _voxels()
    paths = write_series(
        voxels, _grid("axial"), tmp_path, seed=3, form=SeriesForm(transfer_syntax_uid=syntax)
    )
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(_read(paths)[0], voxels)


@pytest.mark.judge
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
def test_dciodvfy_finds_no_error(orientation: str, modality: str, tmp_path: Path) -> None:
    if not _DCIODVFY.exists():
        pytest.skip("dciodvfy is not installed")
    voxels = _voxels(low=0)
    paths = write_series(voxels, _grid(orientation), tmp_path, seed=3, form=SeriesForm(modality=modality))
    judged = subprocess.run([_DCIODVFY, "-new", str(paths[2])], capture_output=True, text=True, check=False)
    verdict = judged.stdout + judged.stderr
    assert "CTImage" in verdict or "MRImage" in verdict
    assert "Error" not in verdict


def test_instance_numbers_follow_the_order_asked_for(tmp_path: Path) -> None:
    numbers = {}
    for order in ("ascending", "reversed", "shuffled"):
        paths = write_series(
            _voxels(), _grid("axial"), tmp_path / order, seed=3, form=SeriesForm(instance_order=order)
        )
        numbers[order] = [int(pydicom.dcmread(path).InstanceNumber) for path in paths]
    assert numbers["ascending"] == [1, 2, 3, 4, 5]
    assert numbers["reversed"] == [5, 4, 3, 2, 1]
    assert sorted(numbers["shuffled"]) == [1, 2, 3, 4, 5]
    assert numbers["shuffled"] not in (numbers["ascending"], numbers["reversed"])


def test_file_names_say_nothing_of_the_order(tmp_path: Path) -> None:
    shape = (12, 8, 8)
    paths = write_series(np.zeros(shape), _grid("axial", shape), tmp_path, seed=3)
    assert sorted(paths) != paths
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_series(_voxels(), _grid("axial"), tmp_path / "a", seed=3)
    second = write_series(_voxels(), _grid("axial"), tmp_path / "b", seed=3)
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_patient_is_plainly_a_phantom(tmp_path: Path) -> None:
    image = pydicom.dcmread(write_series(_voxels(), _grid("axial"), tmp_path, seed=12)[0])
    assert image.PatientName == "PHANTOM^THORAX"
    assert image.PatientID == "DICOMNODE-PHANTOM-12"
    assert image.PatientIdentityRemoved == "YES"
    assert image.QualityControlImage == "YES"
    assert not image.InstitutionName
    assert not image.PatientBirthDate
    assert image.StudyDate == "20250102"
    assert len(image.AccessionNumber) <= 16


def test_uids_tell_studies_series_and_instances_apart(tmp_path: Path) -> None:
    grid = _grid("axial")
    seen: dict[str, set[str]] = {"study": set(), "series": set(), "instance": set()}
    variants = [
        (1, SeriesForm()),
        (1, SeriesForm(series_number=3)),
        (1, SeriesForm(modality="MR", description="x")),
        (2, SeriesForm()),
    ]
    for n, (seed, form) in enumerate(variants):
        for path in write_series(np.zeros(grid.shape_kji), grid, tmp_path / str(n), seed=seed, form=form):
            image = pydicom.dcmread(path)
            assert image.StudyInstanceUID == study_uid(seed)
            assert image.SeriesInstanceUID == series_uid(seed, grid, form)
            assert is_valid_uid(image.SOPInstanceUID)
            assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
            seen["study"].add(image.StudyInstanceUID)
            seen["series"].add(image.SeriesInstanceUID)
            seen["instance"].add(image.SOPInstanceUID)
    assert {name: len(uids) for name, uids in seen.items()} == {"study": 2, "series": 4, "instance": 20}


def test_another_patient_space_is_another_series() -> None:
    grid = _grid("axial")
    other = replace(grid, frame_of_reference_uid="2.25.78")
    assert series_uid(1, grid, SeriesForm()) != series_uid(1, other, SeriesForm())


@pytest.mark.parametrize(
    ("low", "high", "intercept", "stored", "signed"),
    [
        (-1024, 3071, -1024.0, 12, 0),
        (-1024, 3072, -1024.0, 16, 0),
        (-1025, 100, -1024.0, 16, 1),
        (-1000, 3071, 0.0, 16, 1),
    ],
)
def test_bits_stored_fit_the_values(
    low: int, high: int, intercept: float, stored: int, signed: int, tmp_path: Path
) -> None:
    shape = (2, 4, 4)
    voxels = np.zeros(shape, dtype=np.int16)
    voxels[0, 0, :2] = low, high
    paths = write_series(
        voxels, _grid("axial", shape), tmp_path, seed=1, form=SeriesForm(intercept=intercept)
    )
    image = pydicom.dcmread(paths[0])
    assert (image.BitsStored, image.HighBit, image.PixelRepresentation) == (stored, stored - 1, signed)
    assert np.array_equal(_read(paths)[0], voxels)


def test_a_slope_is_undone_by_the_reader(tmp_path: Path) -> None:
    shape = (2, 4, 4)
    voxels = np.arange(32, dtype=np.float32).reshape(shape) * 0.5 - 4
    form = SeriesForm(slope=0.5, intercept=-4.0)
    assert np.array_equal(
        _read(write_series(voxels, _grid("axial", shape), tmp_path, seed=1, form=form))[0], voxels
    )


@pytest.mark.parametrize(
    ("value", "why"), [(1e6, "16 bits"), (float("nan"), "16 bits"), (-4e4, "16 bits")], ids=str
)
def test_values_that_do_not_fit_are_refused(value: float, why: str, tmp_path: Path) -> None:
    voxels = np.zeros((2, 4, 4), dtype=np.float32)
    voxels[0, 0, 0] = value
    with pytest.raises(ValueError, match=why):
        write_series(voxels, _grid("axial", (2, 4, 4)), tmp_path, seed=1)


def test_another_shape_than_the_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_series(np.zeros((2, 4, 5)), _grid("axial", (2, 4, 4)), tmp_path, seed=1)

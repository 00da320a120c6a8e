"""`dicomnode register`: what it writes and says, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.assemble import load_volume, read_studies
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.values import Volume
from tests.unit.analyse import chest
from tests.unit.analyse.test_register import motion, taken_again, volume
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures

pytest.importorskip("SimpleITK")


def header(study: str, patient: str = "P1") -> Callable[[Dataset], None]:
    def edit(image: Dataset) -> None:
        image.StudyInstanceUID, image.SeriesInstanceUID, image.PatientID = study, f"{study}.1", patient

    return edit


def write(one: Volume, folder: Path, study: str, patient: str = "P1") -> Path:
    voxels = np.clip(one.voxels, -1024, 3071)
    write_series(voxels, one.grid, folder, seed=1, form=SeriesForm(), edit=header(study, patient))
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """A chest, the same one turned and shifted, and how."""
    root = tmp_path_factory.mktemp("studies")
    affine = chest.affine()
    affine[:3, :3] *= 2.0
    first = volume(chest.draw()[::2, ::2, ::2], affine, "1.2.3.9")
    moved = motion((4.0, 0.0, -3.0), (12.0, -8.0, 15.0), first.grid)
    later = taken_again(first, moved)
    return write(first, root / "a", "1.2.3.100"), write(later, root / "b", "1.2.3.200"), moved


def test_a_prior_is_laid_over_a_study_and_written_as_dicom(run, studies, tmp_path: Path) -> None:  # noqa: F811
    fixed, moving, moved = studies
    status, out, _ = run("register", fixed, moving, "--out", tmp_path / "out", "--json")
    told = json.loads(out)
    assert (status, told["kind"], told["deformation"]) == (0, "rigid", None)
    assert np.linalg.norm((np.array(told["matrix_lps"]) @ moved - np.eye(4))[:3, 3]) < 3.0
    assert told["error_mm"] < 2.0
    assert told["overlap"] > 0.6
    registration = dcmread(told["registration"])
    assert registration.StudyInstanceUID == "1.2.3.100"
    assert registration.PatientID == "P1"
    (study,) = read_studies([Path(told["moved_folder"])]).studies
    laid = load_volume(study.series[0].stacks[0])
    (study,) = read_studies([fixed]).studies
    own = load_volume(study.series[0].stacks[0])
    assert laid.grid.same_as(own.grid)
    assert laid.frame_of_reference_uid == own.frame_of_reference_uid
    body = own.voxels > -500
    assert np.abs(laid.voxels - own.voxels)[body].mean() < 120  # edges of 6 mm voxels, noise
    assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_deformation_says_how_far_it_bends(run, studies, tmp_path: Path) -> None:  # noqa: F811
    fixed, moving, _ = studies
    status, out, _ = run("register", fixed, moving, "--out", tmp_path / "out", "--kind", "deformable")
    assert status == 0
    assert "bent by at most, mm" in out
    assert "Look at the checkerboard" in out
    (path,) = (tmp_path / "out").glob("reg-*.dcm")
    assert "DeformableRegistrationSequence" in dcmread(path)


def test_series_of_two_patients_are_refused_unless_somebody_knows_better(
    run,  # noqa: F811
    studies,
    tmp_path: Path,
) -> None:
    fixed, moving, _ = studies
    other = tmp_path / "other"
    (study,) = read_studies([moving]).studies
    write(load_volume(study.series[0].stacks[0]), other, "1.2.3.300", patient="P2")
    status, out, _ = run("register", fixed, other, "--out", tmp_path / "out", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "DN-7192")
    assert "P2" not in out
    assert not (tmp_path / "out").exists()
    status, _, _ = run("register", fixed, other, "--out", tmp_path / "out", "--same-patient", "--json")
    assert status == 0


def test_what_is_another_body_is_refused_and_nothing_is_written(run, studies, tmp_path: Path) -> None:  # noqa: F811
    fixed, _, _ = studies
    values = np.random.default_rng(5).normal(40.0, 60.0, (50, 38, 52))
    z, y, x = (axis[::2, ::2, ::2] for axis in np.broadcast_arrays(*chest.axes_mm()))
    affine = chest.affine()
    affine[:3, :3] *= 2.0
    ball = volume(np.where(x**2 + y**2 + z**2 < 90.0**2, values, -1000.0), affine, "1.2.3.8")
    other = write(ball, tmp_path / "ball", "1.2.3.400")
    status, out, _ = run("register", fixed, other, "--out", tmp_path / "out", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "DN-7191")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_series_is_told(run, studies, tmp_path: Path) -> None:  # noqa: F811
    fixed, moving, _ = studies
    arguments = ["register", fixed, moving, "--out", tmp_path / "out", "--json"]
    status, out, _ = run(*arguments, "--moving-series", "1.2.3")
    assert (status, json.loads(out)["error"]["code"]) == (3, "DN-7190")
    assert "--moving-series" in json.loads(out)["error"]["remedy"]
    assert "1.2.3.200.1" in json.loads(out)["error"]["text"]
    both = tmp_path / "both"
    both.symlink_to(fixed.parent)
    status, out, _ = run("register", fixed.parent, moving, "--out", tmp_path / "out", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (3, "DN-7190")
    told = json.loads(out)["error"]["text"]
    assert "2 volumes have" in told
    assert "1.2.3.100.1 (number " in told
    assert "1.2.3.200.1 (number " in told
    status, out, _ = run(*arguments, "--kind", "elastic")
    assert (status, json.loads(out)["error"]["code"]) == (2, "DN-9004")

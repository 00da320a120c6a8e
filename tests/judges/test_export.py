"""De-identified exports before dicom3tools, DCMTK and dcmqi: as valid as what they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

pytest.importorskip("dicomanonymizer")

from dicomnode.learn.deidentify import Options
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.phantom import SeriesForm
from tests.judges import tools
from tests.unit.learn.deidentify.patients import exported, tell_all, write_ct
from tests.unit.report.outlines.finished import written as results
from tests.unit.report.sources import Series, findings, part_10

pytestmark = pytest.mark.judge

OPTIONS = {
    "shifted": Options(),
    "without dates": Options(shift_dates=False),
    "with characteristics": Options(characteristics=True),
}


def objects(folder: Path) -> dict[str, Path]:
    """One file of each kind, by modality."""
    return {str(pydicom.dcmread(path).Modality): path for path in sorted(folder.rglob("*.dcm"))}


def added(before: Path, after: Path) -> list[str]:
    """What dciodvfy holds against an export, and does not against its source."""
    known = tools.dciodvfy(before)
    return [line for line in tools.dciodvfy(after) if line not in known]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with segmentations and reports of their truth."""
    folder = tmp_path_factory.mktemp("export") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=2, seed=1), folder)
    return folder


@pytest.mark.parametrize("taken", OPTIONS)
def test_dciodvfy_finds_nothing_new_in_images_segmentations_and_reports(
    synthetic: Path, tmp_path: Path, taken: str
) -> None:
    assert exported(synthetic, tmp_path / "out", options=OPTIONS[taken]).refused == ()
    before, after = objects(synthetic), objects(tmp_path / "out")
    assert {"SEG", "SR"} < set(before) == set(after)
    for modality, path in after.items():
        assert added(before[modality], path) == [], modality


def test_dciodvfy_finds_nothing_new_in_a_structure_set(tmp_path: Path) -> None:
    source = Series()
    (tmp_path / "data").mkdir()
    (content,) = results("RTSTRUCT", findings(source))
    (tmp_path / "data" / "rtstruct.dcm").write_bytes(content)
    for number, image in enumerate(source.datasets()):
        (tmp_path / "data" / f"{number}.dcm").write_bytes(part_10(image))
    assert exported(tmp_path / "data", tmp_path / "out").refused == ()
    before, after = objects(tmp_path / "data"), objects(tmp_path / "out")
    assert "RTSTRUCT" in after
    for modality, path in after.items():
        assert added(before[modality], path) == [], modality


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_dciodvfy_finds_nothing_new_in_a_ct_whose_header_tells_all(
    tmp_path: Path, syntax: str | None
) -> None:
    form = None if syntax is None else SeriesForm(transfer_syntax_uid=syntax)
    write_ct(tmp_path / "data", edit=tell_all, form=form, size=64)
    assert exported(tmp_path / "data", tmp_path / "out").refused == ()
    before, after = objects(tmp_path / "data"), objects(tmp_path / "out")
    assert added(before["CT"], after["CT"]) == []


def test_dcentvfy_takes_what_was_one_study_for_one_and_dcmqi_reads_the_same_segments(
    synthetic: Path, tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    result = exported(synthetic, tmp_path / "out")
    for uid in result.studies.values():
        paths = [path for path in (tmp_path / "out").rglob("*.dcm") if path.parent.name == uid]
        assert len(paths) > 2
        assert tools.dcentvfy(paths) == []
    counts: list[list[int]] = []
    for name, folder in (("before", synthetic), ("after", tmp_path / "out")):
        counts.append([])
        for number, path in enumerate(folder.rglob("*.dcm")):
            if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SEG":
                made = tmp_path / name / str(number)
                made.mkdir(parents=True)
                tools.run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", made, "-t", "nrrd")
                volumes = [sitk.GetArrayFromImage(sitk.ReadImage(one)) for one in made.glob("*.nrrd")]
                counts[-1] += [int(np.count_nonzero(one)) for one in volumes]
    assert sorted(counts[0]) == sorted(counts[1])
    assert max(counts[0]) > 1000

"""Generated studies before dicom3tools, DCMTK and dcmqi: valid, although nobody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomnode.learn.generate import KINDS, SynthPlan, SynthSet, synth_cases
from tests.judges import tools

pytestmark = pytest.mark.judge

QUICK = [kind for kind in KINDS if kind != "thorax"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SynthSet]:
    """Of every kind one study with something to find, and one without."""
    root = tmp_path_factory.mktemp("synth")
    return {kind: synth_cases(SynthPlan(kind=kind, cases=2, seed=1), root / kind) for kind in QUICK}


def images(made: SynthSet, number: int) -> list[Path]:
    return sorted(made.cases[number].images.iterdir())


@pytest.mark.parametrize("kind", QUICK)
def test_dciodvfy_finds_nothing_in_images_and_truth(kind: str, sets: dict[str, SynthSet]) -> None:
    for number, case in enumerate(sets[kind].cases):
        paths = images(sets[kind], number)
        for path in {paths[0], paths[len(paths) // 2], paths[-1], *case.truth}:
            assert tools.dciodvfy(path) == [], path.name


@pytest.mark.parametrize("kind", QUICK)
def test_dcentvfy_takes_images_and_truth_for_one_study(kind: str, sets: dict[str, SynthSet]) -> None:
    made = sets[kind]
    for number, case in enumerate(made.cases):
        assert tools.dcentvfy([*images(made, number), *case.truth]) == []


@pytest.mark.parametrize("kind", QUICK)
def test_dcmtk_reads_the_report(kind: str, sets: dict[str, SynthSet]) -> None:
    for case in sets[kind].cases:
        assert tools.dsrdump(case.truth[-1]) == []


@pytest.mark.parametrize("kind", ["volumes", "contrasts"])
def test_dcmqi_reads_the_segments_that_were_written(
    kind: str, sets: dict[str, SynthSet], tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    for number, case in enumerate(sets[kind].cases):
        out = tmp_path / f"{number}"
        out.mkdir()
        said = tools.run(
            "segimage2itkimage", "--inputDICOM", case.truth[0], "--outputDirectory", out, "-t", "nrrd"
        )
        assert said.status == 0, said.lines[-5:]
        read = [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in sorted(out.glob("*.nrrd"))]
        counts = sorted(int(np.count_nonzero(one)) for one in read)
        assert counts[-1] > 1000
        assert (len([one for one in counts if one]) > 2) == case.case.sick


@pytest.mark.parametrize("kind", ["photos", "fundus", "mammograms", "ultrasound"])
def test_dcmtk_finds_the_segments_of_a_picture(kind: str, sets: dict[str, SynthSet]) -> None:
    for case in sets[kind].cases:
        said = tools.run("dcmdump", "+P", "NumberOfFrames", "+P", "SegmentNumber", case.truth[0])
        assert said.status == 0
        assert said.starting("(0028,0008)")


@pytest.mark.slow
def test_dciodvfy_finds_nothing_in_a_chest(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="thorax", cases=1, seed=1), tmp_path / "thorax")
    paths = images(made, 0)
    for path in (paths[0], paths[-1], *made.cases[0].truth):
        assert tools.dciodvfy(path) == []

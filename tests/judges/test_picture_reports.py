"""Reports on pictures before dicom3tools and DCMTK."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dicomnode.report import ReportProfile
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.once.trial import WalkPlan, walk
from tests.fixtures.pictures import cine, four_views, photograph, radiograph, written
from tests.judges import tools
from tests.unit.serve.picture_engines import asymmetry, effusion, masses, moles, opacities

pytestmark = pytest.mark.judge

CASES = {
    "boxes on mammograms": (masses, four_views),
    "an outline on a radiograph": (opacities, lambda: [radiograph()]),
    "a class of a photograph": (moles, lambda: [photograph()]),
    "a class of a clip": (effusion, lambda: [cine()]),
    "a number of four views": (asymmetry, four_views),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_report_is_valid(tmp_path, case):
    make, datasets = CASES[case]
    plan = WalkPlan(
        packages=[make(tmp_path / "engine")],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32),
    )
    (study,) = walk([written(tmp_path / "in", *datasets())], plan).studies
    made = [one for result in study.results for one in result.objects]
    assert {one.kind for one in made} == ({"SR", "GSPS"} if make is opacities else {"SR"})
    for one in made:
        path = tmp_path / f"{one.sop_instance_uid}.dcm"
        path.write_bytes(one.content)
        assert tools.dciodvfy(path) == []
        assert one.kind != "SR" or tools.dsrdump(path) == []

"""Rows of the sheet that shows what `prepare` does: the right slice, in its window, with its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.assemble import decode_here
from dicomnode.phantom import write_series
from dicomnode.report import ReportProfile
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.once.preparing import prepared_rows
from dicomnode.serve.once.trial import WalkPlan, walk
from dicomnode.values import no_progress
from tests.fixtures.pictures import cine, four_views, mammogram, photograph, radiograph, written
from tests.unit.analyse.engines import tissue_engine
from tests.unit.serve.picture_engines import asymmetry, effusion, masses, moles, opacities
from tests.unit.serve.test_answers import AT, GRID, spotted


def rows_of(package, *paths, most=12):
    plan = WalkPlan(
        packages=[package],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=AT, salt=b"s" * 32),
    )
    return list(prepared_rows(walk(paths, plan), decode_here, no_progress, most))


def test_the_slice_is_that_of_what_was_found_first_as_it_came_and_after_each_entry(tmp_path):
    prepare = (
        '{ orient = "RPS" }, { resample_mm = [1.0, 1.5, 1.5] }, { window = { centre = 0.0, width = 200.0 } }'
    )
    package = tissue_engine(tmp_path / "e", prepare=prepare, kind="lesion")
    (row,) = rows_of(package, *spotted(tmp_path / "ct"))
    assert row.heading.startswith("e 1.0.0, input ct: slice ")
    titles = [one.title for one in row.pictures]
    assert titles == [
        "as it came",
        "1  orient RPS",
        "2  resample_mm 1, 1.5, 1.5",
        "3  window centre 0; width 200",
    ]
    source, turned, finer, scaled = row.pictures
    assert np.array_equal(turned.plane, source.plane[:, ::-1])
    assert (source.view.letters, turned.view.letters) == (("R", "L", "A", "P"), ("L", "R", "A", "P"))
    assert "voxels of 2 × 1.5 × 1.5 mm" in source.lines
    assert "voxels of 1 × 1.5 × 1.5 mm" in finer.lines
    assert "values -900 to 700 HU" in source.lines
    assert "values 0 to 1" in scaled.lines
    assert source.window == turned.window == finer.window != scaled.window


def test_the_same_place_is_cut_after_each_entry(tmp_path):
    """The bright spot is on the slice that is shown, before and after slices were turned and thinned."""
    package = tissue_engine(
        tmp_path / "e", prepare='{ orient = "LPI" }, { resample_mm = [0.5, 1.5, 1.5] }', kind="lesion"
    )
    (row,) = rows_of(package, *spotted(tmp_path / "ct"))
    bright = [float((one.plane > 0).mean()) for one in row.pictures]
    assert bright[0] > 0.1
    assert bright[1:] == pytest.approx([bright[0]] * 2, abs=0.01)


def test_a_picture_is_shown_turned_with_the_letters_that_it_then_has(tmp_path):
    (row,) = rows_of(masses(tmp_path / "masses"), written(tmp_path / "mg", mammogram("CC", "R")))
    source, turned = row.pictures
    assert turned.title == "1  turned"
    assert np.array_equal(turned.plane, source.plane[:, ::-1])
    assert (source.view.letters[:2], turned.view.letters[:2]) == (("A", "P"), ("P", "A"))
    assert "pixels of 0.08 × 0.08 mm" in turned.lines


def test_a_photograph_in_colour_is_one_row_in_colour(tmp_path):
    rows = rows_of(moles(tmp_path / "moles"), written(tmp_path / "photo", photograph()))
    (row,) = rows
    assert row.pictures[0].plane.shape[-1] == 3
    assert all(one.plane.ndim == 3 for one in row.pictures)


def test_what_cannot_be_prepared_is_a_row_that_says_why(tmp_path):
    package = tissue_engine(tmp_path / "e", prepare="{ resample_mm = [0.001, 0.001, 0.001] }")
    plan_rows = rows_of_failing(package, spotted(tmp_path / "ct"))
    assert len(plan_rows) == 1
    assert plan_rows[0].problem
    assert [one.title for one in plan_rows[0].pictures] == ["as it came"]


def rows_of_failing(package, paths):
    """The walk itself fails where `prepare` does: the sheet is asked for with the walk of another engine."""
    from dataclasses import replace

    plan = WalkPlan(
        packages=[tissue_engine(package.folder.parent / "good")],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=AT, salt=b"s" * 32),
    )
    walked = walk(paths, plan)
    (study,) = walked.studies
    choices = tuple(replace(one, package=package) for one in study.dispatch.choices)
    study = replace(study, dispatch=replace(study.dispatch, choices=choices))
    return list(prepared_rows(replace(walked, studies=(study,)), decode_here, no_progress, 12))


def test_no_more_rows_are_made_than_are_asked_for(tmp_path):
    paths = [
        *spotted(tmp_path / "a"),
        *write_series(np.full(GRID.shape_kji, 300, np.int16), GRID, tmp_path / "b", seed=2),
    ]
    package = tissue_engine(tmp_path / "e")
    assert [", study 2 of 2" in one.heading for one in rows_of(package, *paths)] == [False, True]
    assert len(rows_of(package, *paths, most=1)) == 1


def test_a_picture_with_little_on_it_is_not_black_all_over(tmp_path):
    """A bright square on an even ground: what is not the darkest value is all of one value."""
    (row,) = rows_of(opacities(tmp_path / "opacities"), written(tmp_path / "film", radiograph()))
    assert row.pictures[0].window == (100.0, 3900.0)
    assert "1 × 30 × 36 frames, rows, columns" in row.pictures[0].lines


def test_each_input_of_an_engine_is_a_row(tmp_path):
    rows = rows_of(asymmetry(tmp_path / "asymmetry"), written(tmp_path / "in", *four_views()))
    names = [one.heading.split("input ")[1].split(":")[0] for one in rows]
    assert names == ["lcc", "rcc", "lmlo", "rmlo"]
    assert not any(one.problem for one in rows)
    assert all(len(one.pictures) == 2 for one in rows)


def test_of_a_cine_the_middle_of_the_frames_that_are_taken_is_shown(tmp_path):
    (row,) = rows_of(effusion(tmp_path / "effusion"), written(tmp_path / "in", cine(9)))
    assert row.heading.endswith("frame 3 of 5")
    assert "5 × " in row.pictures[0].lines[2]

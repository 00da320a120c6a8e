"""The sheet of images on their way: each picture in its place, legible, in true proportions."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dicomnode.report.drawing.patient_views import stored_view, views_of
from dicomnode.report.pages.picture_views import turned_view
from dicomnode.report.pages.stages import StagePicture, StageRow, stages_png
from dicomnode.values import Grid, PicturePlane
from tests.unit.analyse.test_pictures import picture_of

GRID = Grid((4, 20, 10), np.diag([2.0, 1.0, 3.0, 1.0]), "1.2.3")


def stage(title: str = "clip", plane: np.ndarray | None = None) -> StagePicture:
    values = np.linspace(0, 1, 200).reshape(20, 10) if plane is None else plane
    lines = ("values 0 to 1", "voxels of 3 × 1 × 2 mm")
    return StagePicture(
        title=title, plane=values, window=(0.0, 1.0), view=stored_view(GRID), has_mm=True, lines=lines
    )


def sheet(*rows: StageRow) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(stages_png(rows))).convert("RGB"))


def test_pictures_of_a_row_stand_side_by_side_four_in_a_line():
    def size(count: int) -> tuple[int, ...]:
        return sheet(StageRow(heading="e, input ct", pictures=(stage(),) * count)).shape[:2]

    assert size(1)[1] < size(2)[1] < size(4)[1] == size(5)[1]
    assert size(4)[0] < size(5)[0] < size(9)[0]


def test_all_of_the_slice_is_shown_in_its_window_from_black_to_white():
    bright = np.zeros((20, 10))
    bright[:, 5:] = 1.0
    made = sheet(StageRow(heading="e", pictures=(replace(stage(), plane=bright),)))
    panel = made[70:300, 20:290].mean(axis=(0, 2))
    assert panel[40] < 30
    assert panel[-40] > 200


def test_colours_are_colours():
    red = np.zeros((20, 10, 3))
    red[..., 0] = 1.0
    made = sheet(StageRow(heading="e", pictures=(replace(stage(), plane=red),)))
    middle = made[150:200, 100:200].reshape(-1, 3).mean(axis=0)
    assert middle[0] > 200 > 60 > middle[1]


def test_a_title_that_is_long_is_broken_and_takes_more_room_and_no_more_than_three_lines():
    def height(title: str) -> int:
        return sheet(StageRow(heading="e", pictures=(stage(title),))).shape[0]

    long = "resample spacing_kji_mm 3 × 1.5 × 1.5, interpolation cubic, align corners"
    assert height("clip") < height(long) <= height(long * 3) == height(long * 9)


def test_a_row_without_a_picture_says_why():
    nothing, told = (sheet(StageRow(heading="e", problem=text)) for text in ("", "It has no spacing."))
    assert told.shape[0] > nothing.shape[0]
    assert told[nothing.shape[0] - 10 :].max() > 200


@pytest.mark.parametrize("turn", ["as it is", "flipped", "swapped"])
def test_letters_go_with_the_array(turn: str):
    picture = picture_of(np.zeros((1, 20, 24, 1), np.uint8), PicturePlane(toward=("P", "F")))
    affine = np.eye(4)
    if turn == "flipped":
        affine[0, 0], affine[0, 3] = -1.0, 23.0
    elif turn == "swapped":
        affine = affine[[1, 0, 2, 3]]
    letters = {
        "as it is": ("A", "P", "H", "F"),
        "flipped": ("P", "A", "H", "F"),
        "swapped": ("H", "F", "A", "P"),
    }
    assert turned_view(picture, Grid((1, 20, 24), affine, "")).letters == letters[turn]


def test_slices_are_shown_as_the_array_has_them_with_the_letters_of_their_edges():
    upside_down = Grid((4, 20, 10), np.diag([-2.0, -1.0, 3.0, 1.0]), "1.2.3")
    assert stored_view(GRID).letters == ("R", "L", "A", "P") == views_of(upside_down)[0].letters
    assert stored_view(upside_down).letters == ("L", "R", "P", "A")
    array = np.arange(800.0).reshape(4, 20, 10)
    assert np.array_equal(stored_view(upside_down).plane(array, 2), array[2])

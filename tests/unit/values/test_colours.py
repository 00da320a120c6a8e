"""CIELab of colours: the published values of the corners of sRGB."""

from __future__ import annotations

import pytest

from dicomnode.values.colours import FIXED, Palette, to_lab


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_the_corners_of_srgb_lie_where_they_are_published(rgb, lab):
    assert to_lab(rgb) == pytest.approx(lab, abs=0.05)


def test_the_fixed_colours_are_each_the_one_farthest_from_those_before_it():
    palette = Palette()
    assert tuple(palette.next(None) for _ in FIXED) == FIXED

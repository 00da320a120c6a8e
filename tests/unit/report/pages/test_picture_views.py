"""Pictures on panels: their grey values, and what becomes of more pixels than a screen has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomnode.report.drawing.panels import Extract, Panel
from dicomnode.report.drawing.patient_views import View
from dicomnode.report.pages import SourcePixels
from dicomnode.report.pages.picture_views import picture_panel, toned
from dicomnode.report.pages.shown import Shown
from dicomnode.values import Mask, Outcome
from tests.fixtures.pictures import cine
from tests.unit.report.pages.paged import imprint_of, on_pictures, read_pictures
from tests.unit.report.sources import findings

_PINK = (255, 0, 255)


def _view(rows: int, columns: int) -> View:
    return View(
        name="picture",
        axes=(1, 2, 0),
        flips=(False, False, False),
        shape=(rows, columns),
        spacing_mm=(1.0, 1.0),
        letters=("", "", "", ""),
    )


def test_fine_lines_of_a_large_picture_become_grey_and_do_not_come_and_go() -> None:
    lines = np.zeros((1200, 1200), dtype=np.uint8)
    lines[:, ::2] = 255
    panel = Panel(_view(1200, 1200), Extract((599.5, 599.5), 0.1, (120, 120)))
    panel.draw_pixels(lines)
    shown = np.asarray(panel.finished().convert("L"))[4:-4, 4:-4].astype(int)
    assert (shown.min() > 110, shown.max() < 145) == (True, True)


def test_a_spot_of_a_large_picture_is_shown_where_it_lies() -> None:
    spot = np.zeros((1201, 1601), dtype=np.uint8)
    spot[280:320, 1180:1220] = 255
    view, extract = _view(1201, 1601), Extract((600.0, 800.0), 0.15, (240, 180))
    panel = Panel(view, extract)
    panel.draw_pixels(spot)
    shown = np.asarray(panel.finished().convert("L")).astype(float)
    rows, columns = np.indices(shown.shape)
    seen = ((columns + 0.5) * shown).sum() / shown.sum(), ((rows + 0.5) * shown).sum() / shown.sum()
    assert seen == pytest.approx(extract.to_pixels(view, (299.5, 1199.5)), abs=0.3)


def test_each_frame_of_a_clip_shows_the_outline_of_that_frame_and_no_other(tmp_path: Path) -> None:
    """Of a square that moves to the right: where it is there is a contour, on a frame without it none."""
    (clip,) = read_pictures(tmp_path, cine())
    mask = np.zeros(clip.grid.shape_kji, dtype=bool)
    for k in (2, 4, 6):
        mask[k, 8:16, 2 * k : 2 * k + 8] = True
    segment = replace(
        findings().segments[2],
        mask=Mask.from_array(mask),
        centre_lps_mm=(10.0, 10.0, 4.0),
        long_axis_lps_mm=None,
        measurements=(),
        colour_rgb=_PINK,
        label="n",
    )
    found = on_pictures((clip,), outcome=Outcome.FINDINGS, segments=(segment,))
    scale = 12
    size = (scale * mask.shape[2], scale * mask.shape[1])
    for k in range(8):
        panel = picture_panel(imprint_of(found), SourcePixels((clip,)), Shown(0, k), size)
        drawn = np.abs(np.asarray(panel).astype(int) - np.array(_PINK)).sum(axis=-1) < 80
        assert drawn.any() == mask[k].any(), k
        if mask[k].any():
            # Its name has neither such rows nor such columns
            rows, columns = (np.flatnonzero(drawn.sum(axis=axis) > 40) for axis in (1, 0))
            assert (rows.min(), rows.max()) == pytest.approx((8 * scale, 16 * scale), abs=5)
            assert (columns.min(), columns.max()) == pytest.approx(
                (2 * k * scale, (2 * k + 8) * scale), abs=5
            )


def test_bytes_and_colours_are_shown_as_they_are() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert np.array_equal(toned(grey), grey[..., 0])
    colours = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert np.array_equal(toned(colours), colours)
    assert np.array_equal(toned(colours.astype(np.uint16) * 257), colours)


def test_what_its_own_window_has_brought_to_a_screen_stays_and_other_values_are_stretched() -> None:
    windowed = np.linspace(0.0, 1.0, 12, dtype=np.float32).reshape(3, 4, 1)
    assert np.array_equal(toned(windowed), (windowed[..., 0] * 255).astype(np.uint8))
    black = windowed / 50  # nothing in the header said how to show it
    assert toned(black).max() > 200
    stored = (windowed * 4000).astype(np.uint16)
    assert (toned(stored).min(), toned(stored).max()) == (0, 255)
    assert toned(np.full((3, 4, 1), 7, dtype=np.uint16)).max() == 0

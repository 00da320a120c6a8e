"""Pictures on panels: their grey values, and what becomes of more pixels than a screen has."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.report.pages.picture_views import toned
from dicomnode.report.panels import Extract, Panel
from dicomnode.report.patient_views import View


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

"""Names of findings on tiles and pictures: all of them where there is room, none cut, none on another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dicomnode.report.pages import SourcePixels
from dicomnode.report.pages.volume_views import montage, montage_slices
from dicomnode.report.pages.words import lesions_of
from dicomnode.values import Findings, Mask, Outcome, Segment
from tests.fixtures.pictures import radiograph
from tests.unit.report.pages.conftest import Written
from tests.unit.report.pages.paged import (
    captures,
    imprint_of,
    of_volume,
    on_pictures,
    page_pixels,
    read,
    read_pictures,
    volume_of,
)
from tests.unit.report.sources import Series, findings, provenance

BIG = Series(shape_kji=(14, 90, 100), spacing_kji_mm=(2.0, 2.0, 2.0))
_EDGE = 3  # pixels of the dark edge around letters


def lesion(number: int, k: int, j: int, i: int, *, shape: tuple[int, int, int], size: int = 5) -> Segment:
    mask = np.zeros(shape, dtype=bool)
    mask[k : k + 1, j : j + size, i : i + size] = True
    return replace(
        findings().segments[2],
        label=f"nodule-{number}",
        mask=Mask.from_array(mask),
        centre_lps_mm=(0.0, 0.0, 0.0),
        long_axis_lps_mm=None,
        measurements=(),
        score=1.0 - number / 100,
    )


def many(count: int, **facts: object) -> Findings:
    """Lesions on one slice, in two rows from edge to edge, and eleven others each on a slice of its own."""
    columns = np.linspace(0, 95, (count + 1) // 2).astype(int)
    places = [(int(columns[n // 2]), 20 + 40 * (n % 2)) for n in range(count)]
    together = [lesion(n, 13, j, i, shape=BIG.shape_kji) for n, (i, j) in enumerate(places, 1)]
    apart = [lesion(count + k, k, 40, 5 * k, shape=BIG.shape_kji) for k in range(1, 12)]
    return findings(BIG, segments=(*together, *apart), **facts)


def tiles_of(found: Findings, written: Written, height: int = 844) -> tuple[list, dict]:
    """Texts of each tile of a montage, and what they leave unnamed."""
    imprint = imprint_of(found)
    made = montage(imprint, volume_of(BIG), montage_slices(imprint, lesions_of(found)), height)
    tiles: dict[int, list] = {}
    for tile, size, text, box, _ in written.all:
        tiles.setdefault(tile, []).append((text, box, size))
    return list(tiles.values()), dict(made.unnamed)


def check(tiles: list) -> None:
    for texts in tiles:
        for text, (left, top, right, bottom), (width, height) in texts:
            assert (left >= 0, top >= 0, right <= width, bottom <= height) == (True,) * 4, text
        for (one, a, _), (other, b, _) in combinations(texts, 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart or not one or not other, (one, other)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_every_lesion_is_named_on_every_tile_that_shows_it(count: int, written: Written) -> None:
    tiles, unnamed = tiles_of(many(count), written)
    check(tiles)
    assert unnamed == {}
    (crowded,) = (texts for texts in tiles if "image 14" in [text for text, *_ in texts])
    assert {f"nodule-{n}" for n in range(1, count + 1)} <= {text for text, *_ in crowded}
    assert len(tiles) == 12
    assert all(any(text.startswith("nodule-") for text, *_ in texts) for texts in tiles)


def test_where_a_tile_cannot_hold_all_names_it_has_the_surest_and_says_how_many_more(
    written: Written,
) -> None:
    tiles, unnamed = tiles_of(many(40), written)
    check(tiles)
    (crowded,) = (texts for texts in tiles if "image 14" in [text for text, *_ in texts])
    told = [text for text, *_ in crowded]
    named = {text for text in told if text.startswith("nodule-")}
    assert set(unnamed["image 14"]) == {f"nodule-{n}" for n in range(1, 41)} - named
    assert f"+ {len(unnamed['image 14'])} more" in told
    assert "nodule-1" in named
    assert len(named) >= 10


def test_the_page_names_those_that_its_tiles_do_not(written: Written) -> None:
    captures(many(30), of_volume(BIG))
    told = " ".join(text for _, text, _, _ in written.on_pages())
    assert "Not named here, but in the table of findings: nodule-" in told
    assert "nodule-30 (image 14)." in told


@pytest.mark.parametrize(
    ("count", "size"), [(1, (1232, 836)), (3, (612, 414)), (6, (405, 414)), (12, (302, 273))]
)
def test_few_key_images_are_larger(count: int, size: tuple[int, int]) -> None:
    found = findings(BIG, segments=tuple(lesion(k, k, 40, 5 * k, shape=BIG.shape_kji) for k in range(count)))
    imprint = imprint_of(found)
    made = montage(imprint, volume_of(BIG), montage_slices(imprint, found.segments), 844)
    assert {tile.size for row in made.rows for tile in row} == {size}
    assert sum(map(len, made.rows)) == count


def test_key_images_leave_the_foot_free_however_much_it_says() -> None:
    found = many(1, provenance=provenance(use="Only for what it was made for, and for nothing else. " * 6))
    summary, *others = captures(found, of_volume(BIG))
    (key_images,) = (one for one in others if read(one).DerivationDescription.startswith("Montage"))
    feet = [page_pixels(one)[900:] for one in (summary, key_images)]
    marks = [(one == np.array([255, 196, 70])).all(axis=-1) for one in feet]
    assert marks[0].sum() > 1000
    assert np.array_equal(*marks)


def test_names_on_a_picture_are_neither_cut_nor_on_each_other(tmp_path: Path, written: Written) -> None:
    pictures = read_pictures(tmp_path, radiograph())
    shape = pictures[0].grid.shape_kji
    corners = [(0, 0), (0, 33), (27, 0), (27, 33), (12, 14), (12, 16), (14, 15)]
    segments = tuple(
        replace(lesion(n, 0, j, i, shape=shape, size=3), label=f"a long name {n}")
        for n, (j, i) in enumerate(corners)
    )
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, segments=segments)
    captures(found, SourcePixels(pictures))
    panels: dict[int, list] = {}
    for panel, size, text, box, _ in written.all:
        if size[0] != 1280:
            panels.setdefault(panel, []).append((text, box, size))
    check(list(panels.values()))
    told = written.on_panels()
    assert all(told.count(one.label) == 2 for one in segments)  # on the summary, and on its page

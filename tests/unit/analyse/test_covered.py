"""Body parts by the HU profile of a few slices: phantoms of each part, and real scans."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.covered import Covered, covered_by
from dicomnode.assemble import read_studies, sample_slices

MM = (1.0, 1.25)  # between rows, between columns: not square
AIR, FAT, TISSUE, LUNG, BONE = -1000.0, -90.0, 40.0, -820.0, 700.0
# j, i in mm around the middle
SHAPE = (400, 360)


def ellipse(centre, radii):
    """Pixels of an ellipse; centre and radii (j, i) in mm from the middle of the image."""
    j = (np.arange(SHAPE[0]) - SHAPE[0] / 2) * MM[0] - centre[0]
    i = (np.arange(SHAPE[1]) - SHAPE[1] / 2) * MM[1] - centre[1]
    return (j[:, None] / radii[0]) ** 2 + (i[None, :] / radii[1]) ** 2 <= 1


def drawn(*layers, noise=20.0):
    hu = np.full(SHAPE, AIR)
    for mask, value in layers:
        hu[mask] = value
    return (hu + np.random.default_rng(1).normal(0, noise, SHAPE)).astype(np.float32)


COUCH = (ellipse((150, 0), (6, 200)), -100.0)
SPINE = (ellipse((70, 0), (18, 22)), BONE)
TRUNK = (ellipse((0, 0), (110, 160)), TISSUE)
CHEST = drawn(COUCH, TRUNK, (ellipse((0, -75), (70, 55)), LUNG), (ellipse((0, 75), (70, 55)), LUNG), SPINE)
ABDOMEN = drawn(COUCH, TRUNK, SPINE)
BOWEL_GAS = drawn(COUCH, TRUNK, (ellipse((-60, 30), (25, 45)), AIR), SPINE)
HEAD = drawn(COUCH, (ellipse((0, 0), (95, 75)), BONE), (ellipse((0, 0), (87, 67)), TISSUE))
LEGS = drawn(
    COUCH,
    *((ellipse((0, side), (70, 65)), TISSUE) for side in (-80, 80)),
    *((ellipse((0, side), (15, 15)), BONE) for side in (-80, 80)),
)
PELVIS = drawn(
    COUCH,
    TRUNK,
    (ellipse((30, -100), (60, 22)), BONE),
    (ellipse((30, 100), (60, 22)), BONE),
    SPINE,
)
EMPTY = drawn()


def seen(*images):
    return covered_by([(image, MM) for image in images])


@pytest.mark.parametrize(
    ("image", "there"),
    [
        (CHEST, {"chest", "lung"}),
        (ABDOMEN, {"abdomen"}),
        (BOWEL_GAS, {"abdomen"}),
        (HEAD, {"brain", "head"}),
        (LEGS, {"leg"}),
        (PELVIS, {"trunk"}),
    ],
    ids=["chest", "abdomen", "gas in the bowel", "head", "legs", "pelvis"],
)
def test_a_part_is_seen_and_no_other(image, there):
    result = seen(*[image] * 4)
    assert result.there == there
    assert not result.there & result.not_there
    assert "lung" in result.there | result.not_there


@pytest.mark.parametrize("image", [CHEST, ABDOMEN, HEAD, LEGS], ids=["chest", "abdomen", "head", "legs"])
def test_turned_or_flipped_images_show_the_same(image):
    upright = seen(*[image] * 3)
    assert seen(*[image[::-1]] * 3) == upright
    assert seen(*[image[:, ::-1]] * 3) == upright
    assert covered_by([(image.T, MM[::-1])] * 3) == upright


def test_a_trunk_shows_all_of_its_parts():
    result = seen(CHEST, CHEST, CHEST, ABDOMEN, ABDOMEN, ABDOMEN)
    assert result == Covered(
        there=frozenset({"chest", "lung", "abdomen"}), not_there=frozenset({"brain", "head", "leg", "trunk"})
    )


@pytest.mark.parametrize(
    "slices",
    [
        [(EMPTY, MM)] * 4,
        [(HEAD[150:250, 130:230], MM)] * 4,
        [(np.full((256, 256), 40.0, dtype=np.float32), (1.0, 1.0))] * 4,
        [(CHEST, MM), (EMPTY, MM), (EMPTY, MM)],
        [],
    ],
    ids=["air", "a small field", "no outline", "one slice alone", "nothing"],
)
def test_what_is_not_plain_is_neither_there_nor_not(slices):
    assert covered_by(slices) == Covered()


def test_below_the_skull_a_head_has_no_lungs_even_where_slices_are_not_plain():
    result = seen(HEAD, HEAD, EMPTY, EMPTY)
    assert result.there == {"brain", "head"}
    assert result.not_there == {"chest", "lung"}


@pytest.mark.parametrize(
    ("said", "seen", "amended"),
    [
        (None, Covered(), None),
        (("head",), Covered(), ("head",)),
        (None, Covered(there=frozenset({"lung"})), ("lung",)),
        (("head",), Covered(there=frozenset({"lung"}), not_there=frozenset({"head"})), ("lung",)),
        (("lung", "pelvis"), Covered(not_there=frozenset({"lung"})), ("pelvis",)),
        (("lung",), Covered(not_there=frozenset({"lung"})), ("other",)),
        (None, Covered(not_there=frozenset({"lung"})), ("other",)),
    ],
)
def test_pixels_amend_what_the_header_says(said, seen, amended):
    assert seen.amend(said) == amended


REAL = [
    ("chest-ct-nlst-101287/ct", {"lung"}, {"head", "leg"}),
    ("chest-ct-acrin-042/ct", {"lung"}, {"head", "leg"}),
    ("chest-ct-lidc-0001", {"lung"}, {"head"}),
    ("chest-ct-lidc-0003", {"lung"}, {"head"}),
    ("head-ct-ge-tilt", {"head"}, {"lung"}),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "there", "not_there"), REAL, ids=[row[0] for row in REAL])
def test_real_scans_show_what_they_show(real_data, folder, there, not_there):
    (study,) = read_studies([real_data(folder)]).studies
    stacks = [stack for series in study.series for stack in series.stacks if stack.facts.refusal is None]
    assert stacks
    for stack in stacks:
        result = covered_by([(one.values, one.spacing_ji_mm) for one in sample_slices(stack)])
        assert there <= result.there
        assert not_there <= result.not_there

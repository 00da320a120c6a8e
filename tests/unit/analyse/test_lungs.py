"""Lungs of a drawn chest: how much, on which side, and when not to believe it."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from dicomnode.analyse.algorithms import ALGORITHMS, Anatomy
from dicomnode.analyse.algorithms.lungs import _chest
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, RemarkKind, no_progress
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest

LUNGS = ALGORITHMS["lungs"]


def find(hu: np.ndarray, affine: np.ndarray | None = None, **parameters: float) -> Anatomy:
    grid = Grid(hu.shape, drawn.affine() if affine is None else affine, "1.2.3")
    return LUNGS.run(Prepared(hu, grid), {**LUNGS.parameters, **parameters}, no_progress)


def dice(anatomy: Anatomy, side: str, chest: Chest) -> float:
    """Overlap with what was drawn, in the grid of the drawing."""
    truth = drawn.lung(side, chest)
    (mask,) = [part.mask for part in anatomy.parts if part.side == side]
    grid = Grid(truth.shape, drawn.affine(), "1.2.3")
    found = onto_source(mask, anatomy.grid, grid).to_array()
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def reasons(anatomy: Anatomy) -> list[str]:
    return [remark.text for remark in anatomy.remarks if remark.kind == RemarkKind.QUALITY]


@pytest.fixture(scope="module")
def plain() -> Anatomy:
    return find(drawn.draw(Chest()))


def test_both_lungs_are_found_where_they_were_drawn(plain):
    assert plain.nothing is None
    assert [part.side for part in plain.parts] == ["right", "left"]
    assert dice(plain, "right", Chest()) > 0.98
    assert dice(plain, "left", Chest()) > 0.98


def test_lungs_without_fault_are_plausible(plain):
    assert reasons(plain) == []


def test_what_the_method_cannot_see_is_always_said(plain):
    assert any("collapsed" in r.text and r.kind == RemarkKind.LIMIT for r in plain.remarks)


def test_the_couch_is_no_lung(plain):
    for part in plain.parts:
        below = plain.grid.to_lps_mm(np.argwhere(part.mask))[:, 1]
        assert below.max() < 85.0  # mm: the back of the drawn lungs; the couch begins at 99


def test_the_trachea_and_main_bronchi_are_no_lung():
    chest = Chest()
    hu = drawn.draw(chest)
    with_airways = find(hu)
    for part in with_airways.parts:
        points = with_airways.grid.to_lps_mm(np.argwhere(part.mask))
        trachea = (np.hypot(points[:, 0], points[:, 1] - 5) < 9) & (points[:, 2] > 42)
        assert not trachea.any()


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_patient_s_right_is_right_however_the_array_lies(side):
    """All 48 ways of turning and flipping: the lung drawn on one side is found on that side."""
    chest = Chest(lungs=(side,), noise=0.0)
    hu, affine = drawn.draw(chest)[::2, ::2, ::2], drawn.affine()
    affine[:3, :3] *= 2.0
    grid = Grid(hu.shape, affine, "1.2.3")
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        turned, columns, first = np.transpose(hu, axes), [], np.zeros(3)
        for axis, flip in zip(axes, flips, strict=True):
            vector = affine[:3, 2 - axis]
            columns.append(-vector if flip else vector)
            first[axis] = hu.shape[axis] - 1 if flip else 0
        turned = np.flip(turned, [n for n, flip in enumerate(flips) if flip])
        other = np.eye(4)
        other[:3, :3] = np.stack(columns[::-1], axis=1)
        other[:3, 3] = grid.to_lps_mm(first)
        found = find(np.ascontiguousarray(turned), other, work_mm=6.0)
        assert [part.side for part in found.parts] == [side]


def test_a_turned_array_gives_the_same_lungs_in_the_patient(plain):
    hu = drawn.draw(Chest())
    affine = drawn.affine()
    sagittal = np.eye(4)  # k to the left, j to the feet, i to the back
    sagittal[:3, 2], sagittal[:3, 1], sagittal[:3, 0] = affine[:3, 0], -affine[:3, 2], affine[:3, 1]
    sagittal[:3, 3] = affine[:3, 3] + affine[:3, 2] * (hu.shape[0] - 1)
    found = find(np.ascontiguousarray(np.transpose(hu[::-1], (2, 0, 1))), sagittal)
    assert np.allclose(found.grid.affine_lps, plain.grid.affine_lps)
    for one, other in zip(found.parts, plain.parts, strict=True):
        assert one.side == other.side
        assert np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize(
    ("touching_mm", "said"), [(10.0, []), (40.0, ["divided by a plane"])], ids=["a bridge", "a wide one"]
)
def test_lungs_that_touch_in_front_are_told_apart(touching_mm, said):
    chest = Chest(touching_mm=touching_mm)
    found = find(drawn.draw(chest))
    assert [part.side for part in found.parts] == ["right", "left"]
    assert dice(found, "right", chest) > 0.97
    assert dice(found, "left", chest) > 0.97
    assert len(reasons(found)) == len(said)
    assert all(words in text for words, text in zip(said, reasons(found), strict=True))


def test_a_lesion_at_the_pleura_is_taken_into_the_lung():
    chest = Chest(balls=((-66.0, 62.0, 10.0, 9.0, 40.0),))
    found = find(drawn.draw(chest))
    (right,) = [part.mask for part in found.parts if part.side == "right"]
    k, j, i = np.rint(found.grid.to_index_kji([-66.0, 55.0, 10.0])).astype(int)
    assert right[k, j, i]


def test_a_small_lung_is_reported_with_its_volume():
    found = find(drawn.draw(Chest(squeeze_right=0.35)))
    assert any("the smaller one may be collapsed" in text for text in reasons(found))


def test_a_missing_lung_is_said_to_be_missing():
    found = find(drawn.draw(Chest(lungs=("left",))))
    assert [part.side for part in found.parts] == ["left"]
    assert reasons(found)[0] == "Only the left lung was found."


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_lung_alone_is_told_by_the_middle_of_the_body_not_by_its_own(side):
    """Cut at its own middle, one lung would be taken for both, and its inner half for the other side."""
    chest = _chest(drawn.draw(Chest(lungs=(side,), airways=False)), drawn.MM)
    assert not isinstance(chest, str)
    assert chest.across.middle_i + chest.box[2].start == pytest.approx((drawn.SHAPE[2] - 1) / 2, abs=1.0)
    found = find(drawn.draw(Chest(lungs=(side,), airways=False)))
    assert [part.side for part in found.parts] == [side]


@pytest.mark.parametrize("airways", [False, True], ids=["", "with airways"])
@pytest.mark.parametrize("skin", [0, 12], ids=["with skin", "cut in the wall of the chest"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_field_of_view_around_one_lung_shows_the_lung_of_that_side(side, skin, airways):
    """The body goes on beyond one side of the images: their middle is not that of the body."""
    hu, affine = drawn.draw(Chest(airways=airways)), drawn.affine()
    half = drawn.SHAPE[2] // 2 + 2
    start = skin if side == "right" else drawn.SHAPE[2] - half
    stop = half if side == "right" else drawn.SHAPE[2] - skin
    affine[0, 3] += start * drawn.MM
    found = find(np.ascontiguousarray(hu[:, :, start:stop]), affine, work_mm=3.0)
    assert [part.side for part in found.parts] == [side]
    other = "left" if side == "right" else "right"
    said = f"Only the {side} lung was found: on the {other} the body goes on beyond the images."
    assert reasons(found)[0] == said


def test_a_field_of_view_around_both_lungs_shows_both_also_where_they_touch():
    """It cuts the wall of the chest on both sides, on one of them nearer to the lung."""
    hu, affine = drawn.draw(Chest(touching_mm=40.0)), drawn.affine()
    affine[0, 3] += 12 * drawn.MM
    found = find(np.ascontiguousarray(hu[:, :, 12:-8]), affine, work_mm=3.0)
    assert [part.side for part in found.parts] == ["right", "left"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_field_of_view_that_cuts_a_lung_does_not_make_it_the_other_one(side):
    """What is left of a lung that the edge cuts lies beyond the middle of what is left of the body."""
    hu, affine = drawn.draw(Chest(airways=False)), drawn.affine()
    cut = 36  # of the lung's 32 columns 14 are beyond the edge
    right, left = slice(0, cut), slice(drawn.SHAPE[2] - cut, None)
    if side == "left":
        affine[0, 3] += left.start * drawn.MM
    found = find(np.ascontiguousarray(hu[:, :, right if side == "right" else left]), affine, work_mm=3.0)
    assert found.nothing is not None or [part.side for part in found.parts] == [side]


def test_a_lung_near_the_middle_of_the_body_may_be_either():
    found = find(drawn.draw(Chest(lungs=(), airways=False, balls=((12.0, 0.0, 10.0, 75.0, drawn.LUNG),))))
    assert [part.side for part in found.parts] == ["left"]
    assert reasons(found)[:2] == [
        "Only the left lung was found.",
        "The lung that was found lies where both could lie: it may be the right one.",
    ]


def test_lungs_are_inside_although_the_trachea_leads_out():
    """The last slices lie above the patient: trachea and lungs hang together with the air of the room."""
    hu = drawn.draw(Chest())
    hu[-3:] = drawn.AIR
    found = find(hu)
    assert found.nothing is None
    for side in ("right", "left"):
        assert dice(found, side, Chest()) > 0.97


def test_a_mass_is_said_to_lie_in_the_lung():
    found = find(drawn.draw(Chest(balls=((64.0, 10.0, 30.0, 14.0, 40.0),))))
    assert any("dense region of about" in text for text in reasons(found))


def test_lungs_that_go_on_beyond_the_images_are_said_to_be_cut():
    hu, affine = drawn.draw(Chest())[40:70], drawn.affine()
    affine[:3, 3] += affine[:3, 2] * 40
    found = find(hu, affine)
    assert [part.side for part in found.parts] == ["right", "left"]
    (text,) = reasons(found)
    assert "cut off the right and left lungs at the top and the bottom" in text


def test_bowel_gas_that_hangs_on_a_lung_is_not_lung():
    gas = (64.0, 0.0, -122.0, 28.0, -995.0)
    chest = Chest(balls=(gas,))
    hu = drawn.draw(chest)
    z, y, x = drawn.axes_mm()
    neck = np.broadcast_to((np.abs(x - 64) < 3) & (np.abs(y) < 3) & (z > -100) & (z < -70), hu.shape)
    hu[neck] = -900.0  # a leak through the diaphragm, two voxels wide
    found = find(hu)
    (left,) = [part.mask for part in found.parts if part.side == "left"]
    heights = found.grid.to_lps_mm(np.argwhere(left))[:, 2]
    assert heights.min() > -95.0
    assert dice(found, "left", Chest()) > 0.97


def nothing_of(name: str) -> np.ndarray:
    shape = (60, 60, 60)
    k, j, i = np.ogrid[:60, :60, :60]
    head = np.where((k - 30) ** 2 + (j - 30) ** 2 + (i - 30) ** 2 < 26**2, 40.0, -1000.0)
    head = np.where((np.abs(k - 20) < 4) & (np.abs(j - 14) < 5) & (np.abs(i - 30) < 7), -1000.0, head)
    return {
        "zeros": np.zeros(shape),
        "air": np.full(shape, -1000.0),
        "padding": np.full(shape, -3024.0),
        "noise": np.random.default_rng(1).uniform(0, 254, shape),
        "head": head,
        "abdomen": drawn.draw(
            Chest(
                lungs=(),
                airways=False,
                balls=((-60, -30, -60, 34, -995), (60, -30, -60, 30, -995), (0, -50, 40, 24, -990)),
            )
        ),
    }[name].astype(np.float32)


@pytest.mark.parametrize("name", ["zeros", "air", "padding", "noise", "head", "abdomen"])
def test_where_there_are_no_lungs_none_are_found_and_the_reason_is_given(name):
    hu = nothing_of(name)
    found = find(hu, np.diag([3.0, 3.0, 3.0, 1.0]))
    assert found.parts == ()
    assert found.nothing


def test_the_same_images_give_the_same_lungs(plain):
    again = find(drawn.draw(Chest()))
    for one, other in zip(plain.parts, again.parts, strict=True):
        assert one.mask.tobytes() == other.mask.tobytes()


def test_progress_says_how_far_it_is():
    seen = []
    grid = Grid(drawn.SHAPE, drawn.affine(), "1.2.3")
    LUNGS.run(Prepared(drawn.draw(Chest()), grid), LUNGS.parameters, lambda *call: seen.append(call))
    assert seen == [("lungs", done, 5) for done in range(6)]


def test_coarser_and_finer_work_agree():
    chest = Chest()
    for mm in (1.75, 2.5):
        found = find(drawn.draw(chest), work_mm=mm)
        assert dice(found, "right", chest) > 0.97
        assert dice(found, "left", chest) > 0.97


@pytest.mark.parametrize("touching_mm", [0.0, 12.0], ids=["apart", "touching"])
def test_one_core_and_two_give_the_same_lungs(touching_mm):
    hu = drawn.draw(Chest(touching_mm=touching_mm))
    with cores(1):
        one = find(hu)
    with cores(2):
        two = find(hu)
    assert one.remarks == two.remarks
    assert [part.side for part in one.parts] == [part.side for part in two.parts]
    for first, second in zip(one.parts, two.parts, strict=True):
        assert np.array_equal(first.mask, second.mask)

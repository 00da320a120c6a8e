"""From maps to candidates: decoding, suppression, score, outline, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, Reading, Region, UnreadableError
from dicomnode.engine import CentreHeat, StepSpec
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation

SHAPE = (32, 40, 48)
MM = 1.25
HOW = {"within_mm": 3.75, "score": "sqrt(heat * mask_support)", "mask_logit": 2.303}


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def maps_of(*lesions: tuple[tuple[float, float, float], float, float]) -> dict[str, np.ndarray]:
    """Maps as a perfect network would give them: lesions are (index k, j, i of the centre, mm, heat)."""
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    coarse = np.ogrid[: SHAPE[0] // 2, : SHAPE[1] // 2, : SHAPE[2] // 2]
    heat = np.full([n // 2 for n in SHAPE], -9.0, np.float32)
    size = np.full_like(heat, 1.0)
    mask = np.full(SHAPE, -12.0, np.float32)
    for at, diameter, peak in lesions:
        apart = np.sqrt(sum(((a - c) * MM) ** 2 for a, c in zip(axes, at, strict=True)))
        # A border two voxels wide whose logit is 2.303 at the radius
        mask = np.maximum(mask, (2.303 + (diameter / 2 - apart) * 4.0).clip(-12, 12).astype(np.float32))
        near = np.sqrt(sum(((2 * a + 0.5 - c) * MM) ** 2 for a, c in zip(coarse, at, strict=True)))
        bump = (logit(peak) - (near / 2.0) ** 2).astype(np.float32)
        size = np.where(bump > heat, np.float32(np.log(diameter)), size)
        heat = np.maximum(heat, bump)
    return {"heat": heat[None], "logd": size[None], "mask": mask[None]}


def read(maps, grid=None, source=None, within=None, inside=None, **how) -> Reading:
    grid = grid or grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    outputs = Outputs(maps=maps, grid=grid, source=source or grid, within=within, wanted=1, inside=inside)
    step = StepSpec(network="n.onnx", centre_heat=CentreHeat(**{**HOW, **how}))
    return INTERPRETATIONS["centre_heat"](outputs, step)


def centroid(reading: Reading, source, n: int = 0) -> np.ndarray:
    return source.to_lps_mm(np.argwhere(reading.shapes[n].mask.to_array())).mean(axis=0)


def test_a_lesion_is_found_where_it_is_with_its_volume():
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    found = read(maps_of(((15.0, 20.5, 25.0), 12.0, 0.9)))
    assert len(found.shapes) == 1
    assert np.abs(centroid(found, grid) - grid.to_lps_mm([15.0, 20.5, 25.0])).max() < 0.1
    volume = found.shapes[0].mask.count * grid.voxel_mm3
    assert volume == pytest.approx(np.pi / 6 * 12.0**3, rel=0.06)
    assert found.shapes[0].score == pytest.approx(0.95, abs=0.05)


def test_a_cell_of_a_coarse_map_lies_between_its_voxels():
    """Stride-2 cell c covers the voxels 2c and 2c + 1: without an outline its centre shows that."""
    maps = maps_of(((10.5, 20.5, 30.5), 8.0, 0.9))
    maps["mask"][:] = -12.0
    grid = grid_of(SHAPE, (MM,) * 3)
    found = read(maps, grid=grid, score="heat")
    assert found.shapes == ()
    assert found.points[0].centre_lps_mm == pytest.approx([30.5 * MM, 20.5 * MM, 10.5 * MM])
    assert found.points[0].diameter_mm == pytest.approx(8.0, rel=1e-4)
    assert any("reported as a point" in remark.text for remark in found.remarks)


@pytest.mark.parametrize(("outlined", "heats"), [(False, [0.9, 0.8]), (True, [0.8])])
def test_a_centre_without_an_outline_is_no_candidate_where_one_is_needed(outlined, heats):
    """Nor does it hide the one beside it, or stand among those below the threshold."""
    maps = maps_of(((10.5, 20.5, 14.5), 8.0, 0.9), ((20.5, 20.5, 32.5), 8.0, 0.8))
    maps["mask"][:, :, :, :24] = -12.0
    found = read(maps, score="heat", outlined=outlined)
    scores = sorted((one.score for one in (*found.shapes, *found.points)), reverse=True)
    assert scores == pytest.approx(heats, abs=0.02)
    assert len(found.points) == (not outlined)
    faint = read(maps, score="heat", outlined=outlined, threshold=0.95)
    assert f"{len(heats)} candidate" in faint.none_found


@given(st.sampled_from(TURNS), angles, st.tuples(*[st.floats(12, 20)] * 3), st.floats(6.0, 14.0))
@settings(max_examples=20, deadline=None)
def test_the_outline_lies_right_on_a_source_of_any_axes_and_spacing(turn, tilt, at, diameter):
    matrix = rotation(*tilt)
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0), tilt=matrix)
    middle = grid.to_lps_mm((np.array(SHAPE) - 1) / 2)
    source = grid_of((40, 90, 90), (2.0, 0.7, 0.7), turn=turn, tilt=matrix)
    shift = middle - source.to_lps_mm((np.array(source.shape_kji) - 1) / 2)
    affine = source.affine_lps.copy()
    affine[:3, 3] += shift
    source = type(source)(source.shape_kji, affine, "1.2.3")
    found = read(maps_of((at, diameter, 0.9)), grid=grid, source=source)
    assert len(found.shapes) == 1
    assert np.abs(centroid(found, source) - grid.to_lps_mm(at)).max() < 0.4
    volume = found.shapes[0].mask.count * source.voxel_mm3
    assert volume == pytest.approx(np.pi / 6 * diameter**3, rel=0.25)  # 2 mm slices through 6 mm


def test_two_lesions_apart_are_two_and_the_better_one_is_first():
    lesions = (((8.0, 10.0, 12.0), 8.0, 0.7), ((22.0, 30.0, 36.0), 10.0, 0.95))
    found = read(maps_of(*lesions))
    assert len(found.shapes) == 2
    assert found.shapes[0].score > found.shapes[1].score
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    assert np.abs(centroid(found, grid) - grid.to_lps_mm([22.0, 30.0, 36.0])).max() < 0.2


@pytest.mark.parametrize(
    ("diameter", "suppress_mm", "count"),
    [(16.0, 4.0, 1), (6.0, 4.0, 2), (6.0, 8.0, 1)],
    ids=["within half a diameter", "apart", "within the least distance"],
)
def test_of_two_centres_near_each_other_the_hotter_stays(diameter, suppress_mm, count):
    """6.25 mm apart; without a mask, so that only the centres decide."""
    maps = maps_of(((16.5, 20.5, 20.5), diameter, 0.9), ((16.5, 20.5, 25.5), diameter, 0.8))
    maps["mask"][:] = -12.0
    found = read(maps, score="heat", suppress_mm=suppress_mm)
    assert len(found.points) == count
    assert found.points[0].score == pytest.approx(0.9, abs=0.02)


def test_a_second_centre_of_the_same_voxels_is_the_same_finding():
    """Two centres 9 mm apart with small sizes are not suppressed, but share one piece of the mask."""
    maps = maps_of(((16.0, 20.0, 18.0), 14.0, 0.9), ((16.0, 20.0, 25.0), 14.0, 0.85))
    maps["logd"][:] = np.log(12.0)
    found = read(maps, mask_reach_mm=20.0)
    assert len(found.shapes) == 1


@pytest.mark.parametrize(("peak", "below"), [(0.30, 1), (0.02, 0)], ids=["counted", "no candidate at all"])
def test_what_stays_below_the_threshold_is_counted_and_said(peak, below):
    found = read(maps_of(((15.0, 20.0, 25.0), 10.0, peak)), score="heat")
    assert found.shapes == ()
    assert "score of 0.5" in found.none_found
    assert f"; {below} candidate" in found.none_found


def test_more_than_are_reported_is_said():
    lesions = [
        ((6.0 + 18 * a, 8.0 + 22 * b, 8.0 + 14 * c), 6.0, 0.9)
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1, 2)
    ]
    found = read(maps_of(*lesions), at_most=10)
    assert len(found.shapes) == 10
    assert [r.text for r in found.remarks] == [
        "12 candidates reach the score of 0.5; the 10 with the highest score are reported."
    ]


@pytest.mark.parametrize(("far_mm", "kept"), [(3.0, True), (5.0, False)])
def test_a_centre_too_far_outside_the_organ_is_no_candidate(far_mm, kept):
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    at = np.array([15.0, 20.0, 24.5])
    organ_grid = grid_of((40, 50, 60), (1.0,) * 3, (10.0, 20.0, 30.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in organ_grid.shape_kji), indexing="ij"), -1)
    edge = grid.to_lps_mm(at)[0] + far_mm
    organ = organ_grid.to_lps_mm(index)[..., 0] > edge
    found = read(maps_of((tuple(at), 8.0, 0.9)), within=Region(organ, organ_grid))
    assert bool(found.shapes) is kept


def test_the_outline_ends_where_the_manifest_says():
    """A candidate in a vessel: the mask goes on, the outline does not."""
    maps = maps_of(((16.0, 20.0, 24.0), 8.0, 0.9))
    maps["mask"][0, 14:19, 18:23, :] = 9.0
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    found = read(maps, mask_reach_diameters=0.8, mask_reach_mm=2.0)
    points = grid.to_lps_mm(np.argwhere(found.shapes[0].mask.to_array()))
    assert np.linalg.norm(points - grid.to_lps_mm([16, 20, 24]), axis=1).max() < 0.8 * 8 + 2 + MM
    everything = read(maps, mask_reach_diameters=0.8, mask_reach_mm=50.0)
    assert everything.shapes[0].mask.count > 2 * found.shapes[0].mask.count


def test_of_several_pieces_the_one_at_the_centre_is_the_lesion():
    maps = maps_of(((16.0, 20.0, 20.0), 8.0, 0.9))
    maps["mask"][0, 14:19, 18:23, 26:30] = 9.0
    found = read(maps, mask_reach_mm=30.0)
    assert found.shapes[0].mask.to_array()[:, :, 26:].sum() == 0


def test_the_region_of_a_network_is_what_its_mask_holds():
    maps = maps_of(((16.0, 20.0, 24.0), 8.0, 0.9))
    assert np.array_equal(read(maps).region.mask, maps["mask"][0] > 2.303)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": None}, "no output 'heat'"),
        ({"mask": np.zeros((2, *SHAPE), np.float32)}, "2 channels"),
        ({"mask": np.zeros((1, 8, 8, 8), np.float32)}, "do not go together"),
    ],
    ids=["missing", "channels", "stride"],
)
def test_outputs_that_are_not_what_the_manifest_says_are_named(change, message):
    maps = {**maps_of(((16.0, 20.0, 24.0), 8.0, 0.9)), **change}
    with pytest.raises(UnreadableError, match=message):
        read({name: values for name, values in maps.items() if values is not None})


def test_the_same_maps_give_the_same_candidates():
    maps = maps_of(((8.0, 10.0, 12.0), 8.0, 0.8), ((22.0, 30.0, 36.0), 8.0, 0.8))
    one, other = read(maps), read({name: values.copy() for name, values in maps.items()})
    assert [s.score for s in one.shapes] == [s.score for s in other.shapes]
    assert all(a.mask == b.mask for a, b in zip(one.shapes, other.shapes, strict=True))


# ── the rim of what was seen: padding lies at the end of each axis ──

INSIDE = (21, 30, 37)  # of the box; 21 and 37 end within a cell of two voxels


def inner() -> tuple[slice, slice, slice]:
    k, j, i = INSIDE
    return slice(0, k), slice(0, j), slice(0, i)


def test_what_a_network_sees_in_the_padding_is_nowhere():
    found = read(maps_of(((26.0, 20.0, 20.0), 6.0, 0.95)), inside=INSIDE)
    assert (found.shapes, found.points) == ((), ())
    assert found.none_found == "None reaches the score of 0.5; 0 candidates below it were not reported."
    assert found.region.mask.shape == INSIDE
    assert not found.region.mask.any()


@pytest.mark.parametrize(
    ("at", "centre"),
    [
        ((20.0, 20.5, 20.5), (20.0, 20.5, 20.5)),  # its cell has one plane of voxels left
        ((18.5, 28.5, 20.5), (18.5, 28.5, 20.5)),
        ((18.5, 20.5, 36.0), (18.5, 20.5, 36.0)),
        ((20.0, 28.5, 36.0), (20.0, 28.5, 36.0)),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ],
)
@pytest.mark.parametrize("outlined", [True, False])
def test_a_peak_on_the_rim_is_found_where_there_are_voxels(at, centre, outlined):
    maps = maps_of((at, 6.0, 0.95))
    if not outlined:
        maps["mask"][:] = -12.0
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    found = read(maps, grid=grid, inside=INSIDE, score="heat")
    if not outlined:
        assert found.points[0].centre_lps_mm == pytest.approx(grid.to_lps_mm(centre))
        return
    (shape,) = found.shapes
    voxels = shape.mask.to_array()
    assert voxels[tuple(np.rint(np.array(centre) - 0.1).astype(int))]
    assert not np.delete(voxels, np.s_[: INSIDE[0]], axis=0).any()
    expected = np.zeros_like(voxels)
    expected[inner()] = read(maps, grid=grid, score="heat").shapes[0].mask.to_array()[inner()]
    assert np.array_equal(voxels[inner()], expected[inner()])
    assert np.array_equal(found.region.mask, maps["mask"][0][inner()] > HOW["mask_logit"])


def test_a_hotter_neighbour_in_the_padding_hides_no_peak_at_the_rim():
    maps = maps_of(((19.0, 14.5, 18.5), 6.0, 0.9))
    maps["heat"][0, 11:] = logit(0.99)
    found = read(maps, inside=(22, 40, 48), score="heat")
    assert len(found.shapes) == 1


def test_without_padding_nothing_changes():
    maps = maps_of(((20.0, 20.5, 20.5), 6.0, 0.95), ((8.0, 30.0, 40.0), 9.0, 0.7))
    free, told = read(maps), read(maps, inside=SHAPE)
    assert [one.mask.count for one in told.shapes] == [one.mask.count for one in free.shapes]
    assert np.array_equal(told.region.mask, free.region.mask)


@pytest.mark.parametrize("spacing", [1.25, 2.5])
@pytest.mark.parametrize(
    ("diameter", "diameters", "found"),
    [(20.0, 0.0, False), (20.0, 0.4, False), (20.0, 0.5, True), (12.0, 0.5, False), (12.0, 0.9, True)],
)
def test_a_mass_at_the_wall_counts_where_its_middle_lies_outside(spacing, diameter, diameters, found):
    """Its middle lies 9 mm from the last voxel of the lung."""
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    around = grid_of(
        tuple(int(n * MM / spacing) for n in SHAPE),
        (spacing,) * 3,
        tuple(o + (spacing - MM) / 2 for o in (10.0, 20.0, 30.0)),
    )
    lung = np.zeros(around.shape_kji, dtype=bool)
    last = 6
    lung[:, :, :last] = True
    edge = around.to_lps_mm([0.0, 0.0, last - 1.0])[0]
    at = grid.to_index_kji(np.array([edge + 9.0, 0.0, 0.0]))[2]
    maps = maps_of(((15.5, 20.5, float(at)), diameter, 0.9))
    reading = read(maps, grid=grid, within=Region(lung, around), score="heat", within_diameters=diameters)
    assert bool(reading.shapes) is found


def test_a_centre_far_beside_the_organ_that_was_searched_is_none_of_it():
    """Around what an earlier network gave a step may see more than that network's own box."""
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    around = grid_of((32, 32, 32), (MM,) * 3, tuple(o + 20 * MM for o in (10.0, 20.0, 30.0)))
    organ = Region(np.ones((32, 32, 32), dtype=bool), around)
    maps = maps_of(((5.5, 6.5, 7.5), 8.0, 0.9))
    assert read(maps, grid=grid, within=organ, score="heat", within_diameters=0.5).shapes == ()

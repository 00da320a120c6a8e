"""Fields, layers, strokes and trees: the shapes that anatomy is made of are as large as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.phantom.acquire import Scanner, acquire
from dicomnode.phantom.lattice import Lattice, SliceReader, unite
from dicomnode.phantom.paint import Layer, Stroke, draw_strokes, paint_layers, polyline
from dicomnode.phantom.trees import Ball, bend_round, grow, vessel_strokes
from dicomnode.values import Grid


def _grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    k, j, i = spacing
    affine = np.diag((i, j, k, 1.0))
    affine[:3, 3] = [-(n - 1) * s / 2 for n, s in zip(shape[::-1], spacing[::-1], strict=True)]
    return Grid(shape, affine, "1.2.3")


GRID = _grid((50, 60, 70), (1.5, 1.0, 1.0))


def test_lattice_encloses_the_grid() -> None:
    lattice = Lattice.around(GRID, 3.0)
    corners = GRID.to_lps_mm([(0, 0, 0), (49, 59, 69)])[:, ::-1]
    low, high = np.array(lattice.origin_zyx_mm), [float(lattice.axis_mm(a).max()) for a in range(3)]
    assert (low < corners[0]).all()
    assert (corners[1] < high).all()


@pytest.mark.parametrize(
    ("shape", "expected_ml"),
    [
        ("ball", 4 / 3 * np.pi * 20**3 / 1000),
        ("ellipsoid", 4 / 3 * np.pi * 12 * 18 * 22 / 1000),
        ("tube", (np.pi * 8**2 * 30 + 4 / 3 * np.pi * 8**3) / 1000),
        ("two tubes", 2 * (np.pi * 5**2 * 20 + 4 / 3 * np.pi * 5**3) / 1000),
    ],
)
def test_a_painted_shape_has_its_volume(shape: str, expected_ml: float) -> None:
    lattice = Lattice.around(GRID, 3.0)
    fields = {
        "ball": lambda: lattice.ellipsoid((0, 0, 0), (20, 20, 20)),
        "ellipsoid": lambda: lattice.ellipsoid((1, -2, 3), (12, 18, 22)),
        "tube": lambda: lattice.tube([(-15, 0, 0), (15, 0, 0)], 8.0),
        "two tubes": lambda: unite(
            lattice.tube([(-10, -15, 0), (10, -15, 0)], 5.0), lattice.tube([(0, 5, -10), (0, 5, 10)], 5.0)
        ),
    }
    voxels = np.zeros(GRID.shape_kji, dtype=np.float32)
    paint_layers(voxels, SliceReader(lattice, GRID), [Layer(fields[shape](), 1.0)])
    assert voxels.sum() * GRID.voxel_mm3 / 1000 == pytest.approx(expected_ml, rel=0.08)
    assert voxels.min() == 0
    assert voxels.max() == 1


def test_a_blended_union_only_adds_in_the_groove() -> None:
    lattice = Lattice.around(GRID, 3.0)
    a, b = lattice.ellipsoid((0, 0, -8), (12, 12, 12)), lattice.ellipsoid((0, 0, 8), (12, 12, 12))
    plain, round_ = unite(a, b), unite(a, b, 10.0)
    assert (round_ <= plain).all()
    far = np.abs(a - b) > 10
    assert np.array_equal(round_[far], plain[far])
    assert (round_ < plain - 0.5).any()


def test_fields_are_read_as_they_are_where_they_are_straight() -> None:
    lattice = Lattice.around(GRID, 3.0)
    field = (2 * lattice.x - lattice.y + 0.5 * lattice.z).astype(np.float32)
    read = SliceReader(lattice, GRID).read(field, 17, slice(5, 25), slice(30, 60))
    index = np.stack(np.meshgrid([17], range(5, 25), range(30, 60), indexing="ij"), -1)
    x, y, z = np.moveaxis(GRID.to_lps_mm(index)[0], -1, 0)
    assert np.allclose(read, 2 * x - y + 0.5 * z, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(-25, 25)] * 3),
    st.floats(4, 15),
    st.floats(0, 3),
)
def test_the_window_of_a_field_holds_all_of_it(
    centre: tuple[float, float, float], radius: float, below: float
) -> None:
    lattice = Lattice.around(GRID, 3.0)
    field = lattice.ellipsoid(centre, (radius, radius, radius))
    reader = SliceReader(lattice, GRID)
    everywhere = np.stack([reader.read(field, k, slice(0, 60), slice(0, 70)) for k in range(50)]) < below
    inside = np.zeros(GRID.shape_kji, dtype=bool)
    inside[reader.window(field, below)] = True
    assert not (everywhere & ~inside).any()


def test_window_of_nothing_is_empty() -> None:
    lattice = Lattice.around(GRID, 3.0)
    far = np.full(lattice.shape_zyx, 60.0, dtype=np.float32)
    assert SliceReader(lattice, GRID).window(far, 1.0) == (slice(0, 0), slice(0, 0), slice(0, 0))


def test_later_layers_cover_earlier_ones_and_a_sheet_only_lightens() -> None:
    lattice = Lattice.around(GRID, 3.0)
    ball = lattice.ellipsoid((0, 0, 0), (20, 20, 20))
    sheet = (np.abs(lattice.z) - 3.0 + 0 * ball).astype(np.float32)
    voxels = np.zeros(GRID.shape_kji, dtype=np.float32)
    reader = SliceReader(lattice, GRID)
    paint_layers(voxels, reader, [Layer(ball, 500.0), Layer(ball, 100.0), Layer(sheet, 50.0, lighten=True)])
    k, j, i = 25, 30, 35
    assert voxels[k, j, i] == pytest.approx(100.0)
    assert voxels[k, 2, 2] == pytest.approx(50.0)


@pytest.mark.parametrize("radius", [2.0, 4.0, 7.5])
def test_a_stroke_has_the_volume_of_a_capsule(radius: float) -> None:
    voxels = np.zeros(GRID.shape_kji, dtype=np.float32)
    draw_strokes(voxels, GRID, [Stroke((-12, -3, -5), (14, 6, 8), (radius, radius), 1.0)])
    length = np.linalg.norm((26, 9, 13))
    expected = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
    assert voxels.sum() * GRID.voxel_mm3 == pytest.approx(expected, rel=0.08)


def test_a_stroke_outside_the_grid_draws_nothing() -> None:
    voxels = np.zeros(GRID.shape_kji, dtype=np.float32)
    draw_strokes(voxels, GRID, [Stroke((200, 0, 0), (220, 0, 0), (3, 3), 1.0)])
    assert not voxels.any()


def test_a_stroke_thinner_than_a_voxel_fills_a_part_of_it() -> None:
    voxels = np.zeros(GRID.shape_kji, dtype=np.float32)
    draw_strokes(voxels, GRID, [Stroke((0, -20, 0), (0, 20, 0), (0.3, 0.3), 1.0)])
    assert 0.0 < voxels.max() < 0.3
    along = voxels.sum(axis=(0, 2))[15:45]  # 1 mm a row
    assert np.allclose(along * 1.5, np.pi * 0.3**2, rtol=0.25)  # its mass, wherever it runs


def test_air_is_drawn_over_tissue_only_when_asked_to() -> None:
    for over, expected in ((False, 40.0), (True, -990.0)):
        voxels = np.full(GRID.shape_kji, 40.0, dtype=np.float32)
        draw_strokes(voxels, GRID, polyline([(-20, 0, 0), (0, 0, 0), (20, 0, 0)], 4.0, -990.0, over=over))
        assert voxels[25, 30, 35] == pytest.approx(expected)


@pytest.fixture
def targets() -> np.ndarray:
    return np.random.default_rng(3).uniform(-40, 40, (120, 3))


def test_a_tree_reaches_all_targets_from_its_root(targets: np.ndarray) -> None:
    tree = grow((0.0, 0.0, 0.0), targets[:5], targets[5:], 0.5, np.random.default_rng(1))
    away = np.linalg.norm(tree.points_mm[None] - targets[:, None], axis=-1).min(axis=1)
    assert away.max() < 1e-6
    assert tree.parents[0] == -1
    assert (tree.parents[1:] < np.arange(1, len(tree.parents))).all()  # so: no cycle, all from the root


def test_branches_get_thinner_towards_the_leaves(targets: np.ndarray) -> None:
    tree = grow((0.0, 0.0, 0.0), targets[:5], targets[5:], 0.5, np.random.default_rng(1))
    assert (tree.radii_mm[tree.parents[1:]] >= tree.radii_mm[1:]).all()
    leaves = np.setdiff1d(np.arange(len(tree.parents)), tree.parents)
    assert np.allclose(tree.radii_mm[leaves], 0.5)
    # Murray: with a power m, m-th powers of the branches add up to that of the trunk.
    assert tree.radii_mm[0] == pytest.approx(0.5 * len(leaves) ** (1 / 2.6))


def test_vessels_bend_round_a_nodule() -> None:
    points = np.random.default_rng(2).uniform(-30, 30, (4000, 3))
    ball = Ball((3.0, -4.0, 5.0), 9.0)
    bent = bend_round(points, [ball])
    away = np.linalg.norm(bent - np.array(ball.centre_mm), axis=1)
    assert away.min() >= 9.0
    far = np.linalg.norm(points - np.array(ball.centre_mm), axis=1) > 17.0
    assert np.array_equal(bent[far], points[far])


def test_vessels_are_drawn_from_every_parent_to_its_child(targets: np.ndarray) -> None:
    tree = grow((0.0, 0.0, 0.0), targets[:5], targets[5:], 0.5, np.random.default_rng(1))
    strokes = vessel_strokes(tree, 40.0, 3.0)
    assert len(strokes) == len(tree.parents) - 1
    assert max(max(stroke.radii_mm) for stroke in strokes) <= 3.0
    assert all(stroke.end == tuple(tree.points_mm[n + 1]) for n, stroke in enumerate(strokes))


def test_blur_keeps_the_sum_and_softens_edges() -> None:
    def image() -> np.ndarray:
        plane = np.full((1, 40, 40), -800.0, dtype=np.float32)
        plane[0, 15:25, 15:25] = 200.0
        return plane

    sharp = acquire(image(), 0.8, Scanner(blur_mm=0.0, noise_hu=0.0), 1)
    soft = acquire(image(), 0.8, Scanner(blur_mm=1.0, noise_hu=0.0), 1)
    assert set(np.unique(sharp)) == {-800, 200}
    assert abs(int(soft.astype(int).sum()) - int(sharp.astype(int).sum())) < 200
    assert np.abs(np.diff(soft.astype(int), axis=2)).max() < 700


def test_every_slice_has_noise_of_its_own() -> None:
    flat = np.zeros((3, 64, 64), dtype=np.float32)
    noise = acquire(flat, 0.9, Scanner(blur_mm=0.0, noise_hu=20.0), 5).astype(float)
    for a, b in ((0, 1), (1, 2)):
        assert abs(np.corrcoef(noise[a].ravel(), noise[b].ravel())[0, 1]) < 0.1
    assert abs(noise.mean()) < 1.0

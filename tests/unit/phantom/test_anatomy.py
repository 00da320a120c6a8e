"""The phantom is a chest: what lies where, and the truth that comes with it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.phantom import PHANTOM_VERSION, Scanner, Thorax, thorax
from dicomnode.phantom.figure import Figure
from dicomnode.phantom.lattice import Lattice
from dicomnode.phantom.mediastinum import build_chest
from dicomnode.phantom.nodules import plan_nodules
from dicomnode.phantom.streams import stream
from dicomnode.phantom.trunk import build_trunk
from dicomnode.values import Grid

SEED = 7


def _digest(phantom: Thorax) -> str:
    return hashlib.sha256(phantom.voxels.tobytes()).hexdigest()


def _heights(phantom: Thorax) -> np.ndarray:
    return phantom.grid.to_lps_mm([(k, 0, 0) for k in range(phantom.voxels.shape[0])])[:, 2]


def _at(phantom: Thorax, lps_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    k, j, i = np.rint(phantom.grid.to_index_kji(lps_mm)).astype(int)
    return int(k), int(j), int(i)


def test_voxels_are_whole_hounsfield_units_of_a_12_bit_scanner(small: Thorax) -> None:
    assert small.voxels.dtype == np.int16
    assert small.voxels.shape == small.grid.shape_kji == (112, 138, 138)
    assert small.voxels.min() >= -1024
    assert 500 < small.voxels.max() <= 3071


def test_axes_run_along_those_of_the_patient(small: Thorax) -> None:
    assert np.allclose(small.grid.affine_lps[:3, :3], np.diag((2.5, 2.5, 2.5)))


def test_same_seed_gives_same_voxels_in_another_process(small: Thorax) -> None:
    code = (
        "import hashlib\nfrom dicomnode.phantom import thorax\n"
        f"print(hashlib.sha256(thorax({SEED}, 'small').voxels.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == _digest(small)


def test_another_seed_gives_another_patient(small: Thorax) -> None:
    other = thorax(SEED + 1, "small")
    assert _digest(other) != _digest(small)
    assert other.grid.frame_of_reference_uid != small.grid.frame_of_reference_uid
    assert other.lung_right.count != small.lung_right.count


def test_each_lung_holds_litres_of_air(small: Thorax) -> None:
    for lung in (small.lung_right, small.lung_left):
        assert 1200 < lung.count * small.grid.voxel_mm3 / 1000 < 3500
        assert -900 < small.voxels[lung.to_array()].mean() < -760


def test_right_lung_is_on_the_right_of_the_patient_and_larger(small: Thorax) -> None:
    right, left = (
        small.grid.to_lps_mm(np.argwhere(m.to_array())).mean(axis=0)
        for m in (small.lung_right, small.lung_left)
    )
    assert right[0] < -40 < 40 < left[0]
    assert small.lung_right.count > small.lung_left.count


def test_lungs_do_not_touch_each_other(small: Thorax) -> None:
    right, left = small.lung_right.to_array(), small.lung_left.to_array()
    assert not (ndimage.binary_dilation(right) & left).any()


def test_lungs_are_complete_within_the_scan(small: Thorax) -> None:
    for lung in (small.lung_right, small.lung_left):
        assert all(
            start > 0 and stop < size
            for (start, stop), size in zip(lung.box_kji, lung.shape_kji, strict=True)
        )


def test_truth_of_the_lungs_ends_where_the_air_does(quiet: Thorax) -> None:
    lungs = quiet.lung_right.to_array() | quiet.lung_left.to_array()
    inner = lungs & ~ndimage.binary_erosion(lungs, iterations=2) & ndimage.binary_erosion(lungs)
    outer = ndimage.binary_dilation(lungs, iterations=3) & ~ndimage.binary_dilation(lungs, iterations=2)
    outer &= quiet.voxels > -950  # not the bronchi
    assert np.median(quiet.voxels[inner]) < -800
    assert np.median(quiet.voxels[outer]) > -150
    # A voxel half in the lung has about half the density: on the border the painted air covers half.
    border = ndimage.binary_dilation(lungs) ^ ndimage.binary_erosion(lungs)
    assert -650 < quiet.voxels[border].mean() < -250


def test_heart_lies_to_the_left(small: Thorax) -> None:
    k = int(np.abs(_heights(small) + 40).argmin())
    lungs = (small.lung_right.to_array() | small.lung_left.to_array())[k]
    between = ndimage.binary_fill_holes(ndimage.binary_closing(lungs, iterations=25)) & ~lungs
    soft = between & (small.voxels[k] > 0) & (small.voxels[k] < 120)
    front = np.argwhere(soft)
    front = front[small.grid.to_lps_mm([(k, j, 0) for j in front[:, 0]])[:, 1] < 10]
    x = small.grid.to_lps_mm([(k, j, i) for j, i in front])[:, 0]
    assert len(x) > 400
    assert 5 < x.mean() < 45


def test_spine_is_behind_and_the_couch_behind_that(small: Thorax) -> None:
    k = int(np.abs(_heights(small)).argmin())
    y = small.grid.to_lps_mm([(k, j, 0) for j in range(138)])[:, 1]
    x = small.grid.to_lps_mm([(k, 0, i) for i in range(138)])[:, 0]
    bone = (small.voxels[k] > 150) & (np.abs(x) < 12)[None, :]
    assert bone[y > 40].sum() > 2 * bone[y < -60].sum() > 0  # spine, breastbone
    below = small.voxels[k][:, np.abs(x) < 50].max(axis=1)
    body = np.flatnonzero(below > -50).max()
    board = below[body + 3 :]
    assert board.size
    assert -750 < board.max() < -50  # a thin shell, seen through the width of a voxel


def test_liver_is_under_the_right_dome_which_stands_higher(quiet: Thorax) -> None:
    tops = {}
    for side, lung in ((-1, quiet.lung_right), (1, quiet.lung_left)):
        _, j, i = _at(quiet, (75.0 * side, 30.0, 0.0))  # behind the heart
        column = np.flatnonzero(lung.to_array()[:, j, i])
        tops[side] = _heights(quiet)[column[0]]
    assert tops[-1] > tops[1] + 2
    k, j, i = _at(quiet, (-75.0, 30.0, tops[-1] - 20))
    assert 40 < np.median(quiet.voxels[k - 1 : k + 2, j - 3 : j + 4, i - 3 : i + 4]) < 75


def test_trachea_is_air_outside_the_lungs(small: Thorax) -> None:
    k, j, i = _at(small, (0.0, 4.0, 90.0))
    assert small.voxels[k, j - 1 : j + 2, i - 1 : i + 2].mean() < -930
    assert not (small.lung_right.to_array() | small.lung_left.to_array())[k, j, i]


def test_blood_sinks_to_the_back(quiet: Thorax) -> None:
    lung = quiet.lung_right.to_array() & (quiet.voxels < -700)
    y = quiet.grid.to_lps_mm(np.argwhere(lung))[:, 1]
    hu = quiet.voxels[lung]
    assert hu[y > 40].mean() > hu[y < -40].mean() + 15


def test_noise_is_as_strong_as_the_scanner_says_and_weaker_in_air(small: Thorax, quiet: Thorax) -> None:
    noise = (small.voxels.astype(float) - quiet.voxels)[50:62]
    liver = (quiet.voxels[50:62] > 20) & (quiet.voxels[50:62] < 80)
    air = quiet.voxels[50:62] < -995
    assert 8 < noise[liver].std() < 30
    assert noise[air].std() < noise[liver].std()


def test_a_sharper_scanner_gives_more_noise(small: Thorax) -> None:
    loud = thorax(SEED, "small", scanner=Scanner(noise_hu=40.0))
    assert loud.voxels[:, :10, :10].std() > 1.5 * small.voxels[:, :10, :10].std()


def test_without_nodules_nothing_else_changes(small: Thorax) -> None:
    free = thorax(SEED, "small", nodules=False)
    assert free.nodules == ()
    assert free.lung_left == small.lung_left
    assert free.grid.frame_of_reference_uid != small.grid.frame_of_reference_uid
    near = np.zeros(small.voxels.shape, dtype=bool)
    for nodule in small.nodules:
        near |= nodule.mask.to_array()
    # Noise follows the tissue that rays pass: rows and columns through a nodule change by a few HU.
    changed = np.abs(free.voxels.astype(int) - small.voxels) > 20
    assert changed.any()
    assert not (changed & ~ndimage.binary_dilation(near, iterations=3)).any()


def test_a_nodule_of_another_size_and_one_that_is_not_there_change_nothing_else(small: Thorax) -> None:
    later = thorax(SEED, "small", scaled={"nodule-1": 1.2, "nodule-3": 0.0})
    first, others = small.nodules[0], [small.nodules[1], small.nodules[3]]
    assert [one.label for one in later.nodules] == ["nodule-1", "nodule-2", "nodule-4"]
    assert later.nodules[0].volume_mm3 == pytest.approx(1.2**3 * first.volume_mm3, rel=0.05)
    assert later.nodules[0].centre_lps_mm == pytest.approx(first.centre_lps_mm, abs=1.5)
    assert [one.mask for one in later.nodules[1:]] == [one.mask for one in others]
    near = small.nodules[2].mask.to_array() | later.nodules[0].mask.to_array()
    changed = np.abs(later.voxels.astype(int) - small.voxels) > 20
    assert not (changed & ~ndimage.binary_dilation(near, iterations=3)).any()


@pytest.mark.parametrize("seed", range(1, 9))
def test_every_seed_plants_a_solid_nodule_of_10_mm_free_in_each_lung(seed: int) -> None:
    affine = np.diag((2.5, 2.5, 2.5, 1.0))
    affine[:3, 3] = (-171.25, -163.25, -143.5)
    lattice = Lattice.around(Grid((112, 138, 138), affine, "1.2.3"), 4.0)
    rng = stream(seed, "anatomy")
    figure = Figure.draw(rng)
    trunk = build_trunk(lattice, figure, rng)
    chest = build_chest(lattice, figure, trunk, rng)
    plans = plan_nodules(lattice, chest.lungs, (chest.hilum_right, chest.hilum_left), stream(seed, "nodules"))
    assert 2 <= len(plans) <= 4
    for side in ("right", "left"):
        assert any(p.kind == "solid" and p.diameter_mm >= 10 and p.side == side for p in plans)
    assert all(8 <= plan.diameter_mm <= 22 for plan in plans)


def test_truth_of_a_nodule_is_that_of_its_mask(small: Thorax) -> None:
    assert [nodule.label for nodule in small.nodules] == [
        f"nodule-{n + 1}" for n in range(len(small.nodules))
    ]
    for nodule in small.nodules:
        inside = nodule.mask.to_array()
        centre = small.grid.to_lps_mm(np.argwhere(inside)).mean(axis=0)
        assert np.allclose(nodule.centre_lps_mm, centre, atol=1e-6)
        assert nodule.volume_mm3 == pytest.approx(inside.sum() * 2.5**3)
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * nodule.diameter_mm**3)
        assert nodule.ignore is False


def test_nodules_lie_in_the_lung_that_they_name(small: Thorax) -> None:
    lungs = {"right": small.lung_right.to_array(), "left": small.lung_left.to_array()}
    for nodule in small.nodules:
        assert lungs[nodule.side][nodule.mask.to_array()].all()
        assert (nodule.centre_lps_mm[0] < 0) == (nodule.side == "right")


def test_nodules_are_tissue_in_the_midst_of_air(quiet: Thorax) -> None:
    for nodule in quiet.nodules:
        inside = nodule.mask.to_array()
        around = ndimage.binary_dilation(inside, iterations=3) & ~ndimage.binary_dilation(
            inside, iterations=2
        )
        core = quiet.voxels[inside]
        assert core.max() > 0
        assert (np.median(core) > -250) == (nodule.kind == "solid")
        assert np.median(quiet.voxels[around]) < -700


def test_nodules_lie_apart(small: Thorax) -> None:
    centres = np.array([nodule.centre_lps_mm for nodule in small.nodules])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(len(centres), 1)]
    assert apart.min() > 35


def test_full_phantom_has_the_same_nodules_on_a_finer_grid(small: Thorax) -> None:
    full = thorax(SEED)
    assert full.voxels.shape == (224, 384, 384)
    assert full.grid.spacing_kji_mm == pytest.approx((1.25, 0.9, 0.9))
    assert [(n.side, n.kind) for n in full.nodules] == [(n.side, n.kind) for n in small.nodules]
    for fine, coarse in zip(full.nodules, small.nodules, strict=True):
        assert fine.diameter_mm == pytest.approx(coarse.diameter_mm, abs=0.5)
    fine_ml, coarse_ml = (p.lung_right.count * p.grid.voxel_mm3 / 1000 for p in (full, small))
    assert fine_ml == pytest.approx(coarse_ml, rel=0.02)


def test_version_is_part_of_the_identity(small: Thorax) -> None:
    assert PHANTOM_VERSION.isdigit()
    assert small.grid.frame_of_reference_uid.startswith("2.25.")

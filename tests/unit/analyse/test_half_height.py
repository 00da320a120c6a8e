"""The border of a lesion at half height: of what density it is, where the mask is left, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, Reading, UnreadableError
from dicomnode.analyse.interpret.half_height import half_height
from dicomnode.engine import CentreHeat, StepSpec
from tests.unit.analyse import lesion_engines as made
from tests.unit.analyse.devices import CountingKernels, analysed, same
from tests.unit.analyse.test_centre_heat import HOW, MM, SHAPE, logit
from tests.unit.analyse.test_grids import grid_of

AT = (15.5, 20.5, 24.5)
LUNG, GLASS, TISSUE = -860.0, -600.0, 30.0
AXES = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
APART = np.sqrt(sum(((a - c) * MM) ** 2 for a, c in zip(AXES, AT, strict=True)))


def ball(diameter: float, inside: float = TISSUE, around: float | np.ndarray = LUNG) -> np.ndarray:
    """Draw a ball of one density, without blur: a voxel is filled by what the sphere covers of it."""
    cover = np.clip((diameter / 2 - APART) / MM + 0.5, 0.0, 1.0)
    return (around + (inside - around) * cover).astype(np.float32)


def blurred(image: np.ndarray, sigma_mm: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, sigma_mm / MM, mode="nearest")


def maps_of(masked: float, seen: float = 12.0, slope: float = 4.0) -> dict[str, np.ndarray]:
    """Maps of a network whose mask ends at the diameter `masked`, its logit falling by `slope` a mm."""
    coarse = np.ogrid[: SHAPE[0] // 2, : SHAPE[1] // 2, : SHAPE[2] // 2]
    near = np.sqrt(sum(((2 * a + 0.5 - c) * MM) ** 2 for a, c in zip(coarse, AT, strict=True)))
    mask = 2.303 + (masked / 2 - APART) * slope
    size = np.full(near.shape, np.log(seen))
    maps = {"heat": logit(0.95) - (near / 2.0) ** 2, "logd": size, "mask": mask.clip(-12, 12)}
    return {name: values[None].astype(np.float32) for name, values in maps.items()}


def read(maps: dict[str, np.ndarray], *images: np.ndarray, inside=None, **how) -> Reading:
    grid = grid_of(SHAPE, (MM,) * 3, (10.0, 20.0, 30.0))
    seen = {f"x{n}": image[None] for n, image in enumerate(images)}
    outputs = Outputs(maps=maps, grid=grid, source=grid, within=None, wanted=1, inside=inside, seen=seen)
    keys = {**HOW, "within_mm": 0.0, "score": "heat", "dense_part": 0.8, **how}
    step = StepSpec(network="n.onnx", centre_heat=CentreHeat(**keys))
    return INTERPRETATIONS["centre_heat"](outputs, step)


def voxels(reading: Reading) -> np.ndarray:
    (shape,) = reading.shapes
    return shape.mask.to_array()


def truth(diameter: float) -> float:
    """Return the volume of a ball in voxels."""
    return np.pi / 6 * diameter**3 / MM**3


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.2])
def test_a_ball_has_the_same_voxels_whatever_the_network_drew_of_it(sigma):
    """A sharp border and a blurred one; blur takes a little off a ball at its half."""
    image = blurred(ball(12.0), sigma)
    masked = [maps_of(diameter, slope=1.5) for diameter in (10.5, 11.0, 12.0)]
    drawn = [voxels(read(maps, image, dense_part=None)).sum() for maps in masked]
    found = [voxels(read(maps, image)) for maps in masked]
    assert drawn == pytest.approx([truth(10.5), truth(11.0), truth(12.0)], rel=0.08)
    assert [one.sum() for one in found] == pytest.approx([truth(12.0)] * 3, rel=0.12)
    assert all((one ^ found[0]).sum() < 0.06 * truth(12.0) for one in found)


@pytest.mark.parametrize(("inside", "dense"), [(600.0, True), (GLASS, True), (LUNG - 100.0, False)])
def test_it_holds_of_any_one_density_that_is_above_what_lies_around(inside, dense):
    image = blurred(ball(12.0, inside), 0.5)
    found = voxels(read(maps_of(10.5, slope=1.5), image)).sum()
    assert found == pytest.approx(truth(12.0 if dense else 10.5), rel=0.08)


def test_a_mask_that_less_of_is_dense_stays():
    """Whether ground glass belongs to a lesion is no question of half a height."""
    image = blurred(ball(12.0), 0.8)
    maps = maps_of(14.0)
    assert np.array_equal(voxels(read(maps, image)), voxels(read(maps, image, dense_part=None)))
    assert voxels(read(maps, image, dense_part=0.5)).sum() < 1.05 * truth(12.0)


@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3))
@settings(max_examples=15, deadline=None)
def test_the_unit_of_what_the_network_sees_does_not_matter(scale, offset):
    """Networks see HU, or HU brought between 0 and 1."""
    image = blurred(ball(12.0), 0.8)
    apart = (voxels(read(maps_of(11.0), image)) ^ voxels(read(maps_of(11.0), image * scale + offset))).sum()
    assert apart <= 2  # float32 rounds another way


def test_of_a_core_in_ground_glass_the_mask_stays_as_the_network_drew_it():
    image = blurred(ball(7.0, around=ball(12.0, GLASS)), 0.8)
    maps = maps_of(12.0)
    assert np.array_equal(voxels(read(maps, image)), voxels(read(maps, image, dense_part=None)))
    assert voxels(read(maps, image, dense_part=0.0)).sum() < 0.7 * truth(12.0)


def test_a_cavity_belongs_to_its_lesion():
    image = blurred(ball(5.0, inside=-950.0, around=ball(14.0)), 0.5)
    found = voxels(read(maps_of(14.0), image))
    assert found[15:17, 20:22, 24:26].all()
    assert found.sum() == pytest.approx(truth(14.0), rel=0.06)


def test_the_mask_keeps_the_wall_out():
    """A ball at a wall as dense as itself: the network's logit falls steeply there."""
    wall = np.broadcast_to(AXES[2] > AT[2] + 12.0 / 2 / MM, SHAPE)
    image = blurred(np.where(wall, TISSUE, ball(12.0)), 0.8)
    maps = maps_of(12.0)
    maps["mask"][0][wall] = -9.0
    found = voxels(read(maps, image))
    assert not (found & wall).any()
    assert found.sum() == pytest.approx(truth(12.0), rel=0.08)


def test_the_logit_says_how_far_it_may_go_beyond_the_mask():
    image = blurred(ball(16.0), 0.8)
    maps = maps_of(12.0, slope=2.303)  # logit 0 is reached 1 mm beyond the mask
    assert voxels(read(maps, image)).sum() == pytest.approx(truth(14.0), rel=0.06)
    assert voxels(read(maps, image, dense_logit=2.303)).sum() == pytest.approx(truth(12.0), rel=0.06)


def test_padding_is_not_looked_at():
    image = blurred(ball(12.0), 0.8)
    inside = (SHAPE[0] - 3, SHAPE[1] - 5, SHAPE[2] - 4)
    padded = image.copy()
    padded[inside[0] :] = padded[:, inside[1] :] = padded[:, :, inside[2] :] = 9e9
    whole, cut = (voxels(read(maps_of(11.0), one, inside=inside)) for one in (image, padded))
    assert np.array_equal(whole, cut)


def test_on_thick_slices_of_the_source_the_border_lies_there_too():
    grid = grid_of(SHAPE, (MM,) * 3)
    source = grid_of((8, 80, 96), (5.0, 0.625, 0.625))
    image = blurred(ball(12.0), 0.5)
    outputs = Outputs(
        maps=maps_of(11.0, slope=1.5),
        grid=grid,
        source=source,
        within=None,
        wanted=1,
        seen={"x": image[None]},
    )
    step = StepSpec(network="n.onnx", centre_heat=CentreHeat(**{**HOW, "score": "heat", "dense_part": 0.8}))
    (shape,) = INTERPRETATIONS["centre_heat"](outputs, step).shapes
    assert shape.mask.count * source.voxel_mm3 == pytest.approx(np.pi / 6 * 12.0**3, rel=0.12)


@pytest.mark.parametrize("images", [(), (ball(12.0), ball(12.0)), (ball(12.0)[:-2],)])
def test_what_is_not_one_volume_is_refused(images):
    with pytest.raises(UnreadableError):
        read(maps_of(12.0), *images)


def test_where_nothing_lies_around_there_is_no_half():
    piece = np.ones((6, 6, 6), dtype=bool)
    assert half_height(piece, np.ones((6, 6, 6), np.float32), np.ones(3), 0.5) is None


def test_half_of_a_step_is_its_middle():
    piece = np.zeros((20, 20, 20), dtype=bool)
    piece[7:13, 7:13, 7:13] = True
    image = np.where(piece, 40.0, -860.0).astype(np.float32)
    assert half_height(piece, image, np.ones(3), 1.0) == -410.0


def test_a_piece_without_voxels_is_a_mistake():
    with pytest.raises(ValueError, match="empty"):
        half_height(np.zeros((4, 4, 4), dtype=bool), np.zeros((4, 4, 4), np.float32), np.ones(3), 0.5)


@pytest.mark.parametrize(("keys", "side"), [("", 7), ("dense_part = 0.8\n", 7), ("dense_part = 0.3\n", 5)])
def test_a_whole_engine_does_so_and_over_the_device_path_alike(tmp_path, make_volume, keys, side):
    """Cubes of five voxels in a rim of one, which the network's mask holds."""
    found = made.FOUND.replace("at_most = 50\n", "at_most = 50\n" + keys)
    image = made.voxels()
    rim = ndimage.maximum_filter(image, size=3) > 0
    volume = make_volume(np.where((image == 0) & rim, np.float32(6.0), image))
    package = made.spots_engine(tmp_path / "e", found + made.SEGMENT)
    findings = analysed(package, {"ct": volume})
    assert [one.mask.count for one in findings.segments] == [side**3] * 3
    assert same(analysed(package, {"ct": volume}, CountingKernels()), findings)

"""Lesions of an algorithm and what is said of each: the same in the patient however slices were stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse import Analysis, Analyst
from dicomnode.values import Grid, Segment, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.forms import CT, LESION, TISSUE, engine
from tests.unit.analyse.test_grids import angles, rotation

SHAPE, SPACING = (24, 40, 52), (2.5, 1.1, 0.9)
BALLS = (((18.0, 14.0, 22.0), 9.0, 40.0), ((33.0, 29.0, 41.0), 7.0, -450.0))
"""LPS mm of the middle, mm across, HU."""
SIDE = (24.0, 22.0, 30.0)
"""LPS mm of the middle of what is drawn."""
ALL_WAYS = list(product(permutations(range(3)), product((False, True), repeat=3)))
BODY = f"""
[[step]]
name = "spots"
algorithm = "blobs"
interpret = "lesions"
parameters = {{ response_hu = 60 }}
[[step]]
name = "rows"
algorithm = "blob_profile"
each = "spots"
interpret = "features"
[[output]]
segment = "spot"
step = "spots"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Spot {{number}}"
measure = ["volume_mm3", "mean_hu"]
[[output]]
features = "row"
step = "rows"
"""


@pytest.fixture(scope="module")
def analyst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyst]:
    prepare = 'prepare = [ { orient = "LPS" }, { resample_mm = [1.25, 1.25, 1.25] } ]\n'
    package = engine(tmp_path_factory.mktemp("any") / "e", BODY, {}, CT + prepare)
    one = Analyst(package, threads=1, node_version="9.9")
    yield one
    one.close()


def drawn(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Balls in lung, on a grid however it lies; a voxel at the border holds a part of both."""
    places = Grid(shape, affine, "1.2").to_lps_mm(np.moveaxis(np.indices(shape), 0, -1))
    hu = np.full(shape, -850.0)
    for centre, mm, density in BALLS:
        cover = np.clip(mm / 2.0 - np.linalg.norm(places - centre, axis=-1) + 0.5, 0.0, 1.0)
        hu += (density - hu) * cover
    return hu.astype(np.float32)


def spots(analyst: Analyst, voxels: np.ndarray, affine: np.ndarray) -> list[Segment]:
    volume = Volume(
        voxels=voxels,
        affine_lps=affine,
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3.9",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(len(voxels))),
        headers=SourceHeaders(()),
    )
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = Analysis(volumes={"ct": volume}, salt=b"s" * 32, study_version=1, made_at=when)
    return list(analyst.analyse(given).segments)


def told(one: Segment) -> list[float]:
    return [*one.centre_lps_mm, *(each.value for each in one.measurements), *one.features[0].values.tolist()]


@pytest.fixture(scope="module")
def straight(analyst: Analyst) -> list[list[float]]:
    """What is said of the balls on axial slices from the feet up."""
    found = spots(analyst, drawn(affine_of(SPACING), SHAPE), affine_of(SPACING))
    assert len(found) == len(BALLS)
    return [told(one) for one in found]


@given(way=st.sampled_from(ALL_WAYS))
@settings(max_examples=8, deadline=None)
def test_turned_and_flipped_slices_give_the_same_lesions_in_the_patient(way, analyst, straight):
    """Feet or head first, prone, sagittal, coronal, mirrored: nothing but the order of the voxels differs."""
    affine = affine_of(SPACING)
    hu = drawn(affine, SHAPE)
    axes, flips = way
    turned, columns, first = np.transpose(hu, axes), [], np.zeros(3)
    for axis, flip in zip(axes, flips, strict=True):
        vector = affine[:3, 2 - axis]
        columns.append(-vector if flip else vector)
        first += vector * (hu.shape[axis] - 1) * flip
    turned = np.ascontiguousarray(np.flip(turned, [n for n, flip in enumerate(flips) if flip]))
    other = np.eye(4)
    other[:3, 2], other[:3, 1], other[:3, 0] = columns
    other[:3, 3] = first
    found = spots(analyst, turned, other)
    assert np.allclose([told(one) for one in found], straight, rtol=1e-5, atol=1e-4)


@given(tilt=angles, spacing=st.tuples(st.floats(0.8, 3.0), st.floats(0.6, 1.5), st.floats(0.6, 1.5)))
@settings(max_examples=6, deadline=None)
def test_on_oblique_slices_of_any_spacing_each_lies_where_it_is(tilt, spacing, analyst):
    affine = np.eye(4)
    affine[:3, :3] = rotation(*tilt) @ np.diag(spacing[::-1])
    shape = tuple(int(np.ceil(64.0 / mm)) for mm in spacing)
    affine[:3, 3] = SIDE - affine[:3, :3] @ (np.array(shape[::-1]) - 1) / 2.0
    found = spots(analyst, drawn(affine, shape), affine)
    for centre, mm, _ in BALLS:
        nearest = min(found, key=lambda one: float(np.linalg.norm(np.subtract(one.centre_lps_mm, centre))))
        assert np.linalg.norm(np.subtract(nearest.centre_lps_mm, centre)) < 1.2
        volume = nearest.measurements[0].value
        assert volume == pytest.approx(np.pi / 6.0 * mm**3, rel=0.35)

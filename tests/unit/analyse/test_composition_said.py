"""What is said of a body composition: each sentence when it is due, and with its numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, Delaunay

from dicomnode.analyse.algorithms.composition_outlines import hull
from dicomnode.analyse.algorithms.composition_said import SAID, BodyFacts, remarks_of
from dicomnode.analyse.algorithms.composition_slabs import noise_of
from dicomnode.values import RemarkKind

PLAIN = {"height_mm": 300.0, "trunk_mm": 300.0}


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"cut_mm": 40.0}, RemarkKind.QUALITY, "beyond the field of view over 40 of 300 mm"),
        ({"open_mm": 25.0}, RemarkKind.QUALITY, "Over 25 of 300 mm of the trunk the ring"),
        ({"apart_mm": 60.0}, RemarkKind.QUALITY, "Over 60 mm the slices show several pieces"),
        ({"head_mm": 80.0}, RemarkKind.QUALITY, "Over 80 mm the slices show a head"),
        ({"metal_ml": 2.0}, RemarkKind.QUALITY, "2.0 ml are denser than any bone (metal)"),
        ({"contrast_ml": 80.0}, RemarkKind.LIMIT, "80 ml as dense as bone were taken for contrast medium"),
        ({"trunk_mm": 0.0}, RemarkKind.LIMIT, "no fat is called visceral"),
    ],
    ids=["cut", "open", "apart", "head", "metal", "contrast", "no trunk"],
)
def test_what_was_seen_is_said_with_its_numbers_and_else_not(facts, kind, words):
    said = [one for one in remarks_of(BodyFacts(**{**PLAIN, **facts})) if words in one.text]
    assert [one.kind for one in said] == [kind]
    assert not any(words in one.text for one in remarks_of(BodyFacts(**PLAIN)))


def test_a_plain_trunk_is_told_what_holds_of_every_one():
    texts = [one.text for one in remarks_of(BodyFacts(**PLAIN))]
    assert len(texts) == 2
    assert "where an organ touches the wall" in texts[0]
    assert "Areas at vertebral levels are not given" in texts[1]


def test_every_sentence_ends_as_one():
    facts = BodyFacts(
        height_mm=1, cut_mm=1, open_mm=1, apart_mm=1, trunk_mm=1, head_mm=1, contrast_ml=9, metal_ml=9
    )
    assert all(one.text(facts).endswith(".") for one in SAID)


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), min_size=3, max_size=12, unique=True))
@settings(max_examples=60, deadline=None)
def test_the_hull_holds_what_a_convex_hull_holds_and_at_most_a_pixel_more(points):
    mask = np.zeros((15, 15), dtype=bool)
    mask[tuple(np.array(points).T)] = True
    found = hull(mask)
    assert (found | mask == found).all()
    if np.linalg.matrix_rank(np.array(points) - points[0]) < 2:
        return
    inside = Delaunay(np.array(points)).find_simplex(np.argwhere(np.ones_like(mask))) >= 0
    assert not (inside.reshape(15, 15) & ~found).any()
    area = ConvexHull(np.array(points)).volume
    assert found.sum() <= area + 3 * 15  # less than a pixel at either side, and the pixels have a width


@pytest.mark.parametrize("hu", [5.0, 20.0, 60.0])
def test_noise_is_measured_where_there_is_soft_tissue(hu):
    rng = np.random.default_rng(1)
    voxels = np.full((4, 80, 80), -1000.0)
    voxels[:, 20:60, 20:60] = 40.0
    noisy = np.rint(voxels + rng.standard_normal(voxels.shape) * hu).astype(np.int16)
    assert noise_of(noisy) == pytest.approx(hu, rel=0.1)
    assert noise_of(np.full((2, 5, 5), -1000, dtype=np.int16)) == 0.0

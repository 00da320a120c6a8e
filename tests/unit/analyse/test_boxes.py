"""Lists of boxes: every way of writing six numbers means the same box, and suppression keeps the surest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, Pass, Reading, UnreadableError
from dicomnode.analyse.interpret.boxes import Found, suppressed
from dicomnode.engine import Boxes, StepSpec
from tests.unit.analyse.test_grids import grid_of

SHAPE = (10, 20, 30)
# One box as k, j, i: 2 … 4, 6 … 12, 3 … 18
SAME = [
    ({}, [2, 6, 3, 4, 12, 18]),
    ({"form": "interleaved"}, [2, 4, 6, 12, 3, 18]),
    ({"form": "centre_size"}, [3, 9, 10.5, 2, 6, 15]),
    ({"axes": "ijk"}, [3, 6, 2, 18, 12, 4]),
    ({"axes": "ijk", "form": "centre_size"}, [10.5, 9, 3, 15, 6, 2]),
    ({"unit": "normalised"}, [0.2, 0.3, 0.1, 0.4, 0.6, 0.6]),
    ({"origin": "centre"}, [1.5, 5.5, 2.5, 3.5, 11.5, 17.5]),
    ({}, [4, 12, 18, 2, 6, 3]),
]


def read(given, scores, *, channels=(0,), inside=None, numbers=None, unreported=False, **how) -> Reading:
    raw = {"boxes": np.float32(given), "scores": np.float32(scores)}
    if numbers is not None:
        raw["classes"] = np.int64(numbers)
        how["classes"] = "classes"
    grid = grid_of(SHAPE, (1, 1, 1))
    outputs = Outputs(
        maps={},
        grid=grid,
        source=grid,
        within=None,
        wanted=len(channels),
        channels=channels,
        passes=(Pass(raw, (0, 0, 0), SHAPE),),
        inside=inside,
        unreported=unreported,
    )
    return INTERPRETATIONS["boxes"](outputs, StepSpec(network="n.onnx", boxes=Boxes(**how)))


@pytest.mark.parametrize(("how", "numbers"), SAME, ids=[str(how) for how, _ in SAME])
@pytest.mark.parametrize("batched", [False, True])
def test_six_numbers_mean_the_same_box_however_they_are_written(how, numbers, batched):
    (box,) = read([[numbers]] if batched else [numbers], [[0.9]] if batched else [0.9], **how).boxes
    grid = grid_of(SHAPE, (1, 1, 1))
    corners = grid.to_lps_mm([[1.5, 5.5, 2.5], [3.5, 11.5, 17.5]])
    assert np.allclose(box.low_lps_mm, corners.min(axis=0), atol=1e-5)
    assert np.allclose(box.high_lps_mm, corners.max(axis=0), atol=1e-5)
    assert box.score == pytest.approx(0.9)


def test_a_column_of_scores_is_a_class():
    boxes = [[0, 0, 0, 2, 2, 2], [5, 5, 5, 8, 8, 8]]
    found = read(boxes, [[0.9, 0.2], [0.6, 0.7]], channels=(0, 1), iou=0.0).boxes
    assert [(box.channel, round(box.score, 3)) for box in found] == [(0, 0.9), (0, 0.6), (1, 0.7)]


def test_classes_that_no_output_wants_are_left_out():
    boxes = [[0, 0, 0, 2, 2, 2], [5, 5, 5, 8, 8, 8]]
    assert [box.channel for box in read(boxes, [0.9, 0.8], channels=(3,), numbers=[2, 3]).boxes] == [3]


def test_boxes_of_different_classes_do_not_suppress_each_other():
    boxes = [[0, 0, 0, 2, 2, 2], [0, 0, 0, 2, 2, 2]]
    assert len(read(boxes, [0.9, 0.8], channels=(0, 1), numbers=[0, 1]).boxes) == 2
    assert len(read(boxes, [0.9, 0.8], channels=(0, 1), numbers=[1, 1]).boxes) == 1


def test_a_box_in_the_padding_is_none_and_one_that_reaches_there_ends_before():
    found = read([[6, 0, 0, 9, 2, 2], [2, 0, 0, 6, 2, 2]], [0.9, 0.8], inside=(5, 20, 30))
    (box,) = found.boxes
    grid = grid_of(SHAPE, (1, 1, 1))
    assert box.score == pytest.approx(0.8)
    ends = grid.to_index_kji(np.array([box.low_lps_mm, box.high_lps_mm]))[:, 0]
    assert sorted(ends) == pytest.approx([1.5, 4.5])


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.45, 0.7])
def test_a_box_whose_score_is_the_threshold_is_reported(threshold):
    asked = read([SAME[0][1]], [threshold], threshold=threshold, unreported=True)
    assert len(asked.boxes) == 1
    assert not asked.below.places
    assert "0 boxes below it" in asked.none_found


def test_more_boxes_than_are_reported_are_counted():
    boxes = [[k, 0, 0, k + 1, 1, 1] for k in range(8)]
    found = read(boxes, np.linspace(0.9, 0.6, 8), at_most=3)
    assert [round(box.score, 2) for box in found.boxes] == [0.9, 0.86, 0.81]
    assert found.remarks[0].text.startswith("8 boxes reach the score of 0.5; the 3 with")


@pytest.mark.parametrize(
    ("boxes", "scores", "more", "says"),
    [
        ([[0, 0, 1, 1]], [0.9], {}, r"not \(boxes, 6\)"),
        ([[0, 0, 0, 1, 1, 1]], [0.9, 0.8], {}, "for 1 boxes"),
        ([[0, 0, 0, 1, 1, np.nan]], [0.9], {}, "not a number"),
        ([[0, 0, 0, 1, 1, 1]], [4.0], {}, "no probabilities"),
        ([[0, 0, 0, 1, 1, 1]], [0.9], {"numbers": [1, 2]}, "2 classes"),
        ([[0, 0, 0, 1, 1, 1]], [0.9], {"boxes": "b"}, "has no output 'b'"),
    ],
    ids=["2D", "counts", "nan", "logits", "classes", "name"],
)
def test_lists_that_do_not_fit_are_named(boxes, scores, more, says):
    with pytest.raises(UnreadableError, match=says):
        read(boxes, scores, **more)


@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.sampled_from([0.0, 0.1, 0.3, 0.7]))
@settings(max_examples=40, deadline=None)
def test_suppression_is_what_pair_by_pair_comparison_gives(seed, count, iou):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 8, (count, 3))
    found = Found(
        low, low + rng.uniform(0.5, 5, (count, 3)), np.zeros(count, np.int64), -np.sort(-rng.random(count))
    )
    kept: list[int] = []
    for row in range(count):
        for other in kept:
            sides = [
                max(0.0, min(found.high[row, a], found.high[other, a]) - max(low[row, a], low[other, a]))
                for a in range(3)
            ]
            both = float(np.prod(sides))
            union = sum(float(np.prod(found.high[n] - low[n])) for n in (row, other)) - both
            if both / union > iou:
                break
        else:
            kept.append(row)
    assert np.array_equal(suppressed(found, iou).score, found.score[kept])


def test_a_softmax_goes_over_the_classes_of_a_box_and_never_over_the_boxes():
    with pytest.raises(UnreadableError, match="a score for each class"):
        read([[2, 6, 3, 4, 12, 18]] * 3, [1.0, 2.0, 3.0], activation="softmax")
    with pytest.raises(UnreadableError, match="several classes"):
        read([[2, 6, 3, 4, 12, 18]] * 3, [[1.0], [2.0], [3.0]], activation="softmax")
    assert len(read([[2, 6, 3, 4, 12, 18]], [[3.0, 0.0]], activation="softmax").boxes) == 1


@pytest.mark.parametrize(("activation", "scores"), [("softmax", (0, 2)), ("sigmoid", (0,)), ("none", (0,))])
def test_a_list_without_boxes_is_no_box(activation, scores):
    found = read(np.zeros((0, 6)), np.zeros(scores), activation=activation)
    assert found.boxes == ()
    assert found.none_found == "None reaches the score of 0.5; 0 boxes below it were not reported."


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.01, 0.99)), min_size=1, max_size=12),
    st.floats(0.05, 0.9),
    st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_reported_and_not_reported_together_are_what_is_reported_without_a_threshold(found, threshold, most):
    """Boxes lie on few places, so that some suppress others, of both classes."""
    boxes = [[0, 0, 5 * place, 3, 3, 5 * place + 4] for place, _ in found]
    given_ = {"scores": [score for _, score in found], "numbers": [n % 2 for n in range(len(found))]}
    channels = (0, 1)
    plain = read(boxes, channels=channels, threshold=threshold, at_most=most, **given_)
    asked = read(boxes, channels=channels, threshold=threshold, at_most=most, unreported=True, **given_)
    free = read(boxes, channels=channels, threshold=0.0, at_most=100, **given_)
    assert plain.below is None
    reported = [(one.channel, one.score) for one in asked.boxes]
    assert reported == [(one.channel, one.score) for one in plain.boxes]
    together = sorted(reported + [(channel, score) for channel, _, score in asked.below.places])
    assert together == sorted((one.channel, one.score) for one in free.boxes)
    assert asked.below.down_to == 0.0

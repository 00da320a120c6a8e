"""How well outputs agree: figures, and what results are made of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dicomnode.engine import CentreHeat, GateSpec, StepSpec
from dicomnode.engine.agreement import LIMITS, Agreement, compare, limits_of, peaks_apart, worst_dice
from dicomnode.engine.manifest.interpretation import Head, Sigmoid

GATE = GateSpec(shape=(1, 1, 4, 4, 4), low=0.0, high=1.0)
DETECTOR = StepSpec(name="net", network="net.onnx", interpret="centre_heat", centre_heat=CentreHeat())
LABELS = StepSpec(name="net", network="net.onnx", interpret="labels")


def ramp(*shape):
    return np.linspace(-1.0, 1.0, math.prod(shape), dtype=np.float32).reshape(shape)


def only(step, wanted, found, name="out"):
    [agreement] = compare(step, "v", {name: wanted}, {name: found}, LIMITS["fp32"].of_span)
    return agreement


def failing(agreement, precision="fp32"):
    return [figure.name for figure in agreement.figures(LIMITS[precision]) if not figure.passed]


def test_equal_outputs_agree_with_nothing_apart():
    agreement = only(LABELS, ramp(1, 2, 4, 4, 4), ramp(1, 2, 4, 4, 4))
    assert (agreement.relative_l2, agreement.max_abs, agreement.dice) == (0.0, 0.0, 1.0)
    assert failing(agreement) == []


def test_the_figures_are_what_their_names_say():
    wanted = np.array([[3.0, 4.0]], np.float32)
    agreement = only(LABELS, wanted, wanted + np.array([[0.0, 0.5]], np.float32))
    assert agreement.relative_l2 == pytest.approx(0.1)  # 0.5 of √(9 + 16)
    assert (agreement.max_abs, agreement.span) == (0.5, 4.0)
    assert [str(figure) for figure in agreement.figures(LIMITS["fp32"])] == [
        "out relative L2 0.1 (limit 0.001)",
        "out largest difference 0.5 (limit 0.004)",
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "it does not give this output"),
        ({"out": ramp(1, 1, 2, 2)}, "its shape is (1, 1, 2, 2), the reference's (1, 1, 2, 2, 2)"),
        ({"out": np.full((1, 1, 2, 2, 2), np.nan, np.float32)}, "not a number, or infinite"),
        ({"out": np.full((1, 1, 2, 2, 2), np.inf, np.float32)}, "not a number, or infinite"),
    ],
    ids=["missing", "shape", "nan", "infinite"],
)
def test_what_cannot_be_compared_is_said_and_has_no_figures(found, said):
    [agreement] = compare(LABELS, "v", {"out": ramp(1, 1, 2, 2, 2)}, found, 1e-3)
    assert said in agreement.problem
    assert list(agreement.figures(LIMITS["fp32"])) == []


def test_a_reference_that_is_not_finite_is_no_measure():
    wrong = np.full((1, 1, 2, 2, 2), np.nan, np.float32)
    assert compare(LABELS, "v", {"out": wrong}, {"out": wrong}, 1e-3) == []


@pytest.mark.parametrize(
    ("precision", "part", "passes"),
    [
        ("fp32", 1e-4, True),
        ("fp32", 5e-3, False),
        ("fp16", 5e-3, True),
        ("fp16", 5e-2, False),
        ("bf16", 2e-2, True),
        ("int8", 5e-2, True),
        ("fp8", 0.2, False),
    ],
)
def test_fewer_bits_are_held_to_less(precision, part, passes):
    wanted = ramp(1, 1, 8, 8, 8)
    agreement = only(replace(LABELS, interpret="map"), wanted, wanted * (1 + part))
    assert (failing(agreement, precision) == []) is passes


def test_a_package_can_tighten_the_limits_and_not_loosen_them():
    tight = limits_of("fp16", replace(GATE, relative_l2=1e-4, dice=0.9999, max_abs=0.01))
    assert (tight.relative_l2, tight.dice, tight.max_abs) == (1e-4, 0.9999, 0.01)
    assert limits_of("fp16", replace(GATE, relative_l2=1.0, dice=0.5)) == LIMITS["fp16"]
    agreement = Agreement(volume="v", output="out", max_abs=0.02, span=100.0)
    assert failing(agreement, "fp16") == []
    assert [one.name for one in agreement.figures(tight) if not one.passed] == ["out largest difference"]


def test_an_output_of_one_value_everywhere_must_be_that_value():
    flat = np.full((1, 1, 2, 2, 2), 3.0, np.float32)
    assert failing(only(replace(LABELS, interpret="map"), flat, flat)) == []
    assert failing(only(replace(LABELS, interpret="map"), flat, flat + 1e-5)) == []
    assert "out largest difference" in failing(only(replace(LABELS, interpret="map"), flat, flat + 0.1))
    nothing = np.zeros((1, 1, 2, 2, 2), np.float32)
    assert "out relative L2" in failing(only(replace(LABELS, interpret="map"), nothing, nothing + 1e-5))


class TestMasks:
    """The worst Dice of what a head makes masks of."""

    @pytest.fixture
    def scores(self):
        """Three classes on 512 voxels; the last one has 64 of them."""
        scores = np.zeros((1, 3, 8, 8, 8), np.float32)
        scores[:, 1] = 1.0
        scores[:, 2, :1] = 2.0
        return scores

    def test_of_several_channels_the_largest_labels_the_voxel(self, scores):
        found = scores.copy()
        found[:, 2, 0, :2] = 0.0  # 16 of 64 voxels go to class 1
        assert only(LABELS, scores, found).dice == pytest.approx(2 * 48 / (64 + 48))

    def test_of_one_channel_the_sign_does(self, scores):
        wanted = np.where(scores[:, 2:] > 0, 1.0, -1.0).astype(np.float32)
        found = wanted.copy()
        found[0, 0, 0, :2] = -1.0
        assert only(LABELS, wanted, found).dice == pytest.approx(2 * 48 / (64 + 48))

    def test_numbers_of_classes_are_compared_as_they_are(self, scores):
        wanted = scores.argmax(axis=1)[:, None]
        found = wanted.copy()
        found[0, 0, 0, :2] = 1
        agreement = only(LABELS, wanted, found)
        assert agreement.dice == pytest.approx(2 * 48 / (64 + 48))
        assert failing(agreement) == [
            "out Dice"
        ]  # 2 instead of 1 is no larger difference than 1 instead of 0

    def test_of_numbers_of_classes_one_voxel_of_rounding_is_not_disagreement(self, scores):
        wanted = scores.argmax(axis=1)[:, None]
        found = wanted.copy()
        found[0, 0, 7, 7, 7] = 2
        assert failing(only(LABELS, wanted, found), "fp16") == []

    def test_a_class_that_the_reference_does_not_see_is_disagreement_however_small(self):
        wanted = np.zeros((1, 1, 64, 64, 64), np.int64)
        found = wanted.copy()
        found[0, 0, 5, 5, 5:8] = 3  # three voxels of 262 144: the background's Dice is 0.99999
        assert only(LABELS, wanted, found).dice == 0.0
        assert failing(only(LABELS, wanted, found), "int8") == ["out Dice"]

    @pytest.mark.parametrize(
        ("how", "level"),
        [
            (None, 0.0),
            (Sigmoid(threshold=0.8), math.log(4.0)),
            (Sigmoid(threshold=0.8, values="probabilities"), 0.8),
        ],
    )
    def test_sigmoid_maps_are_cut_where_the_manifest_says(self, scores, how, level):
        step = replace(LABELS, interpret="sigmoid", sigmoid=how)
        wanted = np.where(scores[:, 2:] > 0, level + 0.1, level - 0.1).astype(np.float32)
        found = wanted.copy()
        found[0, 0, 0, :2] = level - 0.1
        assert only(step, wanted, found).dice == pytest.approx(2 * 48 / (64 + 48))

    def test_the_mask_of_a_detector_is_cut_at_its_logit(self, scores):
        step = replace(DETECTOR, centre_heat=CentreHeat(mask_logit=2.0))
        wanted = np.where(scores[:, 2:] > 0, 2.1, 1.9).astype(np.float32)
        found = wanted.copy()
        found[0, 0, 0, :2] = 1.9
        assert only(step, wanted, found, "mask").dice == pytest.approx(2 * 48 / (64 + 48))
        assert only(step, wanted, found, "logd").dice is None

    def test_each_head_reads_its_own_output(self, scores):
        heads = (
            Head(name="organs", interpret="labels", output="organs"),
            Head(name="map", interpret="map", output="map"),
        )
        step = StepSpec(name="net", network="net.onnx", head=heads)
        found = compare(step, "v", {"organs": scores, "map": scores}, {"organs": scores, "map": scores}, 1e-3)
        assert [one.dice for one in found] == [1.0, None]

    def test_an_output_without_space_labels_nothing(self):
        assert only(LABELS, ramp(1, 5), ramp(1, 5)).dice is None

    @pytest.mark.parametrize("precision", LIMITS)
    @pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
    def test_a_runtime_that_sees_nothing_is_found_where_the_reference_sees_nothing_either(
        self, precision, kind
    ):
        """Half precision gave black masks in the field; on a phantom all masks are black."""
        logits = np.random.default_rng(3).normal(-9.0, 0.7, (1, 1, 16, 16, 16))
        wanted = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        rounded = 1.0 / (1.0 + np.exp(-logits * (1 + 0.4 * LIMITS[precision].relative_l2)))
        black, step = np.zeros_like(wanted), LABELS
        if kind == "softmax":
            wanted, black, rounded = (
                np.concatenate([1 - one, one], axis=1) for one in (wanted, black, rounded)
            )
        else:
            step = replace(LABELS, interpret="sigmoid", sigmoid=Sigmoid(values="probabilities"))
        found = only(step, wanted, black.astype(np.float32))
        assert found.dice == 1.0
        assert "out relative L2 of logarithms" in failing(found, precision)
        near = only(step, wanted, rounded.astype(np.float32))
        assert "out relative L2 of logarithms" not in failing(near, precision)

    def test_other_outputs_have_no_logarithms(self, scores):
        assert only(LABELS, scores, scores).log_l2 is None
        assert (
            only(replace(LABELS, interpret="map"), abs(ramp(1, 1, 4, 4)), abs(ramp(1, 1, 4, 4))).log_l2
            is None
        )
        assert only(LABELS, ramp(1, 5), ramp(1, 5)).log_l2 is None

    def test_a_class_that_only_one_of_them_has_is_no_agreement(self):
        a, b = np.zeros(100, bool), np.ones(100, bool)
        assert worst_dice([a], [b]) == 0.0
        assert worst_dice([a, a], [a]) == 0.0
        assert worst_dice([], []) is None
        assert worst_dice([a], [a]) == 1.0

    def test_one_voxel_of_rounding_is_not_disagreement_and_two_are(self):
        wanted = np.zeros(100, bool)
        wanted[:10] = True
        one, two = wanted.copy(), wanted.copy()
        one[0] = False
        two[:2] = False
        assert worst_dice([wanted], [one]) == 1.0
        assert worst_dice([wanted], [two]) == pytest.approx(16 / 18)

    @given(arrays.arrays(bool, (4, 5)), arrays.arrays(bool, (4, 5)))
    def test_dice_lies_between_none_and_all_and_has_no_sides(self, a, b):
        dice = worst_dice([a], [b])
        assert 0.0 <= dice <= 1.0
        assert dice == worst_dice([b], [a])


class TestPeaks:
    """Places of a heat map that only one of two maps has."""

    @staticmethod
    def heat(*places, shape=(9, 9, 9), at=3.0):
        heat = np.full((1, 1, *shape), -5.0)
        for place in places:
            heat[0, 0][place] = at
        return heat

    def test_the_same_places_are_none_apart(self):
        heat = self.heat((1, 1, 1), (6, 6, 6))
        assert peaks_apart(heat, heat, 0.0, 0.01) == 0

    def test_a_cell_of_shift_is_the_same_place_and_two_are_another(self):
        assert peaks_apart(self.heat((4, 4, 4)), self.heat((5, 3, 4)), 0.0, 0.01) == 0
        assert peaks_apart(self.heat((4, 4, 4)), self.heat((6, 4, 4)), 0.0, 0.01) == 2

    def test_a_place_in_another_item_or_channel_is_another_place(self):
        here, there = self.heat((4, 4, 4)), self.heat()
        for axis in (0, 1):
            one, other = np.concatenate([here, there], axis), np.concatenate([there, here], axis)
            assert peaks_apart(one, other, 0.0, 0.01) == 2

    def test_a_map_that_is_one_plateau_is_compared_in_no_time(self):
        plateau = np.full((1, 1, 64, 64, 64), 3.0, np.float32)
        assert peaks_apart(plateau, plateau, 0.0, 0.01) == 0
        assert peaks_apart(plateau, plateau - 4.0, 0.0, 0.01) == 64**3

    def test_missing_and_extra_peaks_count_alike(self):
        one, two = self.heat((1, 1, 1)), self.heat((1, 1, 1), (6, 6, 6))
        assert peaks_apart(one, two, 0.0, 0.01) == peaks_apart(two, one, 0.0, 0.01) == 1

    def test_a_peak_at_the_threshold_may_be_on_either_side_of_it(self):
        above, below = self.heat((4, 4, 4), at=0.005), self.heat((4, 4, 4), at=-0.005)
        assert peaks_apart(above, below, 0.0, 0.01) == 0
        assert peaks_apart(above, below, 0.0, 0.001) == 1

    @given(st.integers(0, 2**32 - 1))
    def test_small_noise_moves_no_peak_of_a_smooth_map(self, seed):
        axes = np.ogrid[0:9, 0:9, 0:9]
        heat = 5.0 - sum((axis - 4) ** 2 for axis in axes)[None, None]
        noise = np.random.default_rng(seed).uniform(-0.001, 0.001, heat.shape)
        assert peaks_apart(heat, heat + noise, 0.0, 0.01) == 0

    def test_a_detector_that_sees_another_place_does_not_agree(self):
        agreement = only(DETECTOR, self.heat((1, 1, 1)), self.heat((6, 6, 6)), "heat")
        assert agreement.peaks_apart == 2
        assert "heat peaks apart" in failing(agreement)

"""Engines that look at pictures and cines: what goes in, and that what comes out lies on the source."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.values import Grid, Outcome, Picture, PicturePlane, SourceFrame
from tests.unit.analyse.forms import LESION, ONE, TISSUE, engine, headers, node, onnx_bytes, run, step

FLOAT = TensorProto.FLOAT
SPACED = PicturePlane(spacing_ji_mm=(0.5, 0.4), toward=("P", "F"))


def picture_of(frames, plane=SPACED, uid="1.2.3.2.1"):
    """A picture of frames (t, j, i, c)."""
    numbers = [None] if len(frames) == 1 else range(1, len(frames) + 1)
    return Picture(
        frames=frames,
        plane=plane,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.2",
        sources=tuple(SourceFrame(uid, number) for number in numbers),
        headers=headers(),
    )


def blot(shape=(20, 24), rows=slice(3, 9), columns=slice(12, 20)):
    """A dark picture with a bright blot, asymmetric in every way."""
    pixels = np.full((1, *shape, 1), 10, np.uint8)
    pixels[0, rows, columns] = 210
    return pixels


def one_input(picture: str = "", prepare: str = "", kind: str = "picture", name: str = "photo") -> str:
    return f"""
[[input]]
name = "{name}"
kind = "{kind}"
require = [{{ tag = "Modality", equals = "MG" }}]
prepare = [{prepare}]
{"[input.picture]" if picture else ""}
{picture}
"""


def mean_network(channels=1, extra=()):
    """The mean of each channel."""
    shape = [1, channels, "j", "i"]
    nodes = [node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0), *extra]
    outputs = [("mean", [1, channels], FLOAT)]
    return onnx_bytes(nodes, [("x", shape)], outputs, {"axes": np.array([2, 3])})


AXES = 'inputs = { x = { of = ["photo"], axes = "ncji" } }\n'


def regression(folder, inputs, channels=1):
    body = step(keys=AXES + 'interpret = "regression"\n', gate=f"shape = [1, {channels}, 8, 8]")
    for channel in range(channels):
        body += f"""
[[output]]
measurement = "mean{channel}"
step = "net"
channel = {channel}
type = {LESION}
unit = {ONE}
"""
    return engine(folder, body, {"net.onnx": mean_network(channels)}, inputs)


def means(package, *pictures, names=("photo",)):
    found = run(package, *pictures, names=names)
    return [one.value for one in found.measurements]


# ── what goes in ──


def test_a_grey_picture_is_one_channel_of_its_values(tmp_path):
    package = regression(tmp_path / "mean", one_input())
    assert means(package, picture_of(blot())) == [pytest.approx(10 + 200 * 6 * 8 / 480)]


def test_preparations_are_those_of_volumes(tmp_path):
    scale = "{ scale_range = { a_min = 0.0, a_max = 255.0, b_min = 0.0, b_max = 1.0 } }"
    inputs = one_input(prepare=f"{scale}, {{ letterbox = {{ shape_ji = [32, 32] }} }}")
    package = regression(tmp_path / "mean", inputs)
    pixels = np.full((1, 16, 32, 1), 51, np.uint8)
    # rows of 0.5 mm and columns of 0.4 mm: it is 8 mm high and 12.8 mm wide, the rest is 0
    assert means(package, picture_of(pixels)) == [pytest.approx(0.2 * 8 / 12.8, abs=1e-6)]


def colours():
    pixels = np.empty((1, 16, 16, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    return pixels


def test_colours_are_three_channels_each_with_its_own_mean_and_deviation(tmp_path):
    how = 'colour = "rgb"\nmean = [100.0, 50.0, 25.0]\nsd = [10.0, 5.0, 1.0]'
    package = regression(tmp_path / "rgb", one_input(how), channels=3)
    assert means(package, picture_of(colours())) == pytest.approx([10.0, 10.0, 25.0])


def test_a_grey_picture_has_three_equal_channels_for_an_engine_that_wants_colours(tmp_path):
    package = regression(tmp_path / "rgb", one_input('colour = "rgb"'), channels=3)
    assert means(package, picture_of(colours()[..., :1])) == pytest.approx([200.0] * 3)


def test_a_coloured_picture_becomes_its_luminance_for_an_engine_that_wants_grey(tmp_path):
    package = regression(tmp_path / "grey", one_input())
    assert means(package, picture_of(colours())) == pytest.approx([0.299 * 200 + 0.587 * 100 + 0.114 * 50])


def test_a_network_of_another_number_of_channels_is_refused_when_it_is_loaded(tmp_path):
    with pytest.raises(Exception, match=r"3 channels, engine\.toml gives 1"):
        run(regression(tmp_path / "rgb", one_input(), channels=3), picture_of(blot()), names=("photo",))


# ── where it is ──


def segmenter(folder, inputs):
    """Bright is above 100."""
    nodes = [node("Sub", ["x", "at"], ["above"]), node("Sub", ["above", "above"], ["zero"])]
    nodes += [node("Concat", ["zero", "above"], ["seg"], axis=1)]
    network = onnx_bytes(
        nodes,
        [("x", [1, 1, "j", "i"])],
        [("seg", [1, 2, "j", "i"], FLOAT)],
        {"at": np.array(100.0, np.float32)},
    )
    body = step(keys=AXES + 'interpret = "labels"\n', gate="shape = [1, 1, 8, 8]")
    body += f"""
[[output]]
segment = "blot"
step = "net"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Blot {{number}}"
measure = ["long_axis_mm"]
"""
    return engine(folder, body, {"net.onnx": network}, inputs)


TURNS = {
    "as it is": "",
    "flipped": 'rows_toward = "A"',
    "upside down": 'columns_toward = "H"',
    "both": 'rows_toward = "A"\ncolumns_toward = "H"',
    "turned": 'rows_toward = "F"',
    "turned and flipped": 'rows_toward = "H"\ncolumns_toward = "A"',
}


@pytest.mark.parametrize("turn", list(TURNS))
def test_a_mask_comes_back_on_the_pixels_of_the_source_however_it_was_turned(tmp_path, turn):
    pixels = blot()
    found = run(segmenter(tmp_path / "seg", one_input(TURNS[turn])), picture_of(pixels), names=("photo",))
    (segment,) = found.segments
    assert np.array_equal(segment.mask.to_array(), pixels[..., 0] > 100)
    assert segment.centre_lps_mm == pytest.approx((15.5 * 0.4, 5.5 * 0.5, 0.0))
    assert segment.measurements[0].value == pytest.approx(np.hypot(8 * 0.4, 6 * 0.5), rel=0.2)
    assert found.outcome == Outcome.FINDINGS
    assert found.sources[0].plane == SPACED


def test_a_turned_picture_is_what_the_engine_sees(tmp_path):
    """A network that looks at the left half alone: the chest wall of either breast is there."""
    weights = {"start": np.array([0]), "end": np.array([12]), "axis": np.array([3]), "axes": np.array([2, 3])}
    nodes = [
        node("Slice", ["x", "start", "end", "axis"], ["left"]),
        node("ReduceMean", ["left", "axes"], ["mean"], keepdims=0),
    ]
    network = onnx_bytes(nodes, [("x", [1, 1, "j", "i"])], [("mean", [1, 1], FLOAT)], weights)
    body = step(keys=AXES + 'interpret = "regression"\n', gate="shape = [1, 1, 16, 16]")
    body += f'\n[[output]]\nmeasurement = "left"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    package = engine(tmp_path / "left", body, {"net.onnx": network}, one_input('rows_toward = "A"'))
    wall = np.zeros((1, 20, 24, 1), np.uint8)
    wall[:, :, 12:] = 80
    assert means(package, picture_of(wall)) == [80.0]
    front = PicturePlane(toward=("A", "F"))
    assert means(package, picture_of(wall[:, :, ::-1].copy(), front)) == [80.0]


@pytest.mark.parametrize("toward", [None, ("L", "F")], ids=["not told", "another axis"])
def test_a_picture_that_cannot_be_turned_is_not_analysed(tmp_path, toward):
    package = segmenter(tmp_path / "seg", one_input('rows_toward = "A"'))
    found = run(package, picture_of(blot(), PicturePlane(toward=toward)), names=("photo",))
    assert found.outcome == Outcome.NOT_ANALYSED
    assert [remark.code for remark in found.remarks] == ["DN-3078"]


def test_a_letterbox_is_taken_off_again(tmp_path):
    inputs = one_input(prepare="{ letterbox = { shape_ji = [48, 48] } }")
    pixels = blot()
    found = run(segmenter(tmp_path / "seg", inputs), picture_of(pixels), names=("photo",))
    mask = found.segments[0].mask.to_array()
    wanted = pixels[..., 0] > 100
    assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.98


def test_without_a_spacing_nothing_is_given_in_mm(tmp_path):
    found = run(
        segmenter(tmp_path / "seg", one_input()), picture_of(blot(), PicturePlane()), names=("photo",)
    )
    assert found.segments[0].measurements == ()
    assert any("size of a pixel in the patient is not known" in one.text for one in found.remarks)


def test_a_lesion_within_a_picture_is_not_said_to_be_cut_off(tmp_path):
    package = segmenter(tmp_path / "seg", one_input())
    inner = run(package, picture_of(blot()), names=("photo",))
    outer = run(package, picture_of(blot(rows=slice(0, 5))), names=("photo",))
    assert not any("cut off" in one.text for one in inner.remarks)
    assert any("cut off" in one.text for one in outer.remarks)


def detector(folder, columns):
    """Two boxes, j0 i0 j1 i1 in pixels, or with k."""
    boxes = {4: [[3, 12, 9, 20], [0, 0, 2, 2]], 6: [[0, 3, 12, 1, 9, 20], [0, 0, 0, 1, 2, 2]]}[columns]
    weights = {"box": np.array(boxes, np.float32), "score": np.array([0.9, 0.1], np.float32)}
    nodes = [node("Identity", ["box"], ["boxes"]), node("Identity", ["score"], ["scores"])]
    nodes += [node("ReduceMean", ["x"], ["unused"])]
    outputs = [("boxes", [2, columns], FLOAT), ("scores", [2], FLOAT), ("unused", [1, 1, 1, 1], FLOAT)]
    network = onnx_bytes(nodes, [("x", [1, 1, "j", "i"])], outputs, weights)
    body = step(keys=AXES + 'interpret = "boxes"\n[step.boxes]\n', gate="shape = [1, 1, 8, 8]")
    body += f"""
[[output]]
region = "mass"
step = "net"
type = {LESION}
tracking = "Mass {{number}}"
"""
    return engine(folder, body, {"net.onnx": network}, one_input())


@pytest.mark.parametrize("columns", [4, 6])
def test_boxes_of_a_picture_have_four_numbers_or_six(tmp_path, columns):
    found = run(detector(tmp_path / "boxes", columns), picture_of(blot()), names=("photo",))
    (region,) = found.regions
    low, high = region.points_lps_mm
    # from the left face of column 12 to the right one of column 19, rows 3 to 8
    assert low == pytest.approx((11.5 * 0.4, 2.5 * 0.5, -0.5))
    assert high == pytest.approx((19.5 * 0.4, 8.5 * 0.5, 0.5))
    assert region.score == pytest.approx(0.9)


# ── several views ──


def views(folder, prepare=""):
    network = onnx_bytes(
        [
            node("Sub", ["a", "b"], ["difference"]),
            node("ReduceMean", ["difference", "axes"], ["mean"], keepdims=0),
        ],
        [("a", [1, 1, "j", "i"]), ("b", [1, 1, "j", "i"])],
        [("mean", [1, 1], FLOAT)],
        {"axes": np.array([2, 3])},
    )
    inputs = one_input(prepare=prepare, name="cc") + one_input(prepare=prepare, name="mlo")
    keys = (
        'inputs = { a = { of = ["cc"], axes = "ncji" }, b = { of = ["mlo"], axes = "ncji" } }\n'
        'interpret = "regression"\n'
    )
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8], b = [1, 1, 8, 8] }")
    body += f'\n[[output]]\nmeasurement = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    return engine(folder, body, {"net.onnx": network}, inputs)


def even(value, shape=(20, 24)):
    return picture_of(np.full((1, *shape, 1), value, np.uint8), uid=f"1.2.3.2.{value}")


def test_two_views_go_into_one_network(tmp_path):
    package = views(tmp_path / "views")
    found = run(package, even(90), even(40), names=("cc", "mlo"))
    assert [one.value for one in found.measurements] == [50.0]
    assert [one.name for one in found.sources] == ["cc", "mlo"]


def test_views_of_different_sizes_are_brought_to_one_by_prepare(tmp_path):
    package = views(tmp_path / "views", "{ resize = { shape_kji = [1, 16, 16] } }")
    assert means(package, even(90), even(40, (30, 12)), names=("cc", "mlo")) == [pytest.approx(50.0)]


def test_views_of_different_sizes_that_are_not_are_not_analysed(tmp_path):
    found = run(views(tmp_path / "views"), even(90), even(40, (30, 12)), names=("cc", "mlo"))
    assert found.outcome == Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert remark.code == "DN-3079"
    assert "1 × 30 × 12" in remark.text


# ── cine ──


def clip(times_ms, levels):
    frames = np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 8, 8, 1)).copy()
    return picture_of(frames, PicturePlane(frame_times_ms=tuple(times_ms)))


def sequence(folder, picture=""):
    """Of each frame its mean over 256 as a probability, and the largest of them for all."""
    nodes = [
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Div", ["mean", "most"], ["frames"]),
    ]
    weights = {"axes": np.array([3, 4]), "most": np.array(256.0, np.float32)}
    network = onnx_bytes(nodes, [("x", [1, "t", 1, "j", "i"])], [("frames", [1, "t", 1], FLOAT)], weights)
    keys = (
        'inputs = { x = { of = ["clip"], axes = "ntcji" } }\n'
        'interpret = "sequence"\n[step.sequence]\nactivation = "none"\npool = "max"\n'
    )
    body = step(keys=keys, gate="shape = [1, 4, 1, 8, 8]")
    body += f'\n[[output]]\nclassification = "effusion"\nstep = "net"\ntype = {LESION}\n'
    return engine(folder, body, {"net.onnx": network}, one_input(picture, kind="cine", name="clip"))


def test_a_cine_is_a_sequence_of_frames(tmp_path):
    found = run(sequence(tmp_path / "cine"), clip((0, 40, 80), (64, 192, 128)), names=("clip",))
    assert found.classifications[0].probability == pytest.approx(0.75)
    scores = [(one.frame.frame_number, one.score) for one in found.frame_scores]
    assert scores == [(1, 0.25), (2, 0.75), (3, 0.5)]


def test_a_cine_of_uneven_times_is_taken_at_an_even_rate_by_the_nearest_frame(tmp_path):
    """At 0, 50 and 100 ms of frames at 0, 10, 60 and 100 ms: the second is never the nearest."""
    package = sequence(tmp_path / "cine", "frames_per_s = 20.0")
    found = run(package, clip((0, 10, 60, 100), (64, 255, 128, 32)), names=("clip",))
    assert found.classifications[0].probability == pytest.approx(0.5)
    assert [one.frame.frame_number for one in found.frame_scores] == [1, 3, 4]


def test_a_cine_whose_times_are_not_known_is_not_analysed_where_a_rate_is_wanted(tmp_path):
    package = sequence(tmp_path / "cine", "frames_per_s = 20.0")
    found = run(package, clip((), (64, 255)), names=("clip",))
    assert found.outcome == Outcome.NOT_ANALYSED
    assert [one.code for one in found.remarks] == ["DN-3080"]


# ── classes, maps ──


def test_a_class_and_a_heat_map_of_a_picture(tmp_path):
    """The map is the picture over 255, the score its largest value."""
    nodes = [node("Div", ["x", "most"], ["map"]), node("ReduceMax", ["map", "axes"], ["score"], keepdims=0)]
    weights = {"most": np.array(255.0, np.float32), "axes": np.array([1, 2, 3])}
    outputs = [("map", [1, 1, "j", "i"], FLOAT), ("score", [1], FLOAT)]
    network = onnx_bytes(nodes, [("x", [1, 1, "j", "i"])], outputs, weights)
    keys = (
        AXES + 'interpret = "anomaly"\n[step.anomaly]\nscore = "score"\nmap = "map"\nnormals = [0.0, 1.0]\n'
    )
    body = (
        step(keys=keys, gate="shape = [1, 1, 8, 8]")
        + f"""
[[output]]
classification = "odd"
step = "net"
type = {LESION}
[[output]]
map = "heat"
step = "net"
type = {LESION}
unit = {ONE}
"""
    )
    package = engine(tmp_path / "odd", body, {"net.onnx": network}, one_input())
    found = run(package, picture_of(blot()), names=("photo",))
    assert found.classifications[0].probability == pytest.approx(210 / 255, abs=1e-4)
    (heat,) = found.maps
    assert heat.grid.same_as(Grid((1, 20, 24), np.diag([0.4, 0.5, 1.0, 1.0]), ""))
    assert float(heat.values[0, 5, 15]) == pytest.approx(210 / 255)

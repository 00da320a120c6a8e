"""Bundles whose network sees several series, or slices: what becomes of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.engine.manifest.read import read_manifest
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.faults import NO_FORM, QUESTIONS_OPEN, NodeError
from dicomnode.learn import convert_monai
from dicomnode.learn.convert import monai
from dicomnode.learn.convert.torch_network import MadeNetwork
from tests.fixtures.monai.bundles import inference, metadata, write_bundle

Transform = Mapping[str, Any]

UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 2, "out_channels": 2, "channels": [4, 8]}
UNET |= {"strides": [2]}
FLAT = {**UNET, "spatial_dims": 2, "in_channels": 1}
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16]}
SLICES = {"_target_": "SliceInferer", "roi_size": [16, 24]}
ENDING = [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]
TWO = ("t1", "flair")


def on(keys: str | Sequence[str], target: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": target, "keys": keys if isinstance(keys, str) else list(keys), **arguments}


TURN = on("image", "Orientationd", axcodes="RAS")
TURN_BOTH = on(TWO, "Orientationd", axcodes="RAS")
JOIN = on(TWO, "ConcatItemsd", name="image")
OWN = on("image", "NormalizeIntensityd", nonzero=True, channel_wise=True)


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """Convert a bundle of these transforms; its network is not, what is read of the texts counts."""

    def fake(network, **_):
        return MadeNetwork(content=b"", outputs={"pred": (1, 2, *network.inputs["image"].shape[2:])})

    monkeypatch.setattr(monai, "to_onnx", fake)

    def make(
        before, *, network=UNET, inferer=WINDOWS, keys=("image",), channels=TWO, answers=None
    ) -> Manifest:
        config = inference(network, before, ENDING, inferer, keys)
        about = metadata("MR", {"0": "background", "1": "tumor"}, channels)
        folder = write_bundle(
            tmp_path / f"b{len(list(tmp_path.iterdir()))}", config, about, {"model.pt": b"w"}
        )
        draft = convert_monai(folder, answers or {})
        table = {"schema": 1, **json.loads(json.dumps(dict(draft.table), default=dict))}
        table["step"][0]["sha256"] = "0" * 64
        manifest, problems = read_manifest(Path("engine.toml"), toml_text(table).encode())
        assert not problems
        assert manifest is not None
        return manifest

    return make


def names_of(manifest: Manifest, number: int) -> list[str]:
    return [entry.name for entry in manifest.input[number].prepare]


# ── several channels ──


def test_a_list_of_files_becomes_an_input_for_each_channel(convert):
    manifest = convert([TURN, OWN], channels=("T1c", "T1", "T2", "FLAIR"))
    assert [one.name for one in manifest.input] == ["t1c", "t1", "t2", "flair"]
    assert [one.beside_first for one in manifest.input] == [False, True, True, True]
    assert {one.prepare for one in manifest.input} == {manifest.input[0].prepare}
    assert manifest.step[0].inputs["image"].of == ("t1c", "t1", "t2", "flair")
    assert manifest.step[0].gate.shape == (1, 4, 16, 16, 16)


def test_keys_that_are_stacked_have_values_of_their_own_and_one_grid(convert):
    manifest = convert(
        [
            TURN_BOTH,
            on("t1", "ScaleIntensityd"),
            on("flair", "NormalizeIntensityd"),
            JOIN,
            on("image", "SpatialPadd", spatial_size=32),
        ],
        keys=TWO,
    )
    assert names_of(manifest, 0) == ["orient", "scale_minmax", "pad"]
    assert names_of(manifest, 1) == ["orient", "z_score", "pad"]


def test_channels_are_in_the_order_that_they_are_stacked_in(convert):
    manifest = convert([TURN_BOTH, on(("flair", "t1"), "ConcatItemsd", name="image")], keys=TWO)
    assert manifest.step[0].inputs["image"].of == ("flair", "t1")
    assert manifest.input[0].name == "flair"


def test_code_that_stacks_can_be_left_out_where_each_key_is_a_channel(convert):
    mine = {"_target_": "scripts.mine.Stack", "keys_merge": list(TWO)}
    with pytest.raises(NodeError, match=r"scripts\.mine\.Stack|by nothing that is known"):
        convert([TURN_BOTH, mine, OWN], keys=TWO)
    manifest = convert([TURN_BOTH, mine, OWN], keys=TWO, answers={"leave_out": ["scripts.mine.Stack"]})
    assert names_of(manifest, 1) == ["orient", "z_score"]


def test_a_series_that_is_put_onto_the_first_one_is_put_there_by_the_node(convert):
    put = on("flair", "ResampleToMatchd", key_dst="t1", mode="bilinear")
    manifest = convert([put, TURN_BOTH, JOIN], keys=TWO)
    assert names_of(manifest, 0) == names_of(manifest, 1) == ["orient"]


def test_numbers_for_each_channel_are_each_their_own(convert):
    how = on("image", "NormalizeIntensityd", subtrahend=[1.0, 2.0], divisor=[3.0, 4.0], channel_wise=True)
    manifest = convert([TURN, how])
    assert [one.prepare[1].z_score.mean for one in manifest.input] == [1.0, 2.0]
    assert [one.prepare[1].z_score.std for one in manifest.input] == [3.0, 4.0]


def test_how_the_series_of_a_channel_is_known_can_be_said(convert):
    rule = {"tag": "SeriesDescription", "equals": "mine"}
    manifest = convert([TURN, OWN], answers={"channels": {"flair": {"require": [rule]}}})
    assert [one.equals for one in manifest.input[1].require] == ["mine"]


SEVERAL_REFUSED = {
    "measured over all channels": (
        [TURN, on("image", "NormalizeIntensityd")],
        ("image",),
        "channel_wise is false",
    ),
    "scaled over all channels": ([TURN, on("image", "ScaleIntensityd")], ("image",), "channel_wise is false"),
    "one channel's foreground": (
        [TURN, on("image", "CropForegroundd", source_key="image", channel_indices=0), OWN],
        ("image",),
        "channel_indices is 0",
    ),
    "the foreground of one key": (
        [TURN_BOTH, on(TWO, "CropForegroundd", source_key="t1"), JOIN],
        TWO,
        "goes by 't1', and the node by the image itself",
    ),
    "grids of their own": (
        [TURN_BOTH, on("t1", "Spacingd", pixdim=[1, 1, 1]), JOIN],
        TWO,
        "change the grids of t1, flair in different ways",
    ),
    "nothing stacks them": ([TURN_BOTH], TWO, "stacks them by nothing that is known"),
    "stacked along an axis of space": (
        [TURN_BOTH, on(TWO, "ConcatItemsd", name="image", dim=1)],
        TWO,
        "dim is 1",
    ),
    "fewer than the network takes": (
        [TURN_BOTH, on(("t1",), "ConcatItemsd", name="image")],
        TWO,
        "stacks t1 for a network of 2 channels",
    ),
    "put onto a grid that has changed": (
        [TURN_BOTH, on("flair", "ResampleToMatchd", key_dst="t1"), JOIN],
        TWO,
        "had another grid by then",
    ),
}


@pytest.mark.parametrize("what", SEVERAL_REFUSED)
def test_channels_that_have_no_form_are_refused_with_a_sentence(convert, what):
    before, keys, sentence = SEVERAL_REFUSED[what]
    with pytest.raises(NodeError) as raised:
        convert(before, keys=keys)
    assert raised.value.fault is NO_FORM
    assert sentence in str(raised.value)


def test_colours_of_a_photograph_are_no_series(convert):
    with pytest.raises(NodeError, match="colours of a photograph"):
        convert([TURN, OWN], channels=("R", "G", "B"))


def test_channels_whose_names_tell_nothing_are_asked_for(convert):
    with pytest.raises(NodeError, match="how the series of channel 0") as raised:
        convert([TURN, OWN], channels=("image", "image"))
    assert raised.value.fault is QUESTIONS_OPEN


# ── slices ──


@pytest.mark.parametrize(("along", "letters"), [(0, ["SAR"]), (1, ["SAR", "SRA"]), (2, ["SAR", "ARS"])])
def test_the_axis_that_a_network_goes_along_becomes_the_first(convert, along, letters):
    """MONAI's axes are R, A, S; the letters of `orient` name i, j, k."""
    inferer = {**SLICES, "spatial_dim": along}
    manifest = convert([TURN], network=FLAT, inferer=inferer, channels=("image",))
    assert [one.orient for one in manifest.input[0].prepare] == letters
    step = manifest.step[0]
    assert step.window.size_kji == (1, 16, 24)
    assert step.inputs["image"].axes == "ncji"
    assert step.gate.shape == (1, 1, 16, 24)


def test_a_volume_is_measured_whole_before_it_is_cut_into_slices(convert):
    manifest = convert(
        [TURN, on("image", "ScaleIntensityd")], network=FLAT, inferer=SLICES, channels=("image",)
    )
    assert names_of(manifest, 0) == ["orient", "scale_minmax"]


def test_lists_for_pictures_leave_the_distance_of_the_slices_as_it_is(convert):
    before = [
        on("image", "Spacingd", pixdim=[1.5, 1.25]),
        on("image", "CenterSpatialCropd", roi_size=[64, 48]),
    ]
    inferer = {**WINDOWS, "roi_size": [16, 24]}
    manifest = convert(
        before, network=FLAT, inferer=inferer, channels=("image",), answers={"orientation": "RAS"}
    )
    _, spacing, crop, _ = manifest.input[0].prepare
    assert spacing.resample.spacing_kji_mm == (1.5, 1.25, 0.0)
    assert crop.crop_centre.shape_kji[:2] == (64, 48)
    assert crop.crop_centre.shape_kji[2] > 1000
    assert manifest.step[0].window.size_kji == (1, 16, 24)


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        (on("image", "ScaleIntensityd"), "measures each picture"),
        (on("image", "NormalizeIntensityd"), "measures each picture"),
        (on("image", "CropForegroundd"), "measures each picture"),
        (on("image", "Resized", spatial_size=[64, 64]), "resizes each picture"),
        (on("image", "Orientationd", axcodes="RA"), "not three letters"),
    ],
)
def test_what_is_done_to_each_picture_is_refused(convert, transform, sentence):
    inferer = {"_target_": "SimpleInferer"}
    with pytest.raises(NodeError) as raised:
        convert(
            [transform], network=FLAT, inferer=inferer, channels=("image",), answers={"orientation": "RAS"}
        )
    assert raised.value.fault is NO_FORM
    assert sentence in str(raised.value)


def test_an_answer_for_each_slice_is_refused(convert, monkeypatch):
    monkeypatch.setattr(monai, "to_onnx", lambda *_, **__: MadeNetwork(content=b"", outputs={"pred": (1, 3)}))
    with pytest.raises(NodeError, match="answers for each slice"):
        convert([TURN], network=FLAT, inferer=SLICES, channels=("image",))

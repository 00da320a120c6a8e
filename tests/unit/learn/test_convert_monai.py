"""A bundle's transforms, inferer and postprocessing as engine.toml has them; hostile ones run nothing."""

from __future__ import annotations

import json
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.engine.manifest.read import read_manifest
from dicomnode.faults import (
    BUNDLE_UNSAFE,
    CHECKPOINT_UNFIT,
    CODE_NOT_RUN,
    NO_FORM,
    NOT_CONVERTIBLE,
    QUESTIONS_OPEN,
    SOURCE_INCOMPLETE,
    NodeError,
)
from dicomnode.learn import convert_monai
from dicomnode.learn.convert import monai
from dicomnode.learn.convert.monai_calls import call_of, transforms_of
from dicomnode.learn.convert.monai_config import Config
from dicomnode.learn.convert.monai_networks import NETWORKS, network_name
from dicomnode.learn.convert.monai_read import prepared_size
from dicomnode.learn.convert.monai_results import after_of, segments_step, window_of
from dicomnode.learn.convert.monai_transforms import Origin, preparation_of
from dicomnode.learn.convert.torch_network import MadeNetwork
from tests.fixtures.frameworks import needed
from tests.fixtures.monai.bundles import inference, metadata, quiet, write_bundle

IMAGE = Origin(keys=("image",), monai_version=(1, 6))
UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2}
UNET |= {"channels": [4, 8], "strides": [2]}
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16]}
TURN = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
BACK = {"_target_": "Invertd", "keys": "pred", "transform": {}, "orig_keys": "image", "nearest_interp": False}
NEAREST = {**BACK, "nearest_interp": True}
CLASSES = {"0": "background", "1": "spleen"}


def calls(*transforms):
    config = Config({"all": {"_target_": "Compose", "transforms": list(transforms)}})
    return list(transforms_of(config.value("all"), "all", "bundle"))


def prepared(name, origin=IMAGE, **arguments):
    return preparation_of(calls({"_target_": name, "keys": "image", **arguments}), origin, ())


ENTRIES = [
    ("Orientationd", {"axcodes": "RAS"}, {"orient": "SAR"}),
    ("Orientationd", {"as_closest_canonical": True}, {"orient": "SAR"}),
    ("monai.transforms.OrientationD", {"axcodes": "LPS"}, {"orient": "SPL"}),
    (
        "Spacingd",
        {"pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
        {"resample": {"spacing_kji_mm": [1.5, 1.5, 2.0], "align": "monai", "blur": False}},
    ),
    (
        "SpacingDict",
        {"pixdim": [0.8, -1], "mode": ["bilinear"]},
        {"resample": {"spacing_kji_mm": [0.8, 0.0, 0.0], "align": "monai", "blur": False}},
    ),
    ("Resized", {"spatial_size": 96}, {"resize": {"shape_kji": [96, 96, 96], "interpolation": "area"}}),
    (
        "Resized",
        {"spatial_size": [96, 80, 64], "mode": "trilinear", "align_corners": True},
        {
            "resize": {
                "shape_kji": [96, 80, 64],
                "interpolation": "linear",
                "blur": False,
                "align": "corners",
            }
        },
    ),
    ("ScaleIntensityd", {}, {"scale_minmax": {"b_min": 0.0, "b_max": 1.0}}),
    ("ScaleIntensityd", {"minv": -1, "maxv": 1}, {"scale_minmax": {"b_min": -1.0, "b_max": 1.0}}),
    ("ScaleIntensityd", {"minv": None, "maxv": None, "factor": 0.5}, {"rescale": {"slope": 1.5}}),
    (
        "ScaleIntensityRanged",
        {"a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True},
        {"scale_range": {"a_min": -57.0, "a_max": 164.0, "b_min": 0.0, "b_max": 1.0, "clip": True}},
    ),
    (
        "ScaleIntensityRanged",
        {"a_min": 0, "a_max": 10, "clip": True},
        {"scale_range": {"a_min": 0.0, "a_max": 10.0, "b_min": 0.0, "b_max": 1.0}},
    ),
    (
        "ScaleIntensityRangePercentilesd",
        {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1},
        {"percentile": {"lower": 1.0, "upper": 99.0, "b_min": 0.0, "b_max": 1.0}},
    ),
    (
        "ScaleIntensityRangePercentilesd",
        {"lower": 10, "upper": 90, "b_min": 0, "b_max": 200, "relative": True},
        {"percentile": {"lower": 10.0, "upper": 90.0, "b_min": 20.0, "b_max": 180.0}},
    ),
    ("NormalizeIntensityd", {}, {"z_score": {}}),
    ("NormalizeIntensityd", {"nonzero": True, "channel_wise": True}, {"z_score": {"over": "nonzero"}}),
    ("NormalizeIntensityd", {"subtrahend": 5, "divisor": [2.0]}, {"z_score": {"mean": 5.0, "std": 2.0}}),
    ("CropForegroundd", {"source_key": "image"}, {"crop_foreground": {"above": 0.0}}),
    ("CropForegroundd", {"select_fn": "$lambda x: x > -900"}, {"crop_foreground": {"above": -900.0}}),
    ("CropForegroundd", {"select_fn": "$lambda img: img != 0"}, {"crop_foreground": {}}),
    (
        "CropForegroundd",
        {"margin": 5, "k_divisible": [16, 16, 16]},
        {"crop_foreground": {"above": 0.0, "margin_voxels": 5, "multiple": 16, "outside": "pad"}},
    ),
    (
        "CropForegroundd",
        {"margin": 5, "allow_smaller": True},
        {"crop_foreground": {"above": 0.0, "margin_voxels": 5}},
    ),
    ("SpatialPadd", {"spatial_size": [96, -1, 64]}, {"pad": {"shape_kji": [96, 1, 64]}}),
    (
        "SpatialPadd",
        {"spatial_size": 8, "method": "end", "mode": "edge"},
        {"pad": {"shape_kji": [8, 8, 8], "mode": "edge", "where": "end"}},
    ),
    ("DivisiblePadd", {"k": 16, "value": -1}, {"pad": {"multiple_kji": [16, 16, 16], "value": -1.0}}),
    ("CenterSpatialCropd", {"roi_size": [64, 0, 32]}, {"crop_centre": {"shape_kji": [64, 4096, 32]}}),
]


@pytest.mark.parametrize(
    ("name", "arguments", "entry"), ENTRIES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_transform_becomes_the_entry_that_does_the_same(name, arguments, entry):
    assert prepared(name, **arguments) == [entry]


@pytest.mark.parametrize(
    "name", ["LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "ToTensord", "EnsureTypeD", "DataStatsd"]
)
def test_transforms_that_change_no_number_are_passed_over(name):
    assert prepared(name, reader="ITKReader") == []


def test_an_older_monai_lets_the_crop_stop_at_the_edge():
    older = Origin(keys=("image",), monai_version=(1, 3))
    assert prepared("CropForegroundd", older, margin=3) == [
        {"crop_foreground": {"above": 0.0, "margin_voxels": 3}}
    ]
    assert prepared("CropForegroundd", margin=3)[0]["crop_foreground"]["outside"] == "pad"


REFUSED = [
    ("RandFlipd", {}),
    ("GaussianSmoothd", {"sigma": 1}),
    ("subprocess.Popen", {"args": ["touch", "CANARY"]}),
    ("os.system", {"command": "touch CANARY"}),
    ("builtins.eval", {"source": "1"}),
    ("scripts.transforms.MyOwnd", {}),
    ("Orientationd", {"axcodes": "RAR"}),
    ("Orientationd", {"axcodes": "XYZ"}),
    ("Spacingd", {"pixdim": [1, 1, 1], "mode": "nearest"}),
    ("Spacingd", {"pixdim": [1, 1, 1], "diagonal": True}),
    ("Spacingd", {"pixdim": [1, 1, 1], "min_pixdim": [2, 2, 2]}),
    ("Spacingd", {"pixdim": "one"}),
    ("Spacingd", {"pixdim": [1, 1, 1], "unheard_of": 1}),
    ("Spacingd", {"pixdim": [1, 1, 1], "lazy": True}),
    ("Resized", {"spatial_size": [96, -1, 96]}),
    ("Resized", {"spatial_size": 96, "mode": "nearest"}),
    ("Resized", {"spatial_size": 96, "size_mode": "longest"}),
    ("ScaleIntensityRanged", {"a_min": 5, "a_max": 5}),
    ("ScaleIntensityRanged", {"a_min": 0, "a_max": 5, "b_min": 1, "b_max": 0}),
    ("NormalizeIntensityd", {"subtrahend": 5}),
    ("NormalizeIntensityd", {"subtrahend": 5, "divisor": 0}),
    ("CropForegroundd", {"select_fn": "$lambda x: __import__('os').system('x')"}),
    ("CropForegroundd", {"select_fn": "$scripts.mine"}),
    ("CropForegroundd", {"margin": [1, 2, 3]}),
    ("CropForegroundd", {"source_key": "label"}),
    ("SpatialPadd", {"spatial_size": 8, "mode": "wrap"}),
    ("DivisiblePadd", {"k": 1.5}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED, ids=lambda one: one if isinstance(one, str) else "")
def test_what_has_no_form_is_refused_by_its_name(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NodeError) as raised:
        prepared(name, **arguments)
    assert raised.value.fault is NO_FORM
    assert raised.value.values["what"] == name
    assert not list(tmp_path.iterdir())


def test_a_transform_that_the_answers_leave_out_is_left_out():
    assert (
        preparation_of(calls({"_target_": "GaussianSmoothd", "keys": "image"}), IMAGE, ["GaussianSmoothd"])
        == []
    )


def test_python_where_a_number_should_be_is_not_run():
    with pytest.raises(NodeError, match="is Python") as raised:
        prepared("Spacingd", pixdim="$os.getcwd()")
    assert raised.value.fault is CODE_NOT_RUN
    assert "[config]" in raised.value.remedy


def test_disabled_transforms_are_not_there():
    assert calls({"_target_": "Anythingd", "_disabled_": True}) == []


def test_lazy_resampling_is_refused():
    with pytest.raises(NodeError, match="lazy"):
        list(transforms_of({"_target_": "Compose", "transforms": [], "lazy": True}, "all", "bundle"))


# ── the inferer ──


def test_windows_are_those_of_the_inferer():
    inferer = {**WINDOWS, "overlap": [0.625] * 3, "mode": "gaussian", "sigma_scale": 0.2, "sw_batch_size": 4}
    inferer |= {"padding_mode": "replicate", "cval": -1, "device": "cpu", "progress": True}
    assert window_of(call_of(inferer, "inferer", "bundle")) == {
        "size_kji": [16, 16, 16],
        "overlap": 0.625,
        "rule": "monai",
        "blend": "gaussian",
        "sigma": 0.2,
        "pad": "edge",
        "pad_value": -1.0,
        "batch": 4,
    }
    assert window_of(None) == "whole"
    plain = window_of(call_of({**WINDOWS, "roi_size": 32}, "inferer", "bundle"))
    assert plain == {"size_kji": [32, 32, 32], "overlap": 0.25, "rule": "monai", "blend": "constant"}


@pytest.mark.parametrize(
    "change",
    [
        {"_target_": "SliceInferer"},
        {"_target_": "os.system"},
        {"roi_size": [96, 96]},
        {"roi_size": [96, 96, -1]},
        {"overlap": 0.95},
        {"overlap": [0.5, 0.5, 0.25]},
        {"mode": "triangular"},
        {"sigma_scale": [0.1, 0.1, 0.2], "mode": "gaussian"},
        {"with_coord": True},
        {"unheard_of": 1},
    ],
    ids=str,
)
def test_an_inferer_without_a_form_is_refused(change):
    with pytest.raises(NodeError) as raised:
        window_of(call_of({**WINDOWS, **change}, "inferer", "bundle"))
    assert raised.value.fault is NO_FORM


# ── after the network ──

ENDINGS = [
    ([SOFTMAX, BACK, ARGMAX], {"interpret": "labels", "labels": {"interpolate": "probabilities"}}),
    ([BACK, SOFTMAX, ARGMAX], {"interpret": "labels"}),
    ([BACK, ARGMAX], {"interpret": "labels"}),
    ([SOFTMAX, NEAREST, ARGMAX], {"interpret": "labels", "labels": {"interpolate": "classes"}}),
    ([SOFTMAX, ARGMAX, NEAREST], {"interpret": "labels", "labels": {"interpolate": "classes"}}),
    ([ARGMAX, BACK], {"interpret": "labels", "labels": {"interpolate": "classes"}}),
    (
        [SIGMOID, BACK, {**ARGMAX, "argmax": False, "threshold": 0.5}],
        {"interpret": "sigmoid", "sigmoid": {"interpolate": "probabilities"}},
    ),
    (
        [SIGMOID, {**ARGMAX, "argmax": False, "threshold": 0.4}, NEAREST],
        {"interpret": "sigmoid", "sigmoid": {"interpolate": "classes", "threshold": 0.4}},
    ),
    (
        [SOFTMAX, ARGMAX, {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$os.getcwd()"}],
        {"interpret": "labels", "labels": {"interpolate": "classes"}},
    ),
]


@pytest.mark.parametrize(("transforms", "step"), ENDINGS, ids=range(len(ENDINGS)))
def test_the_order_after_the_network_decides_what_is_interpolated(transforms, step):
    [call] = calls({"_target_": "Any"})
    assert segments_step(after_of(calls(*transforms), ()), call, regrids=True) == step


def test_without_interpolation_the_way_back_does_not_matter():
    [call] = calls({"_target_": "Any"})
    after = after_of(calls(SOFTMAX, BACK, ARGMAX), ())
    assert segments_step(after, call, regrids=False) == {"interpret": "labels"}


def test_the_largest_parts_are_kept_of_the_labels_that_are_named():
    keep = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]}
    assert after_of(calls(ARGMAX, keep), ()).largest == {1: 1, 2: 1}
    assert after_of(calls(ARGMAX, {**keep, "applied_labels": None, "num_components": 3}), ()).largest == {
        None: 3
    }


@pytest.mark.parametrize(
    "transforms",
    [
        [{"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x"}],
        [{"_target_": "FillHolesd", "keys": "pred"}],
        [{**SOFTMAX, "other": "tanh"}],
        [SOFTMAX, SIGMOID],
        [BACK, BACK],
        [ARGMAX, {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "connectivity": 1}],
        [
            ARGMAX,
            {
                "_target_": "KeepLargestConnectedComponentd",
                "keys": "pred",
                "applied_labels": [1, 2],
                "independent": False,
            },
        ],
        [{"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}],
    ],
    ids=range(8),
)
def test_an_ending_without_a_form_is_refused(transforms):
    with pytest.raises(NodeError) as raised:
        after_of(calls(*transforms), ())
    assert raised.value.fault is NO_FORM


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ([{"resize": {"shape_kji": [8, 9, 10]}}], (8, 9, 10)),
        ([{"resize": {"shape_kji": [8, 9, 10]}}, {"pad": {"multiple_kji": [4, 4, 4]}}], (8, 12, 12)),
        ([{"pad": {"shape_kji": [64, 64, 64]}}, {"crop_centre": {"shape_kji": [64, 32, 64]}}], (64, 32, 64)),
        ([{"crop_centre": {"shape_kji": [64, 64, 64]}}], None),
        ([{"resize": {"shape_kji": [8, 9, 10]}}, {"crop_foreground": {}}], None),
        ([{"z_score": {}}], None),
    ],
)
def test_the_size_that_all_images_come_to_is_known_where_it_is_one(entries, size):
    assert prepared_size(entries) == size


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "torch.nn.Sequential", "monai.utils.exact_version", "scripts.UNet", ""],
)
def test_only_networks_of_the_list_are_built(target):
    assert network_name(target) is None
    assert {network_name("UNet"), network_name("monai.networks.nets.UNet")} == {"UNet"} <= NETWORKS


# ── whole bundles ──


def bundle(folder: Path, models=None, **changes) -> Path:
    config = inference(UNET, [TURN], [SOFTMAX, BACK, ARGMAX], WINDOWS) | changes.pop("config", {})
    about = metadata("CT", CLASSES) | changes.pop("about", {})
    return write_bundle(folder, config, about, {"model.pt": b"weights"} if models is None else models)


@pytest.fixture
def no_network(monkeypatch):
    """The network is not converted: what is read of the texts alone."""

    def fake(network, **_):
        return MadeNetwork(content=b"", outputs={"pred": (1, 2, *network.inputs["image"].shape[2:])})

    monkeypatch.setattr(monai, "to_onnx", fake)


def manifest_problems(draft):
    table = {"schema": 1, **json.loads(json.dumps(dict(draft.table), default=dict))}
    for step in table["step"]:
        step["sha256"] = "0" * 64
    return read_manifest(Path("engine.toml"), toml_text(table).encode())[1]


def test_a_bundle_becomes_a_manifest_without_a_problem(tmp_path, no_network):
    keep = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}
    config = {"postprocessing": {"_target_": "Compose", "transforms": [SOFTMAX, BACK, ARGMAX, keep]}}
    draft = convert_monai(bundle(tmp_path / "spleen ct", config=config))
    assert manifest_problems(draft) == []
    assert (draft.table["name"], draft.table["version"], draft.table["use"]) == (
        "spleen-ct",
        "0.3.1",
        "Research and engineering. Not for clinical use.",
    )
    assert draft.table["input"][0]["require"] == [{"tag": "Modality", "equals": "CT"}]
    [spleen] = draft.table["output"]
    assert (spleen["segment"], spleen["channel"], spleen["largest"]) == ("spleen", 1, 1)
    assert "spleen ct 0.3.1" in draft.card


def test_answers_come_before_what_the_bundle_says(tmp_path, no_network):
    answers = {
        "name": "mine",
        "version": "2.0",
        "modality": "MR",
        "outputs": {"1": {"segment": "milt", "tracking": "Milt", "measure": []}},
    }
    draft = convert_monai(bundle(tmp_path / "b"), answers)
    assert manifest_problems(draft) == []
    assert (draft.table["name"], draft.table["version"]) == ("mine", "2.0")
    assert draft.table["input"][0]["require"][0]["equals"] == "MR"
    assert draft.table["output"][0]["segment"] == "milt"


def test_a_value_that_is_python_can_be_answered(tmp_path, no_network):
    turned = {
        "_target_": "Compose",
        "transforms": [TURN, {"_target_": "Spacingd", "keys": "image", "pixdim": "@mm"}],
    }
    path = bundle(tmp_path / "b", config={"preprocessing": turned, "mm": "$numpy.ones(3)"})
    with pytest.raises(NodeError) as raised:
        convert_monai(path)
    assert raised.value.fault is CODE_NOT_RUN
    draft = convert_monai(path, {"config": {"mm": [1, 1, 1]}})
    assert draft.table["input"][0]["prepare"][1]["resample"]["spacing_kji_mm"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "fault", "said"),
    [
        (
            {"config": {"preprocessing": {"_target_": "Compose", "transforms": []}}},
            QUESTIONS_OPEN,
            "orientation",
        ),
        ({"about": {"network_data_format": {}}}, QUESTIONS_OPEN, "modality"),
        (
            {"about": {"network_data_format": {"inputs": {"image": {"num_channels": "four"}}}}},
            NO_FORM,
            "num_channels is 'four'",
        ),
        ({"config": {"inferer": "@nowhere"}}, SOURCE_INCOMPLETE, "nowhere"),
        ({"config": {"inferer": "$make()"}}, CODE_NOT_RUN, "make"),
        ({"config": {"network_def": {**UNET, "spatial_dims": 2}}}, NO_FORM, "gives the network slices"),
        (
            {"config": {"inferer": {"_target_": "SliceInferer", "roi_size": [16, 16]}}},
            NO_FORM,
            "two dimensions",
        ),
        ({"config": {"network_def": {**UNET, "channels": "$os.listdir()"}}}, CODE_NOT_RUN, "listdir"),
        (
            {"config": {"network_def": {"_target_": "os.system", "command": "touch CANARY"}}},
            SOURCE_INCOMPLETE,
            "os.system",
        ),
        ({"models": {}}, SOURCE_INCOMPLETE, "neither"),
    ],
    ids=range(10),
)
def test_what_is_missing_or_strange_is_named(change, fault, said, tmp_path, no_network):
    with pytest.raises(NodeError, match=said) as raised:
        convert_monai(bundle(tmp_path / "b", **change))
    assert raised.value.fault is fault


class Touch:
    """A pickle that runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


def pickled_weights(canary: Path) -> bytes:
    """A checkpoint of torch's own form whose pickle runs a command."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": Touch(canary)}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return content.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "plain pickle"])
def test_weights_that_are_a_program_are_not_run(form, tmp_path):
    needed("torch")
    needed("monai")
    canary = tmp_path / "canary"
    content = (
        pickled_weights(canary) if form == "zip" else pickle.dumps({"weight": Touch(canary)}, protocol=2)
    )
    with pytest.raises(NodeError) as raised:
        convert_monai(bundle(tmp_path / "b", models={"model.pt": content}))
    assert raised.value.fault in {BUNDLE_UNSAFE, CHECKPOINT_UNFIT}
    assert not canary.exists()


@pytest.mark.long
@pytest.mark.slow
def test_weights_of_another_network_and_networks_that_cannot_be_are_named(tmp_path):
    needed("monai")
    with quiet():
        import torch
        from monai.networks.nets import UNet

        content = BytesIO()
        arguments = {name: value for name, value in UNET.items() if name != "_target_"}
        torch.save(UNet(**arguments | {"channels": [4, 16]}).state_dict(), content)
    weights = {"model.pt": content.getvalue()}
    rows = [
        ({}, CHECKPOINT_UNFIT, "size mismatch"),
        ({"network_def": {**UNET, "strides": []}}, NOT_CONVERTIBLE, "does not build its UNet"),
        ({"network_def": {**UNET, "channels": [4, 10**9]}}, NOT_CONVERTIBLE, "memory|big"),
    ]
    for number, (config, fault, said) in enumerate(rows):
        with pytest.raises(NodeError, match=said) as raised:
            convert_monai(bundle(tmp_path / str(number), models=weights, config=config))
        assert raised.value.fault is fault

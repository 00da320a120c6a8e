"""What becomes of an nnU-Net result, and what is refused: files are read and nothing in them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.engine.manifest.read import read_manifest
from dicomnode.faults import NodeError
from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("nnunetv2")

from dicomnode.learn import convert_nnunet  # noqa: E402  torch is there
from dicomnode.learn.convert.nnunet_files import find_result  # noqa: E402
from tests.fixtures.nnunet.make import Case, checkpoint_of, make_result  # noqa: E402

CASE = Case("Liver", folds=2, steps=1, seed=7)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A result folder with two folds; its network has learned nothing."""
    return make_result(tmp_path_factory.mktemp("made"), CASE)


@pytest.fixture
def result(made, tmp_path) -> Path:
    """A copy that may be spoiled."""
    return Path(shutil.copytree(made.parent, tmp_path / made.parent.name)) / made.name


def rewrite(path: Path, *keys: str, value) -> None:
    """Set a key of a JSON file, or of the innermost table that the keys lead to."""
    table = json.loads(path.read_text())
    inner = table
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(table))


def refused(path: Path, **answers) -> NodeError:
    with pytest.raises(NodeError) as error:
        convert_nnunet(path, answers)
    return error.value


def spoil(result: Path, change) -> None:
    """Change what fold 0's checkpoint holds."""
    path = result / "fold_0" / "checkpoint_final.pth"
    table = torch.load(path, weights_only=False)
    change(table)
    torch.save(table, path)


# ── what is made ──


def test_the_draft_is_an_engine_toml_without_problems(made):
    draft = convert_nnunet(made, {})
    table = {"schema": 1, **draft.table}
    table["step"] = [{**draft.table["step"][0], "sha256": "0" * 64}]
    manifest, problems = read_manifest(Path("engine.toml"), toml_text(table).encode())
    assert not problems
    assert manifest is not None
    assert manifest.name == "liver"
    assert [one.concept.value for one in manifest.output] == ["10200004", "108369006"]
    assert manifest.step[0].window.mirror == ("k", "j", "i")
    assert manifest.step[0].labels.thick_slices == "nearest"


def test_preparation_is_nnu_nets_in_its_order(made):
    [given] = convert_nnunet(made, {}).table["input"]
    assert [next(iter(entry)) for entry in given["prepare"]] == [
        *("orient", "crop_foreground", "clip", "z_score", "resample")
    ]
    assert given["prepare"][2] == {"clip": [-120.0, 220.0]}
    assert given["prepare"][4]["resample"] == {
        "spacing_kji_mm": [4.0, 1.25, 1.25],
        "interpolation": "cubic",
        "align": "extent",
        "blur": False,
        "thick_slices": "nearest",
    }


def test_the_folds_are_one_network_that_gives_the_mean_of_their_logits(made):
    import onnxruntime
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    content = convert_nnunet(made, {}).networks["network.onnx"]
    image = np.random.default_rng(1).normal(size=(3, 1, *CASE.patch)).astype(np.float32)
    found = onnxruntime.InferenceSession(content).run(None, {"image": image})[0]
    architecture = json.loads((made / "plans.json").read_text())["configurations"]["base"]["architecture"]
    total = 0.0
    for fold in range(2):
        network = get_network_from_plans(
            architecture["network_class_name"],
            architecture["arch_kwargs"],
            architecture["_kw_requires_import"],
            1,
            3,
            deep_supervision=False,
        )
        checkpoint = torch.load(made / f"fold_{fold}" / "checkpoint_final.pth", weights_only=False)
        network.load_state_dict(checkpoint["network_weights"])
        with torch.no_grad():
            total = total + network.eval()(torch.from_numpy(image)).numpy()
    assert np.abs(found - total / 2).max() < 1e-4


def test_folds_can_be_chosen(made):
    one, both = convert_nnunet(made, {"folds": [1]}), convert_nnunet(made, {})
    assert len(one.networks["network.onnx"]) < 0.6 * len(both.networks["network.onnx"])
    assert "Folds in the network: 1; no ensemble" in one.card


def test_a_zip_gives_what_its_folder_gives(made, tmp_path):
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(made.rglob("*")):
            packed.write(file, file.relative_to(made.parent.parent))
    a, b = convert_nnunet(archive, {"folds": [0]}), convert_nnunet(made, {"folds": [0]})
    assert a.networks == b.networks
    assert dict(a.table) == dict(b.table)


def test_of_several_configurations_one_is_named(made, result):
    shutil.copytree(made, result.parent / "nnUNetTrainer__nnUNetPlans__3d_lowres")
    error = refused(result.parent)
    assert error.fault.code == "DN-4222"
    assert "3d_fullres, 3d_lowres" in str(error)
    assert find_result(result.parent, "3d_lowres").title.endswith("__3d_lowres")


def test_plans_of_before_2_4_give_the_same_network(made, result):
    plans = json.loads((result / "plans.json").read_text())
    base = plans["configurations"]["base"]
    keys = base.pop("architecture")["arch_kwargs"]
    base |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 8,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": keys["n_conv_per_stage"],
        "n_conv_per_stage_decoder": keys["n_conv_per_stage_decoder"],
        "conv_kernel_sizes": keys["kernel_sizes"],
        "pool_op_kernel_sizes": keys["strides"],
    }
    (result / "plans.json").write_text(json.dumps(plans))
    old, new = convert_nnunet(result, {"folds": [0]}), convert_nnunet(made, {"folds": [0]})
    assert old.networks == new.networks


def test_what_a_person_says_stands_before_what_is_proposed(made):
    code = {"scheme": "SCT", "code": "4147007", "meaning": "Mass"}
    answers = {"name": "mine", "orient": "LAS", "outputs": {"2": {"type": code, "segment": "mass"}}}
    table = convert_nnunet(made, answers).table
    assert table["name"] == "mine"
    assert table["input"][0]["prepare"][0] == {"orient": "LAS"}
    assert table["output"][1]["type"] == code
    assert table["output"][1]["segment"] == "mass"


def test_a_reader_that_turns_images_leaves_nothing_to_say(result):
    rewrite(result / "plans.json", "image_reader_writer", value="NibabelIOWithReorient")
    draft = convert_nnunet(result, {"orient": "LPS", "folds": [0]})
    assert draft.table["input"][0]["prepare"][0] == {"orient": "RAS"}


@pytest.mark.parametrize(
    ("transpose", "letters"), [([0, 1, 2], "LPS"), ([1, 0, 2], "LSP"), ([2, 0, 1], "PSL"), ([2, 1, 0], "SPL")]
)
def test_a_transposition_is_an_orientation(result, transpose, letters):
    """Axis 0 of [2, 0, 1] is x: to the left, and it is k, the last letter."""
    rewrite(result / "plans.json", "transpose_forward", value=transpose)
    draft = convert_nnunet(result, {"folds": [0]})
    assert draft.table["input"][0]["prepare"][0] == {"orient": letters}


def test_names_without_a_code_are_said(result):
    rewrite(result / "dataset.json", "labels", value={"background": 0, "zone A": 1, "zone B": 2})
    draft = convert_nnunet(result, {"folds": [0]})
    assert [one["type"]["scheme"] for one in draft.table["output"]] == ["99DICOMNODE"] * 2
    codes = {one["type"]["code"] for one in draft.table["output"]}
    assert len(codes) == 2
    assert any("zone A, zone B" in sentence for sentence in draft.left_out)


def test_two_runs_give_the_same_bytes(made):
    a, b = (convert_nnunet(made, {"folds": [0]}) for _ in range(2))
    assert a.networks == b.networks
    assert a.card == b.card


# ── hostile checkpoints ──


class _Runs:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


def test_a_checkpoint_that_wants_to_run_something_is_refused_and_nothing_runs(result, tmp_path):
    mark = tmp_path / "it-ran"
    spoil(result, lambda table: table.update(logging=_Runs(mark)))
    error = refused(result)
    assert error.fault.code == "DN-4220"
    assert "system" in str(error)
    assert not mark.exists()


def test_a_global_that_is_put_together_while_reading_is_refused_too(result, tmp_path):
    """STACK_GLOBAL takes names from the stack: no table of names in the file tells them."""
    mark = tmp_path / "it-ran"
    text = f"touch {mark}".encode()
    body = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(text)]) + text + b"\x85R."
    path = result / "fold_0" / "checkpoint_final.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", body)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    error = refused(result)
    assert error.fault.code == "DN-4220"
    assert not mark.exists()


def test_a_plain_pickle_is_no_checkpoint(result, tmp_path):
    mark = tmp_path / "it-ran"
    (result / "fold_0" / "checkpoint_final.pth").write_bytes(pickle.dumps(_Runs(mark)))
    error = refused(result)
    assert error.fault.code == "DN-4221"
    assert not mark.exists()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_off_is_refused(result, part):
    path = result / "fold_0" / "checkpoint_final.pth"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert refused(result).fault.code == "DN-4221"


def test_weights_of_other_shapes_are_refused_by_name(result):
    def change(table):
        table["network_weights"]["encoder.stages.0.0.convs.0.conv.weight"] = torch.zeros(8, 2, 1, 3, 3)

    spoil(result, change)
    error = refused(result)
    assert error.fault.code == "DN-4221"
    assert "encoder.stages.0.0.convs.0.conv.weight is (8, 2, 1, 3, 3), the plans say (8, 1, 1, 3, 3)" in str(
        error
    )


def test_weights_that_are_missing_or_too_many_are_refused_by_name(result):
    spoil(result, lambda table: table["network_weights"].pop("decoder.seg_layers.1.weight"))
    assert "decoder.seg_layers.1.weight is missing" in str(refused(result))
    spoil(result, lambda table: table["network_weights"].update({"extra.weight": torch.zeros(1)}))
    assert "1 are too many" in str(refused(result))


def test_weights_that_are_no_numbers_are_refused(result):
    def change(table):
        table["network_weights"]["decoder.seg_layers.1.bias"][0] = float("nan")

    spoil(result, change)
    assert "holds what is not a number" in str(refused(result))


@pytest.mark.parametrize("table", [{}, {"network_weights": 3}, {"network_weights": {"a": 1}}, [1]])
def test_a_file_of_torch_that_is_no_checkpoint_is_refused(result, table):
    torch.save(table, result / "fold_0" / "checkpoint_final.pth")
    assert refused(result).fault.code == "DN-4221"


def test_a_plan_that_asks_for_a_huge_network_takes_no_memory(result):
    keys = ("configurations", "base", "architecture", "arch_kwargs", "features_per_stage")
    rewrite(result / "plans.json", *keys, value=[4096, 4096, 4096])
    assert refused(result).fault.code == "DN-4221"


def test_checkpoints_of_wrapped_networks_are_read(made, result):
    def change(table):
        table["network_weights"] = {f"_orig_mod.{k}": v for k, v in table["network_weights"].items()}

    spoil(result, change)
    assert convert_nnunet(result, {"folds": [0]}).networks == convert_nnunet(made, {"folds": [0]}).networks


def test_an_axis_that_the_network_does_not_have_cannot_be_mirrored(result):
    spoil(result, lambda table: table.update(inference_allowed_mirroring_axes=(0, 3)))
    assert refused(result).fault.code == "DN-4221"


# ── files that are not there, or lead elsewhere ──


def test_a_fold_that_is_not_there_is_named(result):
    error = refused(result, folds=[0, 3])
    assert error.fault.code == "DN-4222"
    assert "fold_3 is not there; it has fold_0, fold_1" in str(error)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_a_folder_without_its_plans_or_data_set_is_refused(result, name):
    (result / name).unlink()
    assert refused(result).fault.code == "DN-4222"


def test_a_checkpoint_that_is_not_there_is_named(result):
    (result / "fold_1" / "checkpoint_final.pth").rename(result / "fold_1" / "checkpoint_best.pth")
    error = refused(result)
    assert error.fault.code == "DN-4222"
    assert "fold_1/checkpoint_final.pth is not there" in str(error)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\x00"])
def test_json_that_is_none_is_refused(result, text):
    (result / "dataset.json").write_text(text)
    assert refused(result).fault.code == "DN-4222"


def test_a_link_that_leads_out_of_the_folder_is_refused(result, tmp_path):
    path = result / "fold_0" / "checkpoint_final.pth"
    outside = tmp_path / "outside.pth"
    path.rename(outside)
    path.symlink_to(outside)
    error = refused(result)
    assert error.fault.code == "DN-4222"
    assert "leads out of the folder" in str(error)


@pytest.mark.parametrize("name", ["../plans.json", "/etc/plans.json", "a/../../plans.json", "C:plans.json"])
def test_a_zip_with_a_path_that_leads_out_of_it_is_refused(made, tmp_path, name):
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(made / "dataset.json", "x/dataset.json")
        packed.writestr(zipfile.ZipInfo(name), (made / "plans.json").read_bytes())
    error = refused(archive)
    assert error.fault.code == "DN-4222"
    assert "unsafe name" in str(error)


def test_what_is_no_folder_and_no_zip_is_refused(tmp_path):
    assert refused(tmp_path / "nothing").fault.code == "DN-4222"
    (tmp_path / "text.zip").write_text("no zip")
    assert refused(tmp_path / "text.zip").fault.code == "DN-4222"
    assert refused(tmp_path).fault.code == "DN-4222"


# ── what has no form here ──

BASE = ("configurations", "base")
ARCHITECTURE = (*BASE, "architecture")
UNFIT = {
    "a network of another class": (
        (*ARCHITECTURE, "network_class_name"),
        "dynamic_network_architectures.architectures.primus.Primus_S",
        "its network is Primus_S; PlainConvUNet and ResidualEncoderUNet are known",
    ),
    "a class that is no network": (
        (*ARCHITECTURE, "network_class_name"),
        "os.system",
        "its network is system",
    ),
    "another normalisation": ((*BASE, "normalization_schemes"), ["MyScheme"], "normalised by MyScheme"),
    "another preprocessor": ((*BASE, "preprocessor_name"), "Mine", "preprocessor_name is Mine"),
    "another nonlinearity": (
        (*ARCHITECTURE, "arch_kwargs", "nonlin"),
        "os.system",
        "its nonlinearity is system",
    ),
    "another norm": (
        (*ARCHITECTURE, "arch_kwargs", "norm_op"),
        "builtins.eval",
        "its normalisation is builtins.eval",
    ),
    "a key that is not known": ((*ARCHITECTURE, "arch_kwargs", "block"), "Bottleneck", "built with block"),
    "a patch that does not fit": ((*BASE, "patch_size"), [9, 32, 32], "9 voxels along an axis"),
    "a patch without end": ((*BASE, "patch_size"), [4096, 4096, 4096], "4096 × 4096 × 4096"),
    "a text for a number": ((*BASE, "spacing"), ["a", 1.0, 1.0], "not numbers above 0"),
    "a table for a list": ((*BASE, "patch_size"), {"a": 1}, "patch_size is {'a': 1}, not a list"),
    "a list for a table": ((*BASE, "architecture"), [1], "architecture is [1], not an object"),
    "a circle of configurations": (
        (*BASE, "inherits_from"),
        "3d_fullres",
        "has no configuration '3d_fullres'",
    ),
    "resampling across thick slices": (
        (*BASE, "resampling_fn_data_kwargs"),
        {"order": 3, "order_z": 1, "force_separate_z": None},
        "treats thick slices in a way",
    ),
    "a spline of another order": ((*BASE, "resampling_fn_data_kwargs"), {"order": 2}, "has the order 2"),
    "a reader of pictures": (("image_reader_writer",), "NaturalImage2DIO", "read by NaturalImage2DIO"),
    "an order that is none": (("transpose_forward",), [0, 0, 1], "transpose_forward is [0, 0, 1]"),
    "no intensities for CT": (("foreground_intensity_properties_per_channel",), {}, "percentile_00_5 is nan"),
}


@pytest.mark.parametrize("what", sorted(UNFIT))
def test_plans_without_a_form_here_are_refused_with_a_sentence(result, what):
    keys, value, sentence = UNFIT[what]
    rewrite(result / "plans.json", *keys, value=value)
    error = refused(result)
    assert error.fault.code == "DN-4223"
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"liver": 1}, "no labels with a background"),
        ({"background": 0}, "no label beside the background"),
        ({"background": 0, "a": 1, "b": 3}, "without a gap"),
        ({"background": 0, "a": [1, 2], "b": 2}, "regions_class_order"),
        ({"background": 0, "a": "liver"}, "not a number or a list of numbers"),
    ],
)
def test_labels_that_nnu_net_could_not_have_are_refused(result, labels, sentence):
    rewrite(result / "dataset.json", "labels", value=labels)
    error = refused(result)
    assert error.fault.code == "DN-4223"
    assert sentence in str(error)


# ── the second stage of a cascade ──


def cascade(result: Path) -> Path:
    """Make the second stage of a cascade of a result."""
    rewrite(result / "plans.json", *BASE, "previous_stage", value="3d_lowres")
    path = result.with_name("nnUNetTrainer__nnUNetPlans__3d_cascade_fullres")
    return result.rename(path)


def test_the_second_stage_of_a_cascade_is_refused_with_what_is_missing(result):
    error = refused(cascade(result))
    assert error.fault.code == "DN-4226"
    assert "sees what 3d_lowres found on a grid of its own" in str(error)
    assert "none with checkpoints lies here" in error.remedy


@pytest.mark.parametrize("given", ["the stage alone", "the folder above", "a zip"])
def test_it_names_the_configurations_of_one_stage_that_can_be_taken(made, result, tmp_path, given):
    second = cascade(result)
    for name in ("3d_fullres", "3d_lowres"):
        shutil.copytree(made, second.with_name(f"nnUNetTrainer__nnUNetPlans__{name}"))
    where = second.parent.resolve()
    if given == "a zip":
        where = Path(shutil.make_archive(str(tmp_path / "model"), "zip", second.parent))
    answers = {} if given == "the stage alone" else {"configuration": "3d_cascade_fullres"}
    error = refused(second if given == "the stage alone" else where, **answers)
    assert error.fault.code == "DN-4226"
    ways = [
        f"`dicomnode engine add {where} --set configuration={name}`" for name in ("3d_fullres", "3d_lowres")
    ]
    assert " or ".join(ways) in error.remedy
    assert convert_nnunet(where, {"configuration": "3d_fullres", "folds": [0]}).networks


# ── several channels ──


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """A result whose network takes two series."""
    case = Case("Two", scheme="ZScoreNormalization", masked=True, channel="T1ce", second="FLAIR", steps=1)
    return make_result(tmp_path_factory.mktemp("two"), case)


def test_channels_become_inputs_that_are_prepared_beside_each_other(two):
    draft = convert_nnunet(two, {})
    table = {"schema": 1, **draft.table}
    table["step"] = [{**draft.table["step"][0], "sha256": "0" * 64}]
    manifest, problems = read_manifest(Path("engine.toml"), toml_text(table).encode())
    assert not problems
    assert manifest is not None
    assert [(one.name, one.beside_first) for one in manifest.input] == [("t1ce", False), ("flair", True)]
    assert manifest.input[0].prepare == manifest.input[1].prepare
    assert manifest.step[0].inputs["image"].of == ("t1ce", "flair")
    assert manifest.step[0].gate.shape == (1, 2, 8, 32, 32)
    assert "were proposed from the names of the channels" in draft.card


def test_each_channel_is_normalised_as_the_plans_say(two, tmp_path):
    result = Path(shutil.copytree(two, tmp_path / two.name))
    keys = ("configurations", "base", "normalization_schemes")
    rewrite(result / "plans.json", *keys, value=["CTNormalization", "ZScoreNormalization"])
    one, other = convert_nnunet(result, {}).table["input"]
    assert [next(iter(entry)) for entry in one["prepare"][2:4]] == ["clip", "z_score"]
    assert other["prepare"][2] == {"z_score": {"over": "nonzero_filled"}}
    assert [one["prepare"][n] for n in (0, 1, 4)] == [other["prepare"][n] for n in (0, 1, 3)]


def test_how_the_series_of_a_channel_is_known_can_be_said(two):
    rule = {"tag": "SeriesDescription", "matches": "(?i)tirm"}
    _, other = convert_nnunet(two, {"channels": {"1": {"require": [rule]}}}).table["input"]
    assert other["require"] == [rule]


def test_channels_whose_names_tell_nothing_are_asked_for(two, tmp_path):
    result = Path(shutil.copytree(two, tmp_path / two.name))
    rewrite(result / "dataset.json", "channel_names", value={"0": "0", "1": "FLAIR"})
    error = refused(result)
    assert error.fault.code == "DN-4202"
    assert "how the series of channel 0" in str(error)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"orientation": "LPS"}, "orient"),
        ({"orient": "LLS"}, "three letters"),
        ({"folds": "first"}, "numbers of folds"),
        ({"checkpoint": "latest"}, '"final" or "best"'),
        ({"outputs": {"one": {}}}, "a table for each channel"),
        ({"name": ""}, "some text"),
        ({"require": "CT"}, "a list of rules"),
        ({"channels": ["T1"]}, "a table for each channel"),
    ],
)
def test_an_answer_of_a_wrong_form_is_refused(made, answers, sentence):
    error = refused(made, **answers)
    assert error.fault.code == "DN-4203"
    assert sentence in str(error)


def test_a_checkpoint_of_an_older_numpy_is_read(made, result):
    """Its numbers of numpy are named by the module that they were in before numpy 2."""
    path = result / "fold_0" / "checkpoint_final.pth"
    table = checkpoint_of(CASE, {}, {}, 0, torch.nn.Linear(1, 1))
    torch.save(table, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    assert any(b"numpy._core.multiarray" in content for content in entries.values())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    # It is read, and then the weights of another network are found in it
    assert refused(result).fault.code == "DN-4221"

"""What is proposed for a network: sensible by its shapes, its values and its last operators."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicomnode.engine.adding.answers import Answers, numbers, shown
from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.labelling import concept_of, segment_output, stem_of
from dicomnode.engine.adding.looking import look
from dicomnode.engine.adding.meaning import meanings
from dicomnode.engine.adding.propose import draft_from_onnx
from dicomnode.engine.adding.propose_prepare import range_after
from dicomnode.engine.adding.trial import LEAST_BYTES, LEAST_SECONDS, MOST_SECONDS, Limits
from dicomnode.faults import ANSWER_WRONG, QUESTIONS_OPEN, NodeError
from dicomnode.learn import convert
from dicomnode.learn.convert.nnunet_answers import Said
from tests.unit.engine.foreign import KINDS, graph_of, one, save
from tests.unit.engine.small_engine import network

LIMITS = Limits(seconds=120.0)
GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "add-an-engine.md"


@pytest.fixture
def draft(tmp_path):
    """Make a draft of a network with what is proposed, and answers."""

    def make(model, **answers: object) -> Draft:
        path = save(model, tmp_path / "net.onnx")
        return draft_from_onnx(path, Answers(given=answers, accept=True), LIMITS)

    return make


def step_of(made: Draft) -> dict:
    [step] = made.table["step"]
    return step


def pooling(factor: int, rank: int = 3):
    """A network whose sides must be multiples of `factor`: pooled, brought back, and added."""
    size = [factor] * rank
    scales = numpy_helper.from_array(np.array([1, 1, *size], np.float32), "scales")
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=size, strides=size),
        helper.make_node("Resize", ["p", "", "scales"], ["r"], mode="nearest"),
        helper.make_node("Add", ["x", "r"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["y"]),
    ]
    return graph_of(nodes, shape=[1, 1, *"kji"[3 - rank :]], weights=[scales])


@pytest.mark.parametrize("factor", [1, 2, 8, 32])
def test_what_sides_must_be_a_multiple_of_is_found_by_trying(tmp_path, factor):
    assert look(save(pooling(factor), tmp_path / "net.onnx"), LIMITS).multiple == factor


def test_sides_are_padded_to_the_multiple(draft):
    [series] = draft(pooling(8)).table["input"]
    assert series["prepare"][-1] == {"pad": {"multiple_kji": [8, 8, 8], "where": "end"}}


def test_slices_are_put_into_a_box_of_the_multiple(draft):
    made = draft(pooling(32, rank=2), shape_ji=[200, 300])
    [series] = made.table["input"]
    assert {"letterbox": {"shape_ji": [200, 300]}} in series["prepare"]
    [series] = draft(pooling(32, rank=2)).table["input"]
    assert {"letterbox": {"shape_ji": [256, 256]}} in series["prepare"]
    assert step_of(made)["window"] == {"size_kji": [1, 200, 300], "overlap": 0.0, "batch": 1}


def three_classes():
    nodes = [
        helper.make_node("Concat", ["x", "x", "x"], ["c"], axis=1),
        helper.make_node("Softmax", ["c"], ["y"], axis=1),
    ]
    return graph_of(nodes)


SHAPES = {
    "a volume": ([1, 1, "k", "j", "i"], "nckji"),
    "channels last": ([1, "k", "j", "i", 2], "nkjic"),
    "a film of pictures": ([1, "t", 3, 64, 64], "ntcji"),
    "slices": (["n", 1, "j", "i"], "ncji"),
    "slices, channels last": (["n", "j", "i", 3], "njic"),
    "a volume without channels": ([1, 40, "j", "i"], "nkji"),
    "slices without channels": (["n", 128, 128], "nji"),
    "numbers": (["n", 7], "nf"),
}


@pytest.mark.parametrize("case", list(SHAPES))
def test_axes_are_told_by_the_shape(tmp_path, case):
    shape, axes = SHAPES[case]
    [entry] = look(save(one("Relu", shape=shape), tmp_path / "net.onnx"), LIMITS).entries
    assert entry.axes == axes


def test_three_outputs_of_two_sizes_are_a_map_of_centres(draft):
    step = step_of(draft(network(), labels=["nodule"]))
    assert step["interpret"] == "centre_heat"
    assert step["centre_heat"] == {"heat": "heat", "size": "logd", "mask": "mask", "stride": 2}


def test_boxes_with_scores_and_classes_are_boxes(draft):
    step = step_of(draft(KINDS["box finder"]()))
    assert step["boxes"] == {"boxes": "boxes", "scores": "scores", "classes": "classes", "activation": "none"}


def test_of_several_maps_one_is_read_and_the_others_are_named(draft):
    nodes = [helper.make_node("Sigmoid", ["x"], ["deep"]), helper.make_node("Sigmoid", ["x"], ["main"])]
    model = graph_of(nodes, outputs=[("deep", TensorProto.FLOAT), ("main", TensorProto.FLOAT)])
    made = draft(model, output="main")
    assert step_of(made)["output"] == "main"
    assert "Its output deep is not read." in made.left_out


def test_a_last_operator_that_says_what_comes_out_leaves_nothing_to_ask(tmp_path):
    for operator, word in (("Softmax", "labels"), ("Sigmoid", "sigmoid")):
        nodes = [
            helper.make_node("Concat", ["x", "x", "x"], ["c"], axis=1),
            helper.make_node(operator, ["c"], ["y"], **({"axis": 1} if operator == "Softmax" else {})),
        ]
        looked = look(save(graph_of(nodes), tmp_path / "net.onnx"), LIMITS)
        first = meanings(looked)[0]
        assert (first.interpret, first.channels, first.sure) == (word, 3, True)


def test_logits_of_one_channel_may_be_a_mask_a_map_or_an_image(tmp_path):
    looked = look(save(one("Neg"), tmp_path / "net.onnx"), LIMITS)
    assert [way.interpret for way in meanings(looked)] == ["sigmoid", "map", "image"]
    assert meanings(looked)[0].parameters["values"] == "logits"


def test_a_long_row_without_probabilities_is_proposed_as_features(draft):
    weight = numpy_helper.from_array(np.ones((8, 128), np.float32), "w")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    model = graph_of(nodes, shape=["n", 8, 16, 16, 16], weights=[weight])
    made = draft(model, channels="repeat")
    assert step_of(made)["interpret"] == "features"
    assert made.table["output"][0]["features"] == "features"


def test_several_channels_are_several_series_by_their_names(draft):
    made = draft(
        one("Softmax", shape=[1, 2, 16, 16, 16], weights=()), channels=["t1", "flair"], labels=["tumour"]
    )
    first, second = made.table["input"]
    assert (first["name"], second["name"]) == ("t1", "flair")
    assert second["require"][-1] == {"tag": "SeriesDescription", "matches": "(?i)flair"}
    assert [next(iter(entry)) for entry in second["prepare"]] == ["scale_range"]  # on the grid of the first
    assert step_of(made)["inputs"] == {"x": {"of": ["t1", "flair"], "axes": "nckji"}}


def test_channels_of_slices_can_be_their_neighbours(draft):
    made = draft(KINDS["2D ResNet"](), channels="neighbours")
    assert step_of(made)["inputs"] == {"x": {"of": "ct", "axes": "ncji", "neighbours": 1}}


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["liver"], "2 labels, one for each channel"), (["a", "b", "c"], "2 labels"), (["-", "-"], "reported")],
)
def test_a_class_that_no_label_speaks_of_is_never_left_out_in_silence(draft, labels, said):
    with pytest.raises(NodeError, match="labels") as caught:
        draft(three_classes(), labels=labels)
    assert caught.value.fault is ANSWER_WRONG
    assert said in str(caught.value)
    assert '"-" leaves one out' in str(caught.value)


def test_a_class_that_is_left_out_on_purpose_is_named_in_the_card(draft):
    said = "Its class 2 is not reported, as the answers say."
    made = draft(three_classes(), labels=["liver", "-"])
    assert [one["channel"] for one in made.table["output"]] == [1]
    assert said in made.left_out
    assert said in draft(three_classes(), outputs=made.table["output"]).left_out
    assert draft(three_classes(), labels=["liver", "spleen"]).left_out == ()


def test_a_finder_of_several_classes_has_a_label_for_each(draft):
    made = draft(KINDS["box finder"](), labels=["nodule", "mass"])
    assert [(one["region"], one["channel"]) for one in made.table["output"]] == [("nodule", 0), ("mass", 1)]


def test_what_was_answered_stands_in_the_card(draft):
    card = draft(one("Sigmoid"), modality="MR", labels=["liver"]).card
    assert '- `modality`: `"MR"`' in card
    assert '- `labels`: `["liver"]`' in card
    assert "wrong rule for the intensities" in card


def test_all_that_is_missing_is_told_at_once(tmp_path):
    path = save(one("Sigmoid"), tmp_path / "net.onnx")
    with pytest.raises(NodeError) as caught:
        draft_from_onnx(path, Answers(given={"modality": "MR"}), LIMITS)
    assert caught.value.fault is QUESTIONS_OPEN
    missing = str(caught.value.values["missing"])
    assert [line.split(":")[0].strip() for line in missing.strip().splitlines()] == [
        "orientation",
        "spacing_kji_mm",
        "intensity",
        "labels",
    ]


# ── ranges, names, numbers ──


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        ([], (-1000.0, 400.0)),
        ([{"clip": [-200.0, 3071.0]}], (-200.0, 400.0)),
        ([{"window": {"centre": 40.0, "width": 400.0, "low": -1.0}}], (-1.0, 1.0)),
        ([{"scale_minmax": {}}], (0.0, 1.0)),
        ([{"z_score": {}}], (-3.0, 3.0)),
        ([{"clip": [-200.0, 200.0]}, {"z_score": {"mean": 50.0, "std": 100.0}}], (-2.5, 1.5)),
        ([{"scale_minmax": {}}, {"rescale": {"slope": -2.0, "intercept": 1.0}}], (-1.0, 1.0)),
        ([{"landmarks": {"percentiles": [1, 99], "values": [0, 100]}}], (0.0, 100.0)),
        ([{"orient": "LPS"}, {"percentile": {"lower": 1, "upper": 99, "b_max": 2.0}}], (0.0, 2.0)),
    ],
)
def test_the_range_of_the_gate_is_that_of_a_prepared_volume(prepare, expected):
    assert range_after(prepare, "CT") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("liver", "10200004"),
        ("left kidneys", "64033007"),
        ("Grey matter", "389081007"),
        ("white-matter", "389080008"),
        ("lung", "39607008"),
        ("nodule", "27925004"),
    ],
)
def test_names_find_their_codes_in_the_dictionary_of_dicom(name, code):
    assert (concept_of(name).scheme, concept_of(name).value) == ("SCT", code)


def test_a_name_that_nobody_knows_gets_a_code_of_a_private_scheme():
    one, two = concept_of("Blob of the seventh type"), concept_of("Blob of the seventh kind")
    assert (one.scheme, one.meaning) == ("99DICOMNODE", "Blob of the seventh type")
    assert one.value != two.value
    assert len(one.value) <= 16


def test_a_side_in_the_name_is_the_laterality():
    made = segment_output("Left lung", ["volume_ml"])
    assert (made["segment"], made["laterality"], made["tracking"]) == ("lung", "left", "Left lung")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lung tumour", "lesion"),
        ("lung_mass", "lesion"),
        ("masses", "lesion"),
        ("pneumothorax", "lesion"),
        ("thrombus", "lesion"),
        ("candidate", "lesion"),
        ("cystic_duct", "tissue"),
        ("fat", "tissue"),
        ("white matter", "tissue"),
        ("liver", "anatomy"),
    ],
)
def test_names_tell_what_kind_of_thing_they_are(name, kind):
    made = segment_output(name, [])
    assert made["kind"] == kind
    assert ("{number}" in made["tracking"]) == (kind == "lesion")


@pytest.mark.parametrize(
    ("name", "stem"), [("T1 (post)", "t1-post"), ("3rd ventricle", "class-3rd-ventricle")]
)
def test_a_label_is_a_name_of_engine_toml(name, stem):
    assert stem_of(name) == stem


def test_numbers_are_read_in_all_forms():
    three = numbers(3, word="keep")
    assert three("keep") == "keep"
    assert three(1.5) == [1.5, 1.5, 1.5]
    assert three("1, 2,3") == [1.0, 2.0, 3.0]
    for wrong in ("a", [1, 2], [1, 2, 0], True, None):
        with pytest.raises(ValueError, match="3 numbers above 0"):
            three(wrong)
    with pytest.raises(ValueError, match="whole"):
        numbers(2, whole=True)([1.5, 2])


def test_values_are_shown_as_toml_has_them():
    assert shown([{"a": 1.0, "b": ["x"]}, {}, True]) == '[{ a = 1.0, b = ["x"] }, {}, true]'


def test_every_question_stands_in_the_guide(tmp_path):
    guide = GUIDE.read_text(encoding="utf-8")
    known: set[str] = set()
    for number, make in enumerate([*KINDS.values(), lambda: pooling(2, rank=2)]):
        answers = Answers(given={"tags": ["KVP", "SliceThickness"]}, accept=True)
        with contextlib.suppress(NodeError):
            draft_from_onnx(save(make(), tmp_path / f"{number}.onnx"), answers, LIMITS)
        known |= answers.known
    assert {"fit", "tags", "channels", "shape_ji", "labels"} <= known
    assert [key for key in sorted(known) if f"`{key}`" not in guide and key not in _BY_ITS_NAME] == []


def test_every_answer_of_the_other_kinds_stands_in_the_guide():
    """Those that a converter looks for by name, in its text."""
    guide = GUIDE.read_text(encoding="utf-8")
    converters = Path(convert.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(converters.glob("*.py")))
    asked = set(re.findall(r"""\b(?:answers|said|given)\.(?:get|raw)\(\s*"(\w+)\"""", text))
    assert {"shape", "any_size", "leave_out", "orientation", "normals"} <= asked
    asked |= {one.name for one in dataclasses.fields(Said)}
    assert [key for key in sorted(asked - {"kind"}) if f"`{key}`" not in guide] == []


def test_the_limits_of_a_trial_stand_in_the_guide():
    guide = GUIDE.read_text(encoding="utf-8")
    assert f"{LEAST_SECONDS} to {MOST_SECONDS} seconds; {Limits().seconds:g} unless given" in guide
    assert f"from {LEAST_BYTES / 1e9:g} to what the machine has" in guide


# Parameters of an interpretation: the guide says that they go by its name
_BY_ITS_NAME = {"labels", "sigmoid", "sequence", "classes", "boxes", "regression", "map", "image", "features"}

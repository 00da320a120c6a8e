"""The words of engine.toml for every task: what is right is read, what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import Feed, GateSpec, read_manifest
from dicomnode.engine.manifest.interpretation import Classes

PATH = Path("engine.toml")
TYPE = '{ scheme = "SCT", code = "52988006", meaning = "Lesion" }'
UNIT = '{ scheme = "UCUM", code = "mo", meaning = "month" }'
GOOD = f"""
schema = 1
name = "forms"
version = "1.0.0"
title = "Forms"
use = "Tests."

[[input]]
name = "ct"
kind = "volume"
require = [ {{ tag = "Modality", equals = "CT" }} ]
prepare = [ {{ orient = "LPS" }} ]

[[input]]
name = "pet"
kind = "volume"
require = [ {{ tag = "Modality", equals = "PT" }} ]
prepare = [ {{ clip = [0.0, 20.0] }} ]

[[input]]
name = "patient"
kind = "tags"
tags = [ {{ tag = "PatientAge" }}, {{ tag = "PatientSex", values = {{ M = 1.0, F = 0.0 }} }} ]

[[step]]
network = "deep.onnx"
sha256 = "{"0" * 64}"
inputs = {{ image = ["ct", "pet"], other = {{ of = "pet", axes = "ncijk" }} }}
window = "whole"
interpret = "features"
[step.gate]
shapes = {{ image = [1, 2, 8, 8, 8], other = [1, 1, 8, 8, 8] }}
low = 0.0
high = 1.0
relative_l2 = 1e-3

[[step]]
network = "net.onnx"
sha256 = "{"0" * 64}"
inputs = {{ x = ["deep", "patient"] }}
window = "whole"
[[step.head]]
name = "class"
interpret = "classes"
output = "probabilities"
[step.head.classes]
activation = "none"
[[step.head]]
name = "age"
interpret = "regression"
output = "age"
[step.gate]
shape = [1, 66]
low = 0.0
high = 1.0

[[output]]
classification = "sick"
step = "net"
head = "class"
type = {TYPE}
channel = 1

[[output]]
measurement = "age"
step = "net"
head = "age"
type = {TYPE}
unit = {UNIT}
plausible = [0.0, 228.0]

[[output]]
features = "deep"
step = "deep"
"""


def read(text: str):
    return read_manifest(PATH, text.encode())


def refused(base: str, old: str, new: str, key: str) -> str:
    """Put `new` in the place of `old`; return the one problem that is found at `key`, in words."""
    assert old in base
    manifest, problems = read(base.replace(old, new, 1))
    assert manifest is None
    found = [problem for problem in problems if problem.key == key or problem.key.startswith(f"{key}[")]
    assert len(found) == 1, [str(problem) for problem in problems]
    assert found[0].line is not None
    return str(found[0])


def test_inputs_heads_and_outputs_are_read_and_find_each_other():
    manifest, problems = read(GOOD)
    assert problems == []
    deep, net = manifest.step
    assert deep.inputs == {"image": Feed(of=("ct", "pet")), "other": Feed(of=("pet",), axes="ncijk")}
    assert [one.name for one in manifest.volumes] == ["ct", "pet"]
    assert deep.heads == (deep,)
    assert [head.name for head in net.heads] == ["class", "age"]
    assert net.heads[0].classes == Classes(activation="none")
    sick, age, kept = manifest.output
    assert [(one.what, one.label) for one in manifest.output] == [
        ("classification", "sick"),
        ("measurement", "age"),
        ("features", "deep"),
    ]
    assert manifest.of_head("net", "class") == (sick,)
    assert manifest.of_head("net", "age") == (age,)
    assert manifest.of_head("deep") == (kept,)
    assert (manifest.channel_of(sick), manifest.channel_of(age)) == (1, 0)


def test_a_gate_has_the_shape_of_each_input():
    gate = read(GOOD)[0].step[0].gate
    assert isinstance(gate, GateSpec)
    assert gate.for_input("image").shape == (1, 2, 8, 8, 8)
    assert gate.for_input("other").shape == (1, 1, 8, 8, 8)
    assert gate.relative_l2 == 1e-3


# What is replaced, by what, and where and how it is said
WRONG = [
    ('kind = "volume"', 'kind = "tags"', "input[1].kind", "Results go back on a series"),
    (
        'name = "pet"\nkind = "volume"',
        'name = "pet"\nkind = "picture"',
        "input[2].kind",
        "no place in patient space",
    ),
    ('require = [ { tag = "Modality", equals = "PT" } ]\n', "", "input[2].require", "at least one"),
    ("{ clip = [0.0, 20.0] }", "{ resample_mm = [1.0, 1.0, 1.0] }", "input[2].prepare[1]", "keeps the grid"),
    (
        "{ clip = [0.0, 20.0] }",
        "{ pad = { shape_kji = [8, 8, 8] } }",
        "input[2].prepare[1]",
        "grid that the first",
    ),
    (
        '{ tag = "PatientAge" }',
        '{ tag = "PatientAges" }',
        "input[3].tags[1].tag",
        'Did you mean "PatientAge"?',
    ),
    ('{ tag = "PatientAge" }', '{ tag = "PatientName" }', "input[3].tags[1].tag", "that can be a number"),
    (", values = { M = 1.0, F = 0.0 }", "", "input[3].tags[2].values", "the number of each text"),
    ('{ tag = "PatientAge" }', '{ tag = "PatientAge", sd = 0.0 }', "input[3].tags[1].sd", "above 0"),
    (
        'kind = "tags"\n',
        'kind = "tags"\nprepare = [ { orient = "LPS" } ]\n',
        "input[3].prepare",
        "first input's",
    ),
    ('of = "pet", axes = "ncijk"', 'of = "pat", axes = "ncijk"', "step[1].inputs.other.of[1]", 'mean "pet"?'),
    ('["ct", "pet"]', '["ct", "patient"]', "step[1].inputs.image.of", "volumes only, or rows"),
    ('axes = "ncijk"', 'axes = "ncikj"', "step[1].inputs.other.axes", 'Did you mean "ncij"?'),
    (
        '["deep", "patient"]',
        '["net", "patient"]',
        "step[2].inputs.x.of[1]",
        "an earlier step that gives numbers",
    ),
    (
        "other = [1, 1, 8, 8, 8]",
        "othr = [1, 1, 8, 8, 8]",
        "step[1].gate.shapes.othr",
        'Did you mean "other"?',
    ),
    ("shape = [1, 66]\n", "", "step[2].gate.shape", "the shape of the input tensor"),
    ("image = [1, 2, 8, 8, 8]", "image = [1, 2, 8, 8, 0]", "step[1].gate.shapes.image", "above 0"),
    ('interpret = "features"', 'interpret = "boxes"', "step[1].boxes", "[step.boxes] with the parameters"),
    ('interpret = "features"', 'interpret = "sequence"', "step[1].inputs", "slices as a sequence"),
    (
        'interpret = "features"',
        'interpret = "features"\nanomaly = { score = "s", normals = [0.0, 1.0] }',
        "step[1].anomaly",
        "not the parameters of features",
    ),
    (
        'interpret = "features"',
        'interpret = "anomaly"\nanomaly = { normals = [0.0, 1.0] }',
        "step[1].anomaly",
        "at least one of score, map, reconstruction",
    ),
    (
        'interpret = "features"',
        'interpret = "anomaly"\nanomaly = { score = "s", normals = [1.0, 0.0] }',
        "step[1].anomaly.normals",
        "two numbers that rise",
    ),
    (
        'window = "whole"\ninterpret = "features"',
        'window = { size_kji = [8, 8, 8] }\ninterpret = "features"',
        "step[1].window.size_kji",
        "one answer for the box",
    ),
    (
        'window = "whole"\n[[step.head]]',
        'window = "whole"\ninterpret = "map"\n[[step.head]]',
        "step[2].interpret",
        "[[step.head]]",
    ),
    ('interpret = "classes"\n', "", "step[2].head[1].interpret", "what the outputs of the network mean"),
    ('name = "age"\ninterpret', 'name = "class"\ninterpret', "step[2].head[2]", "another one"),
    (
        'activation = "none"',
        'activation = "non"',
        "step[2].head[1].classes.activation",
        'Did you mean "none"?',
    ),
    ('head = "class"\n', 'head = "clas"\n', "output[1].head", 'Did you mean "class"?'),
    ('head = "class"\n', "", "output[1].head", "Heads: class, age."),
    (
        'classification = "sick"',
        'measurement = "sick"',
        "output[1].measurement",
        "what interpret = classes gives",
    ),
    (
        'classification = "sick"',
        'classification = "sick"\nmap = "x"',
        "output[1]",
        "exactly one of segment, region",
    ),
    (f"type = {TYPE}\nchannel", "channel", "output[1].type", "what it is"),
    (f"unit = {UNIT}\n", "", "output[2].unit", "UCUM"),
    ("plausible = [0.0, 228.0]", "plausible = [228.0, 0.0]", "output[2].plausible", "smallest, largest"),
    ("plausible = [0.0, 228.0]", "threshold = 0.7", "output[2].threshold", "A measurement has type, unit"),
    ('features = "deep"\n', 'features = "deep"\nchannel = 1\n', "output[3].channel", "takes no more keys"),
    (
        "plausible = [0.0, 228.0]",
        "interval_percent = 80.0",
        "output[2].interval_percent",
        "interval_channels",
    ),
    ("plausible = [0.0, 228.0]", "scale = 0.0", "output[2].scale", "other than 0"),
    (
        '["ct", "pet"], other = { of = "pet", axes = "ncijk" }',
        '["ct", "ct"], other = { of = "ct", axes = "ncijk" }',
        "input[2].name",
        "no step reads it",
    ),
    ('["deep", "patient"]', '["deep"]', "input[3].name", "no step reads it"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "said"), WRONG, ids=[f"{row[2]}: {row[1][:40]}" for row in WRONG]
)
def test_what_is_wrong_is_said_with_its_key(old, new, key, said):
    assert said in refused(GOOD, old, new, key)


PET = "prepare = [ { clip = [0.0, 20.0] } ]"
BESIDE = GOOD.replace(PET, 'prepare = [ { orient = "LPS" }, { clip = [0.0, 20.0] } ]\nbeside_first = true')

WRONG_BESIDE = [
    ('{ orient = "LPS" }, { clip', "{ clip", "input[2].prepare", "the same changes of the grid"),
    (
        "{ clip = [0.0, 20.0] }",
        "{ pad = { shape_kji = [8, 8, 8] } }",
        "input[2].prepare",
        "orient, as input ct has them",
    ),
    (
        'equals = "CT" } ]',
        'equals = "CT" } ]\nbeside_first = true',
        "input[1].beside_first",
        "Only a further volume",
    ),
    ('kind = "tags"', 'kind = "tags"\nbeside_first = true', "input[3].beside_first", "Only a further volume"),
]


def test_a_volume_beside_the_first_changes_its_grid_as_the_first_does():
    manifest, problems = read(BESIDE)
    assert problems == []
    assert [one.beside_first for one in manifest.input] == [False, True, False]


@pytest.mark.parametrize(("old", "new", "key", "said"), WRONG_BESIDE, ids=[row[2] for row in WRONG_BESIDE])
def test_a_volume_beside_the_first_that_cannot_lie_there_is_refused(old, new, key, said):
    assert said in refused(BESIDE, old, new, key)


CODE = f"type = {TYPE}"


def network_step(name: str, interpret: str, table: str = "", window: str = '"whole"') -> str:
    return f"""
[[step]]
network = "{name}.onnx"
sha256 = "{"0" * 64}"
window = {window}
interpret = "{interpret}"
{table}
[step.gate]
shape = [1, 1, 8, 8, 8]
low = 0.0
high = 1.0
"""


NETWORKS = [
    ("organs", "labels", "", "{ size_kji = [8, 8, 8] }"),
    ("list", "boxes", '[step.boxes]\nscores = "scores"', "{ size_kji = [8, 8, 8], overlap = 0.25 }"),
    ("usual", "anomaly", '[step.anomaly]\nscore = "score"\nnormals = [0.0, 1.0]'),
    ("class", "classes", '[step.classes]\nactivation = "none"'),
    ("centres", "centre_heat", "[step.centre_heat]"),
]
PLACED = f"""
schema = 1
name = "placed"
version = "1.0.0"
title = "Placed"
use = "Tests."

[[input]]
name = "ct"
kind = "volume"
require = [ {{ tag = "Modality", equals = "CT" }} ]
{"".join(network_step(*row) for row in NETWORKS)}
[[output]]
segment = "lung"
step = "organs"
kind = "anatomy"
category = {TYPE}
{CODE}
tracking = "Lung"
laterality = "left"
largest = 1

[[output]]
segment = "lung"
step = "organs"
kind = "anatomy"
category = {TYPE}
{CODE}
tracking = "Other lung"
laterality = "right"
channel = 2

[[output]]
region = "fracture"
step = "list"
{CODE}
tracking = "Fracture {{number}}"
channel = 1

[[output]]
region = "crack"
step = "list"
{CODE}
tracking = "Crack {{number}}"
channel = 2

[[output]]
classification = "unusual"
step = "usual"
{CODE}

[[output]]
classification = "sick"
step = "class"
{CODE}
threshold = 0.3

[[output]]
segment = "nodule"
step = "centres"
kind = "lesion"
category = {TYPE}
{CODE}
tracking = "Nodule {{number}}"
"""
SECOND = f"""
[[output]]
segment = "other"
step = "centres"
kind = "lesion"
category = {TYPE}
{CODE}
tracking = "Other {{number}}"
"""

# Each would be read without a word, and do nothing or something else
PASSED_OVER = [
    (
        "channel = 2\n\n[[output]]\nregion",
        "channel = 1\n\n[[output]]\nregion",
        "output[2].channel",
        "lung is that",
    ),
    (
        '"Crack {number}"\nchannel = 2',
        '"Crack {number}"\nchannel = 1',
        "output[4].channel",
        "fracture is that",
    ),
    (
        '"Nodule {number}"\n',
        '"Nodule {number}"\n' + SECOND,
        "output[8].channel",
        "nodule is that of centre_heat",
    ),
    ('"Nodule {number}"\n', '"Nodule {number}"\nlargest = 1\n', "output[7].largest", "no such key"),
    ('"Nodule {number}"\n', '"Nodule {number}"\nchannel = 1\n', "output[7].channel", "has no channels"),
    ('"Nodule {number}"', '"Nodule {number:999999}"', "output[7].tracking", "{number} once"),
    ('segment = "nodule"', 'segment = "crack"', "output[7]", "another one"),
    (
        'tracking = "Lung"\nlaterality = "left"',
        'tracking = "Lung"\nlaterality = "right"',
        "output[2]",
        "another one",
    ),
    (
        f'classification = "unusual"\nstep = "usual"\n{CODE}',
        f'classification = "unusual"\nstep = "usual"\n{CODE}\nthreshold = 0.9',
        "output[5].threshold",
        "it is the quantile",
    ),
    ("overlap = 0.25", 'rule = "monai"', "step[2].window.rule", "window by window"),
    ("overlap = 0.25", 'mirror = ["k"]', "step[2].window.mirror", "window by window"),
    ("overlap = 0.25", "batch = 2", "step[2].window.batch", "window by window"),
    (
        "size_kji = [8, 8, 8] }",
        'size_kji = [8, 8, 8], pad = "edge" }',
        "step[1].window.pad",
        "one value",
    ),
    (
        'activation = "none"',
        'activation = "none"\ntemperature = 1.5',
        "step[4].classes.temperature",
        "logits",
    ),
]


def test_the_value_around_a_small_box_stands_in_one_place():
    """Of a volume smaller than a window in [step.window], of a crop in [step.crop]."""
    padded = PLACED.replace("size_kji = [8, 8, 8] }", "size_kji = [8, 8, 8], pad_value = -1000.0 }", 1)
    assert read(padded)[1] == []
    crop = "window = { size_kji = [8, 8, 8], overlap = 0.25 }"
    twice = padded.replace(
        crop, 'crop = "organs"\nwindow = { size_kji = [8, 8, 8], pad_value = 1.0 }'
    ).replace('interpret = "boxes"\n[step.boxes]\nscores = "scores"', 'interpret = "labels"')
    assert "step[2].window.pad_value" in [problem.key for problem in read(twice)[1]]


def test_boxes_of_a_whole_volume_are_not_flipped():
    crop = "window = { size_kji = [8, 8, 8], overlap = 0.25 }"
    flipped = PLACED.replace(crop, 'window = { mirror = ["k"] }')
    assert [problem.key for problem in read(flipped)[1]] == ["step[2].window.mirror"]


def test_an_axis_is_mirrored_once_and_a_heat_of_one_is_never_reached():
    twice = PLACED.replace("size_kji = [8, 8, 8] }", 'size_kji = [8, 8, 8], mirror = ["k", "k"] }', 1)
    assert [problem.key for problem in read(twice)[1]] == ["step[1].window.mirror[2]"]
    never = PLACED.replace("[step.centre_heat]", "[step.centre_heat]\nheat_at_least = 1.0")
    assert [problem.key for problem in read(never)[1]] == ["step[5].centre_heat.heat_at_least"]


def test_outputs_with_a_place_are_read():
    manifest, problems = read(PLACED)
    assert problems == []
    assert [manifest.channel_of(one) for one in manifest.output[:4]] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("old", "new", "key", "said"), PASSED_OVER, ids=[f"{row[2]}: {row[3]}" for row in PASSED_OVER]
)
def test_what_would_be_passed_over_is_refused(old, new, key, said):
    assert said in refused(PLACED, old, new, key)

"""engine.toml: what is right is read, and of what is wrong everything is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import CentreHeat, Crop, Preparation, Requirement, Window, read_manifest
from tests.unit.engine.small_engine import MANIFEST

SHA = "0" * 64
GOOD = MANIFEST.replace("SHA256", SHA)
PATH = Path("engine.toml")


def read(text: str):
    return read_manifest(PATH, text.encode())


def test_a_good_manifest_is_read_whole():
    manifest, problems = read(GOOD)
    assert problems == []
    assert (manifest.name, manifest.version, manifest.title) == ("small", "0.1.0", "A small engine")
    assert manifest.input[0].require[0] == Requirement(tag="Modality", equals="CT")
    assert manifest.input[0].prepare == (Preparation(orient="LPS"),)
    lungs, net = manifest.step
    assert (lungs.name, lungs.algorithm, dict(lungs.parameters)) == ("lungs", "lungs", {})
    assert (net.name, net.network, net.sha256) == ("net", "net.onnx", SHA)
    assert net.crop == Crop(of="lungs")
    assert net.window == Window()
    assert net.window.whole
    assert net.centre_heat == CentreHeat(threshold=0.5)
    assert manifest.networks == (net,)
    assert manifest.step_named("net") is net
    assert manifest.output[0].type.coded.meaning == "Nodule"
    assert manifest.output[0].laterality_code is None


def test_windows_and_crops_can_be_written_out():
    text = GOOD.replace('"whole"', '{ size_kji = [96, 64, 32], overlap = 0.25, blend = "constant" }').replace(
        'crop = "lungs"', 'crop = { of = "lungs", margin_mm = 10, multiple = 16, pad = -1000 }'
    )
    manifest, problems = read(text)
    assert problems == []
    assert manifest.step[1].window == Window(size_kji=(96, 64, 32), overlap=0.25, blend="constant")
    assert manifest.step[1].crop == Crop(of="lungs", margin_mm=10.0, multiple=16, pad=-1000.0)


def test_a_whole_box_can_be_seen_flipped_and_has_no_other_key_of_windows():
    manifest, problems = read(GOOD.replace('window = "whole"', 'window = { mirror = ["j", "i"] }'))
    assert problems == []
    assert manifest.step[1].window == Window(mirror=("j", "i"))
    assert manifest.step[1].window.whole
    more = 'window = { mirror = ["j"], overlap = 0.25, batch = 2 }'
    problems = read(GOOD.replace('window = "whole"', more))[1]
    assert {one.key for one in problems} == {"step[2].window.overlap", "step[2].window.batch"}


# What is replaced, by what, and where and how it is said
WRONG = [
    ("schema = 1", "schema = 2", "schema", "expected 1, found 2"),
    ('version = "0.1.0"', 'version = "new"', "version", "a version such as 1.0.0"),
    ('name = "small"', 'nam = "small"', "nam", 'Did you mean "name"?'),
    ('name = "small"', 'name = "../small"', "name", "letters, digits"),
    ('kind = "volume"', 'kind = "volumes"', "input[1].kind", 'Did you mean "volume"?'),
    ('tag = "Modality"', 'tag = "Modalty"', "input[1].require[1].tag", 'Did you mean "Modality"?'),
    ('tag = "Modality"', 'tag = "PatientName"', "input[1].require[1].tag", "an attribute that matching sees"),
    ('{ tag = "Modality", equals', "{ equals", "input[1].require[1]", "exactly one of tag, fact"),
    ('equals = "CT"', 'equals = "CT", one_of = ["CT"]', "input[1].require[1]", 'found ["equals", "one_of"]'),
    (', equals = "CT"', "", "input[1].require[1]", "exactly one of equals, one_of"),
    ('equals = "CT"', "matches = '(CT'", "input[1].require[1].matches", "a regular expression"),
    ('equals = "CT"', "present = false", "input[1].require[1].present", "expected true"),
    ('fact = "covers"', 'fact = "cover"', "input[1].require[2].fact", 'Did you mean "covers"?'),
    ("at_most = 5.0", 'at_most = "5"', "input[1].require[3].at_most", "without quotes"),
    ("smaller = true", "weight = 2.0", "input[1].prefer[1]", "exactly one of smaller, larger"),
    ('orient = "LPS"', 'orient = "RAX"', "input[1].prepare[1].orient", '"LPS"'),
    ('{ orient = "LPS" }', "{ clip = [3.0, -3.0] }", "input[1].prepare[1].clip", "smallest, largest"),
    (
        '{ orient = "LPS" }',
        "{ resample_mm = [1, 1] }",
        "input[1].prepare[1].resample_mm",
        "a list of 3 values",
    ),
    ('{ orient = "LPS" }', "{ resample_mm = [1, 1, 0] }", "input[1].prepare[1].resample_mm", "above 0"),
    ('{ orient = "LPS" }', "{}", "input[1].prepare[1]", "exactly one of orient, resample_mm, resample"),
    ('algorithm = "lungs"', 'algorithm = "lungs"\nsha256 = "' + SHA + '"', "step[1].sha256", "no such key"),
    ('algorithm = "lungs"', 'name = "nothing"', "step[1]", "exactly one of algorithm, network"),
    ('algorithm = "lungs"', 'algorithm = "lungs"\nname = "net"', "step[2].crop", "earlier step"),
    ('network = "net.onnx"', 'network = "../net.onnx"', "step[2].network", "in the engine's folder"),
    ('network = "net.onnx"', 'network = "net.py"', "step[2].network", "a .onnx file"),
    (f'sha256 = "{SHA}"', "", "step[2].sha256", "the SHA-256 of the network"),
    (f'sha256 = "{SHA}"', 'sha256 = "ABC"', "step[2].sha256", "64 hexadecimal digits"),
    ('crop = "lungs"', 'crop = "lung"', "step[2].crop", 'Did you mean "lungs"?'),
    ('window = "whole"', 'window = "all"', "step[2].window", '"whole", or a table'),
    (
        'crop = "lungs"',
        'crop = { of = "lungs", multiple = 16 }\ntypical_kji = [208, 200, 256]',
        "step[2].typical_kji",
        "multiples of 16",
    ),
    ('crop = "lungs"', "typical_kji = [208, 0, 256]", "step[2].typical_kji", "above 0"),
    (
        'window = "whole"',
        "window = { size_kji = [96, 96, 96] }\ntypical_kji = [96, 96, 96]",
        "step[2].typical_kji",
        "no such key",
    ),
    (
        'algorithm = "lungs"',
        'algorithm = "lungs"\ntypical_kji = [96, 96, 96]',
        "step[1].typical_kji",
        "belongs to a step with a network",
    ),
    ('window = "whole"', "", "step[2].window", '"whole", or a table'),
    ('window = "whole"', "window = { overlap = 0.5 }", "step[2].window", '"whole", or a table'),
    (
        'window = "whole"',
        "window = { size_kji = [96, 96, 96], overlap = 1.0 }",
        "step[2].window.overlap",
        "0 to 0.9",
    ),
    ('interpret = "centre_heat"', 'interpret = "box"', "step[2].interpret", 'Did you mean "boxes"?'),
    ('interpret = "centre_heat"', "", "step[2].interpret", "what the outputs of the network mean"),
    (
        'interpret = "centre_heat"',
        'interpret = "labels"',
        "step[2].centre_heat",
        "not the parameters of labels",
    ),
    ("[step.centre_heat]\nthreshold = 0.5", "", "step[2].centre_heat", "[step.centre_heat]"),
    ("threshold = 0.5", "threshold = 50", "step[2].centre_heat.threshold", "0 to 1"),
    ("threshold = 0.5", "treshold = 0.5", "step[2].centre_heat.treshold", 'Did you mean "threshold"?'),
    ("low = -1.0", "low = 1.0", "step[2].gate.high", "more than low"),
    ("shape = [1, 1, 4, 6, 8]", "shape = [1, 1, 4000, 4000, 4000]", "step[2].gate.shape", "at most"),
    (
        'segment = "nodule"',
        'segment = "nodule"\nlaterality = "both"',
        "output[1].laterality",
        '"left", "right"',
    ),
    ('step = "net"', 'step = "nets"', "output[1].step", 'Did you mean "net"?'),
    ('kind = "lesion"', 'kind = "anatomy"', "output[1].tracking", "text without { }"),
    ('"Nodule {number}"', '"Nodule"', "output[1].tracking", "{number} once"),
    ('"Nodule {number}"', '"Nodule {number} {0}"', "output[1].tracking", "{number} once"),
    ('"Nodule {number}"', '"Nodule {"', "output[1].tracking", "{number} once"),
    ('measure = ["volume_mm3"]', 'measure = ["volume"]', "output[1].measure[1]", "volume_mm3"),
    ('measure = ["volume_mm3"]', 'measure = ["mean_hu", "mean_hu"]', "output[1].measure[2]", "another one"),
    ('code = "27925004", ', "", "output[1].type.code", "1 to 16 characters"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "said"), WRONG, ids=[f"{row[2]}: {row[1][:40]}" for row in WRONG]
)
def test_what_is_wrong_is_said_with_its_key_and_its_line(old, new, key, said):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    manifest, problems = read(text)
    assert manifest is None
    found = [problem for problem in problems if problem.key == key]
    assert len(found) == 1, [str(problem) for problem in problems]
    assert said in str(found[0])
    assert found[0].file == "engine.toml"
    assert found[0].line is None or found[0].line <= len(text.splitlines())


@pytest.mark.parametrize("interpret", ["labels", "sigmoid"])
def test_a_network_may_give_a_channel_a_class(interpret):
    text = GOOD.replace('"centre_heat"', f'"{interpret}"').replace("[step.centre_heat]\nthreshold = 0.5", "")
    manifest, problems = read(text)
    assert problems == []
    assert manifest.step[1].interpret == interpret


def test_all_problems_are_said_at_once_and_none_twice():
    text = (
        GOOD.replace('"LPS"', '"RAX"')
        .replace('step = "net"', 'step = "x"')
        .replace("at_most = 5.0", "at_most = '5'")
    )
    _, problems = read(text.replace("tag =", "tga ="))
    assert [problem.key for problem in problems] == [
        "input[1].require[1].tga",
        "input[1].require[3].at_most",
        "input[1].prepare[1].orient",
        "output[1].step",
    ]


def test_two_networks_of_one_name_and_two_outputs_of_one_label_are_refused():
    step = GOOD[GOOD.index("[[step]]\nnetwork") : GOOD.index("[[output]]")]
    output = GOOD[GOOD.index("[[output]]") :]
    _, problems = read(GOOD.replace("[[output]]", step + "[[output]]") + output)
    assert [problem.key for problem in problems] == ["step[3].name", "output[2]"]


def test_two_inputs_of_one_name_are_refused():
    once = GOOD[GOOD.index("[[input]]") : GOOD.index("[[step]]")].replace('{ orient = "LPS" }', "")
    _, problems = read(GOOD.replace("[[step]]", once + "[[step]]", 1))
    assert [problem.key for problem in problems] == ["input[2].name"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"name = ", "TOML"),
        (b"#" * 1_000_001, "1 MB"),
        (b"step = 3", "a list"),
        (b"step = [3]", "a table"),
    ],
    ids=["bytes", "cut off", "too large", "no list", "no table"],
)
def test_what_is_no_manifest_is_said_and_does_not_raise(content, said):
    manifest, problems = read_manifest(PATH, content)
    assert manifest is None
    assert said in " ".join(str(problem) for problem in problems)


def test_a_step_keeps_its_parameters_read_only():
    manifest, _ = read(
        GOOD.replace('algorithm = "lungs"', 'algorithm = "lungs"\nparameters = { work_mm = 2.0 }')
    )
    parameters = manifest.step[0].parameters
    assert dict(parameters) == {"work_mm": 2.0}
    with pytest.raises(TypeError):
        parameters["work_mm"] = 3.0


def test_a_step_that_is_not_there_is_a_bug_of_the_caller():
    manifest, _ = read(GOOD)
    with pytest.raises(KeyError):
        manifest.step_named("other")

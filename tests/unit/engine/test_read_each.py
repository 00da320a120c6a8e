"""Steps that run for each lesion: what is right is read, what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import read_manifest

PATH = Path("engine.toml")
CODE = '{ scheme = "SCT", code = "52988006", meaning = "Lesion" }'
NETWORK = f'sha256 = "{"0" * 64}"\nwindow = "whole"\n'
GATE = "[step.gate]\nshape = [1, 8]\nlow = 0.0\nhigh = 1.0\n"
GOOD = f"""
schema = 1
name = "each"
version = "1.0.0"
title = "Each"
use = "Tests."

[[input]]
name = "ct"
kind = "volume"
require = [ {{ tag = "Modality", equals = "CT" }} ]

[[step]]
algorithm = "blobs"
interpret = "lesions"

[[step]]
name = "rows"
algorithm = "radiomics"
each = "blobs"
interpret = "features"

[[step]]
network = "type.onnx"
each = "blobs"
inputs = {{ row = {{ of = "rows" }} }}
interpret = "classes"
{NETWORK}[step.classes]
names = ["other", "nodule"]
{GATE}
[[step]]
network = "patch.onnx"
each = "blobs"
crop = {{ of = "blobs", margin_mm = 5.0, multiple = 8 }}
interpret = "regression"
{NETWORK}{GATE}
[[output]]
segment = "nodule"
step = "blobs"
kind = "lesion"
category = {CODE}
type = {CODE}
tracking = "Nodule {{number}}"
score = {{ of = "type", channel = 1, threshold = 0.4, at_most = 5 }}

[[output]]
classification = "solid"
step = "type"
channel = 1
type = {CODE}

[[output]]
features = "texture"
step = "rows"
"""


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in read_manifest(PATH, text.encode())[1]]


def test_steps_for_each_lesion_are_read_with_the_score_that_one_of_them_gives():
    manifest, problems = read_manifest(PATH, GOOD.encode())
    assert [str(one) for one in problems] == []
    assert manifest is not None
    assert [one.each for one in manifest.step] == [None, "blobs", "blobs", "blobs"]
    score = manifest.output[0].score
    assert score is not None
    assert (score.of, score.channel, score.threshold, score.at_most) == ("type", 1, 0.4, 5)


def test_a_head_of_a_network_that_gives_lesions_is_named_with_its_step():
    heads = f"""[[step]]
network = "net.onnx"
{NETWORK}[[step.head]]
name = "heat"
interpret = "centre_heat"
output = "heat"
[step.head.centre_heat]
[[step.head]]
name = "grade"
interpret = "classes"
output = "grade"
{GATE}"""
    first = GOOD[GOOD.index("[[step]]") : GOOD.index('[[step]]\nname = "rows"')]
    text = GOOD.replace(first, heads).replace('each = "blobs"', 'each = "net/heat"')
    text = text.replace('step = "blobs"', 'step = "net"\nhead = "heat"').replace('of = "blobs"', 'of = "net"')
    assert problems_of(text) == []
    assert any("such are net/heat" in one.casefold() for one in problems_of(text.replace("net/heat", "net")))


def test_a_row_of_the_whole_image_may_go_into_a_step_for_each_lesion():
    assert problems_of(GOOD.replace('each = "blobs"\ninterpret = "features"', 'interpret = "features"')) == []


@pytest.mark.parametrize(
    ("was", "becomes", "where", "said"),
    [
        ('each = "blobs"\ninterpret = "f', 'each = "blobz"\ninterpret = "f', "step[2].each", "blobs"),
        ('interpret = "lesions"', "", "step[2].each", "gives lesions"),
        ('each = "blobs"\ninputs', "inputs", "step[3].inputs.row.of", 'each = "blobs"'),
        ('each = "blobs"\ninterpret = "features"', 'each = "blobs"\ncrop = "blobs"\ninterpret = "features"',
         "step[2].crop", "the mask of the lesion"),
        ('crop = { of = "blobs", margin_mm = 5.0, multiple = 8 }\n', "", "step[4].crop", "around the lesion"),
        ('interpret = "regression"', 'interpret = "sigmoid"', "step[4].interpret", "features, classes"),
        ('of = "type"', 'of = "typo"', "output[1].score.of", "type"),
        ('of = "type"', 'of = "rows"', "output[1].score.of", 'interpret = "classes"'),
        ("channel = 1, threshold", "channel = 2, threshold", "output[1].score.channel", "below 2"),
        ("channel = 1\ntype", 'score = { of = "type", channel = 1 }\ntype', "output[2].score", "no such key"),
        ('step = "blobs"\nkind', 'step = "rows"\nkind', "output[1].segment", "features"),
        ('interpret = "lesions"', 'interpret = "lesions"\n[step.features]\nnames = ["a"]', "step[1].features",
         '"features"'),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_named_with_its_place(was, becomes, where, said):
    assert was in GOOD
    found = problems_of(GOOD.replace(was, becomes, 1))
    assert any(where in one and said in one for one in found), found


def test_boxes_have_no_mask_that_an_algorithm_could_measure():
    boxes = (
        f'[[step]]\nname = "blobs"\nnetwork = "b.onnx"\ninterpret = "boxes"\n{NETWORK}[step.boxes]\n{GATE}'
    )
    first = GOOD[GOOD.index("[[step]]") : GOOD.index('[[step]]\nname = "rows"')]
    segment = GOOD[GOOD.index("[[output]]") : GOOD.index("score =")]
    region = f'[[output]]\nregion = "nodule"\nstep = "blobs"\ntype = {CODE}\ntracking = "Nodule {{number}}"\n'
    found = problems_of(GOOD.replace(first, boxes).replace(segment, region))
    assert len(found) == 1, found
    assert "boxes have no mask" in found[0]


def test_what_is_not_told_apart_one_by_one_has_no_steps_for_each_of_them():
    text = GOOD.replace('kind = "lesion"', 'kind = "tissue"').replace("Nodule {number}", "Nodules")
    (first, *_) = [one for one in problems_of(text) if "output[1].kind" in one]
    assert 'expected "lesion"' in first
    assert "one segment" in first

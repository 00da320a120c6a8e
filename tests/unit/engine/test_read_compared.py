"""Steps that compare two earlier ones, and networks that see images in a spacing of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import read_manifest
from dicomnode.settings import Problem

PATH = Path("engine.toml")
CODE = '{ scheme = "SCT", code = "39607008", meaning = "Lung" }'
NETWORK = f"""
[[step]]
network = "seen.onnx"
sha256 = "{"0" * 64}"
resample_mm = [4.0, 4.0, 4.0]
crop = {{ of = "lungs", margin_mm = 200.0, multiple = 16, pad = -1000.0 }}
window = "whole"
interpret = "map"
[step.gate]
shape = [1, 1, 16, 16, 16]
low = -1000.0
high = 400.0
"""
GOOD = f"""
schema = 1
name = "twice"
version = "1.0.0"
title = "Twice"
use = "Tests."

[[input]]
name = "ct"
kind = "volume"
require = [ {{ tag = "Modality", equals = "CT" }} ]

[[step]]
algorithm = "lungs"
{NETWORK}
[[step]]
algorithm = "lungs_checked"
of = ["lungs", "seen"]

[[output]]
segment = "lung"
step = "lungs_checked"
kind = "anatomy"
category = {CODE}
type = {CODE}
tracking = "Lungs"
"""


def problems_of(text: str) -> list[Problem]:
    return list(read_manifest(PATH, text.encode())[1])


def test_a_step_that_compares_is_read_with_what_it_compares():
    manifest, problems = read_manifest(PATH, GOOD.encode())
    assert [str(one) for one in problems] == []
    assert manifest is not None
    assert manifest.step[2].of == ("lungs", "seen")
    assert manifest.step[1].resample_mm == (4.0, 4.0, 4.0)
    assert manifest.step[0].resample_mm is None


@pytest.mark.parametrize(
    ("was", "becomes", "where", "said"),
    [
        ('"lungs", "seen"]', '"lungs", "sean"]', "step[3].of[2]", "an earlier step"),
        ('"lungs", "seen"]', '"lungs", "lungs_checked"]', "step[3].of[2]", "an earlier step"),
        ('"lungs", "seen"]', '"lungs"]', "step[3].of", "two earlier steps"),
        ('"lungs", "seen"]', '"lungs", "lungs"]', "step[3].of[2]", "another one"),
        ('window = "whole"', 'window = "whole"\nof = ["lungs"]', "step[2].of", "no such key"),
        (
            'algorithm = "lungs"\n',
            'algorithm = "lungs"\nresample_mm = [4.0, 4.0, 4.0]\n',
            "step[1].resample_mm",
            "no such",
        ),
        ("resample_mm = [4.0, 4.0, 4.0]", "resample_mm = [4.0, 0.0, 4.0]", "step[2].resample_mm", "above 0"),
    ],
)
def test_what_contradicts_itself_is_named_with_its_place(was, becomes, where, said):
    assert was in GOOD
    found = [str(one) for one in problems_of(GOOD.replace(was, becomes, 1))]
    assert any(where in one and said in one for one in found), found


def test_pictures_have_no_spacing_that_a_network_could_ask_for():
    picture = GOOD.replace('kind = "volume"', 'kind = "picture"')
    assert any("resample_mm" in str(one) for one in problems_of(picture))

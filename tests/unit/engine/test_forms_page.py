"""Every example of docs/how-to/engine-forms.md is right, and no task is without one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from dicomnode.engine import read_manifest
from dicomnode.engine.manifest.interpretation import Interpret
from dicomnode.engine.manifest.outputs import KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "engine-forms.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n.*?^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
FIRST = """
schema = 1
name = "example"
version = "1.0.0"
title = "An example"
use = "Tests."
[[input]]
name = "ct"
kind = "volume"
require = [ { tag = "Modality", equals = "CT" } ]
"""


def whole(example: str) -> str:
    """Add what an example leaves out: the first input, digests and gates."""
    with_digests = re.sub(r"^(network = .*)$", rf'\1\nsha256 = "{"0" * 64}"', example, flags=re.MULTILINE)
    steps = re.split(r"(?=^\[\[(?:step|output|input)\]\])", with_digests, flags=re.MULTILINE)
    gate = "[step.gate]\nshape = [1, 1, 8, 8, 8]\nlow = 0.0\nhigh = 1.0\n"
    # No volume stands beside pictures
    first = FIRST.partition("[[input]]")[0] if 'kind = "picture"' in example else FIRST
    # An algorithm of the node has no gate
    return first + "".join(f"{part}\n{gate}" if "\nnetwork = " in part else part for part in steps)


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_a_right_manifest(title):
    manifest, problems = read_manifest(Path("engine.toml"), whole(EXAMPLES[title]).encode())
    assert [str(problem) for problem in problems] == []
    assert manifest is not None
    assert manifest.output


def test_every_form_and_every_kind_of_output_has_an_example():
    examples = "".join(EXAMPLES.values())
    for word in get_args(Interpret):
        assert f'interpret = "{word}"' in (PAGE if word == "centre_heat" else examples), word
    for kind in KINDS:
        assert re.search(rf'^{kind} = "', examples, re.MULTILINE), kind

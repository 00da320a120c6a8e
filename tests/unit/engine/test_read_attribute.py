"""[[output]] attribute: a class may be a value of something; nothing else may."""

from __future__ import annotations

from pathlib import Path

from dicomnode.engine import read_manifest
from dicomnode.values import Code
from tests.unit.engine.test_read_each import GOOD

PATH = Path("engine.toml")
COMPOSITION = 'attribute = { scheme = "RADELEMENT", code = "RDE1301", meaning = "Composition" }\n'
CLASS = """
[[output]]
classification = "firm"
step = "type"
channel = 0
type = { scheme = "RADELEMENT", code = "RDE1301.0", meaning = "solid" }
"""


def read(text: str):
    return read_manifest(PATH, text.encode())


def test_a_class_names_what_it_is_a_value_of() -> None:
    manifest, problems = read(GOOD + CLASS + COMPOSITION)
    assert not problems
    assert manifest is not None
    assert manifest.output[-1].attribute.coded == Code("RDE1301", "RADELEMENT", "Composition")


def test_a_class_without_one_is_one_by_itself() -> None:
    manifest, problems = read(GOOD + CLASS)
    assert not problems
    assert manifest is not None
    assert manifest.output[-1].attribute is None


def test_a_segment_is_no_value_of_anything() -> None:
    manifest, problems = read(GOOD.replace('segment = "nodule"\n', f'segment = "nodule"\n{COMPOSITION}', 1))
    assert manifest is None
    assert [one.key for one in problems] == ["output[1].attribute"]


def test_a_class_of_the_study_is_a_value_of_nothing_that_a_report_would_tell() -> None:
    of_lesions = 'each = "blobs"\ninputs = { row = { of = "rows" } }\n'
    assert GOOD.count(of_lesions) == 1
    of_study = GOOD.replace(of_lesions, "").replace(GOOD[GOOD.index("score = ") :].partition("\n")[0], "")
    assert not read(of_study + CLASS)[1]
    manifest, problems = read(of_study + CLASS + COMPOSITION)
    assert manifest is None
    assert [one.key for one in problems] == ["output[4].attribute"]
    assert "each" in str(problems[0])

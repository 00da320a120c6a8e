"""engine.toml as text: what is read back is what was written, and a person can read it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.engine import shipped_engines_dir
from dicomnode.engine.adding.toml_text import toml_text

# TOML is text of Unicode scalar values: no halves of surrogate pairs
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(st.sampled_from(["input", "step", "name", "a b", "gate"]) | TEXT, VALUES, max_size=5)


@given(TABLES)
def test_what_is_read_back_is_what_was_written(table):
    assert tomllib.loads(toml_text(table)) == table


@given(st.dictionaries(TEXT, TABLES, max_size=3))
def test_tables_in_tables_are_read_back(table):
    assert tomllib.loads(toml_text({"step": [table, {"name": "x"}]})) == {"step": [table, {"name": "x"}]}


def test_the_shipped_engine_is_read_back():
    text = (shipped_engines_dir() / "lung-ct" / "engine.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    assert tomllib.loads(toml_text(table, "Lungs\nand nodules")) == table


def test_it_looks_as_a_person_would_write_it():
    table = {
        "name": "lungs",
        "version": None,
        "input": [{"name": "ct", "prepare": [{"orient": "LPS"}, {"clip": [-1.0, 2.0]}]}],
        "step": [
            {
                "network": "net.onnx",
                "crop": {"of": "lungs", "multiple": 16},
                "gate": {
                    "shape": [1, 1, 2],
                    "expect": [{"output": "y" * 30, "mean": 1.0}, {"output": "heat"}],
                },
                "window": "whole",
            }
        ],
        "output": [{"segment": "lung", "matches": r"\d+"}],
    }
    assert toml_text(table, "Lungs.") == (
        "# Lungs.\n"
        'name = "lungs"\n\n'
        "[[input]]\n"
        'name = "ct"\n'
        "prepare = [\n"
        '  { orient = "LPS" },\n'
        "  { clip = [-1.0, 2.0] },\n"
        "]\n\n"
        "[[step]]\n"
        'network = "net.onnx"\n'
        'crop = { of = "lungs", multiple = 16 }\n'
        'window = "whole"\n\n'
        "[step.gate]\n"
        "shape = [1, 1, 2]\n"
        "expect = [\n"
        f'  {{ output = "{"y" * 30}", mean = 1.0 }},\n'
        '  { output = "heat" },\n'
        "]\n\n"
        "[[output]]\n"
        'segment = "lung"\n'
        r"matches = '\d+'" + "\n"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="finite"):
        toml_text({"mean": value})


def test_what_toml_has_no_form_for_is_refused():
    with pytest.raises(TypeError, match="complex"):
        toml_text({"b": 1j})

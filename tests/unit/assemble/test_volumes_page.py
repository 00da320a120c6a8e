"""docs/reference/volumes.md says the numbers that hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dicomnode.assemble import blocks, phases, placing, stacks
from dicomnode.faults import FAULTS
from dicomnode.values import geometry

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "volumes.md").read_text(encoding="utf-8")
ROOMS = {"placing": placing, "blocks": blocks, "phases": phases, "stacks": stacks, "geometry": geometry}
SAID = re.findall(r"^\| `(\w+)\.(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("room", "name", "value"), SAID, ids=[f"{room}.{name}" for room, name, _ in SAID])
def test_a_number_on_the_page_is_that_of_the_code(room, name, value):
    assert getattr(ROOMS[room], name) == float(value)


def test_each_number_of_the_code_is_on_the_page():
    own = {
        (room, name)
        for room, module in ROOMS.items()
        for name in re.findall(
            r"^([A-Z][A-Z_]+): Final = [\d.*e-]+$", Path(module.__file__).read_text(), re.MULTILINE
        )
    }
    assert own == {(room, name) for room, name, _ in SAID}


def test_each_code_on_the_page_is_a_row_of_the_table_of_faults():
    codes = set(re.findall(r"DN-\d{4}", PAGE))
    assert len(codes) > 6
    assert codes <= set(FAULTS)

"""The comparison of outlines with and without half height: what is compared, and what the table says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.engine import find_engine
from tests.bench.lung_outlines import Outlined, page, pairs_of, with_border

ONE = Outlined(
    seed=1, label="nodule-1", kind="solid", place="free", diameter_mm=9.0, ratio=0.8, dice=0.8, called="solid"
)
TWO = replace(ONE, seed=2, ratio=0.9, dice=0.86)
BETTER = (replace(ONE, ratio=1.0, dice=0.9), replace(TWO, ratio=1.0, dice=0.9, called=""))


def test_only_what_both_report_is_compared() -> None:
    alone = replace(ONE, label="nodule-2")
    assert pairs_of([ONE, alone, TWO], [BETTER[1], BETTER[0]]) == [(ONE, BETTER[0]), (TWO, BETTER[1])]


def test_the_table_has_the_groups_that_there_are_and_the_types() -> None:
    lines = list(page([(ONE, BETTER[0]), (TWO, BETTER[1])]))
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| all", "| solid, 8 to 15 mm"]
    assert "| 2 | 0.83/0.85/0.88 | 1.00/1.00/1.00 | 0.164 → 0.000 | 0.830 → 0.900 | +0.070" in lines[2]
    assert lines[4] == ""
    assert lines[5].startswith("Type right, of all: 1.000 → 0.500 (-0.500")


def test_of_a_single_patient_a_difference_has_no_interval() -> None:
    assert next(line for line in page([(ONE, BETTER[0])]) if line.startswith("| all")).endswith("| +0.100 |")


@pytest.mark.parametrize(("dense", "part"), [(True, 0.8), (False, None)])
def test_the_engine_differs_in_that_key_alone(dense: bool, part: float | None) -> None:
    given = find_engine("lung-ct").step("nodules").centre_heat
    how = with_border(find_engine("lung-ct"), dense=dense).step("nodules").centre_heat
    assert given is not None
    assert how == replace(given, at_most=60, dense_part=part)

"""The graph that answers: what a chest is asked, what contradicts a header, maps whose mean is the answer."""

from __future__ import annotations

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.views.answering import (  # noqa: E402
    OUTPUTS,
    SAID_ROWS,
    SAID_VIEW,
    SHOWN,
    Answering,
    against_header,
)
from dicomnode.learn.views.network import SIDE, ViewNet  # noqa: E402

# Where rows run to of a frontal picture, by (quarters, mirrored), as PS3.3 C.7.6.1.1.1 has it
ROWS = {
    (0, 0): "L",
    (1, 0): "F",
    (2, 0): "R",
    (3, 0): "H",
    (0, 1): "R",
    (1, 1): "F",
    (2, 1): "L",
    (3, 1): "H",
}


def sure(number: int, count: int) -> object:
    return torch.nn.functional.one_hot(torch.tensor([number]), count).float()


def said(view: str, rows: str) -> object:
    return torch.tensor([[SAID_VIEW.get(view, 0.0), SAID_ROWS.get(rows, 0.0)]])


def against(view: int, quarters: int, mirrored: int, header: object) -> list[bool]:
    row = against_header(sure(view, 3), sure(quarters, 4), sure(mirrored, 2), header)
    return [bool(one > 0.5) for one in row[0]]


@pytest.mark.parametrize(("quarters", "mirrored"), list(ROWS))
def test_a_header_that_is_right_is_not_contradicted(quarters, mirrored) -> None:
    assert against(0, quarters, mirrored, said("PA", ROWS[quarters, mirrored])) == [False, False, False]


@pytest.mark.parametrize(("quarters", "mirrored"), list(ROWS))
def test_a_header_that_says_nothing_is_not_contradicted(quarters, mirrored) -> None:
    assert against(0, quarters, mirrored, said("", "")) == [False, False, False]


@pytest.mark.parametrize(
    ("quarters", "mirrored", "rows", "expected"),
    [
        (0, 1, "L", [False, True, False]),
        (0, 0, "R", [False, True, False]),
        (1, 0, "L", [False, False, True]),
        (2, 0, "L", [False, False, True]),
        (2, 1, "R", [False, False, True]),
        (0, 0, "F", [False, False, True]),
        (3, 1, "F", [False, False, True]),
    ],
)
def test_a_frontal_picture_contradicts_a_header_that_says_another_orientation(
    quarters, mirrored, rows, expected
) -> None:
    assert against(0, quarters, mirrored, said("PA", rows)) == expected


@pytest.mark.parametrize(
    ("view", "header", "expected"),
    [(1, "PA", True), (1, "LL", False), (0, "RL", True), (0, "AP", False), (2, "PA", False)],
)
def test_a_view_contradicts_a_header_that_names_the_other_one(view, header, expected) -> None:
    assert against(view, 0, 0, said(header, ""))[0] is expected


def test_a_lateral_picture_is_turned_where_its_rows_should_run_to_the_front() -> None:
    assert against(1, 1, 0, said("LL", "A")) == [False, False, True]
    assert against(1, 0, 1, said("LL", "P")) == [False, False, False]
    assert against(1, 2, 0, said("LL", "A")) == [False, False, False]  # it says nothing of up and down


def answered(temperatures: list[float]) -> dict[str, object]:
    torch.manual_seed(0)
    network = Answering(ViewNet(), temperatures).eval()
    with torch.no_grad():
        given = network(torch.rand(3, 1, SIDE, SIDE), torch.zeros(3, 2))
    return dict(zip(OUTPUTS, given, strict=True))


def test_rows_are_probabilities_and_what_is_no_chest_is_neither_turned_nor_cut() -> None:
    given = answered([1.0] * 7)
    chest = 1.0 - given["view"][:, 2]
    for name in OUTPUTS[:-2]:
        torch.testing.assert_close(given[name].sum(dim=1), torch.ones(3))
    for name in ("turned", "inverted", "apices", "bases", "sides"):
        assert bool((given[name][:, 1:].sum(dim=1) <= chest + 1e-6).all())
    assert bool((given["mirrored"][:, 1] <= given["view"][:, 0] + 1e-6).all())


def test_the_mean_of_a_map_is_the_logarithm_of_the_odds_of_its_answer() -> None:
    given = answered([2.0] * 7)
    for channel, question in enumerate(SHOWN):
        gate = given["view"][:, 0] if question.name == "mirrored" else 1.0 - given["view"][:, 2]
        own = given[question.name][:, 1] / gate  # of a chest
        mean = given["evidence"][:, channel].mean(dim=(1, 2))
        torch.testing.assert_close(mean, torch.logit(own), rtol=1e-3, atol=1e-3)


def test_a_temperature_above_1_makes_answers_less_sure() -> None:
    sharp, soft = (answered([heat] * 7)["view"] for heat in (0.5, 4.0))
    assert bool((sharp.max(dim=1).values > soft.max(dim=1).values).all())

"""What all pages have in common: their size, what is read aloud, what stands in the dark; and the gallery."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import pairwise

import numpy as np
import pytest

from dicomnode.evaluate import ConfusionMatrix, classification_report, headline
from dicomnode.evaluate.counted_intervals import counted_intervals
from dicomnode.evaluate.dataset import look_at, table_of
from dicomnode.evaluate.dataset.images import GREYS
from dicomnode.evaluate.evaluation import DataFacts
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.page import matrix_html, readers_html, report_html
from dicomnode.evaluate.page.looks import look_section
from dicomnode.evaluate.page.measured import Pair, agreement_figure
from dicomnode.evaluate.page.style import STYLE
from dicomnode.evaluate.readers import ReadNumbers, readers_report
from tests.unit.evaluate.evaluations import ARTICLE, case_name, classification, evaluation
from tests.unit.evaluate.page.reading import balance, section, shown, tree

QUICK = Resampling(resamples=100)


@cache
def _of_report() -> str:
    return report_html(evaluation(compared=True))


@cache
def _of_matrix() -> str:
    report = classification_report(
        ConfusionMatrix(labels=("healthy", "sick"), counts=ARTICLE, positive="sick")
    )
    return matrix_html(report, headline(report), counted_intervals(report, QUICK))


@cache
def _of_readers() -> str:
    given = np.random.default_rng(1).normal(50, 10, (12, 3))
    read = ReadNumbers(
        title="size",
        readers=("reader 1", "reader 2", "reader 3"),
        by="columns",
        cases=tuple(case_name(n) for n in range(12)),
        given=given,
    )
    return readers_html(readers_report([read], DataFacts(studies=12, patients=8), QUICK))


PAGES = pytest.mark.parametrize("page", [_of_report, _of_matrix, _of_readers])


@PAGES
def test_everything_that_is_seen_can_be_read_aloud(page) -> None:
    root = tree(page())
    assert root.get("lang") == "en"
    assert len(list(root.iter("h1"))) == len(list(root.iter("main"))) == 1
    for table in root.iter("table"):
        heads = [cell for row in table.iter("thead") for cell in row.iter("th")]
        assert heads
        assert all(cell.get("scope") == "col" for cell in heads)
        for row in table.iter("tbody"):
            assert all(line[0].tag == "th" and line[0].get("scope") == "row" for line in row)
    for picture in root.iter("img"):
        assert picture.get("alt")
    for part in root.iter("section"):
        (named,) = [one for one in part.iter("h2") if one.get("id") == part.get("aria-labelledby")]
        assert shown(named)
    levels = [int(one.tag[1]) for one in root.iter() if re.fullmatch(r"h[1-6]", str(one.tag))]
    assert all(b - a <= 1 for a, b in pairwise(levels)), "no level is left out"


@PAGES
def test_nothing_is_closed_wrongly_and_nothing_comes_from_outside(page) -> None:
    read = balance(page())
    assert not read.wrong
    assert not read.open
    assert "http" not in page().replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "form"}
    assert "default-src 'none'" in unescape(page())


def test_every_colour_of_the_light_page_has_one_in_the_dark_and_on_paper_it_is_light() -> None:
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", STYLE))
    light, dark, paper = re.findall(r":root\{([^}]*)\}", STYLE)
    for theme in (light, dark, paper):
        assert used <= set(re.findall(r"(--[a-z0-9-]+):", theme))
    assert light == paper


def test_a_page_of_five_hundred_cases_stays_small_enough_to_be_sent() -> None:
    whole = evaluation()
    many = replace(whole, classifications=(classification(count=500),))
    page = report_html(many)
    assert len(page.encode()) < 2_000_000
    assert page.count("<tr>") < 600, "worst cases are listed, all of them are in evaluation.json"


def _look(many: int = 24):
    """Two groups of cases, one outlier, and pictures of them."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(many, len(GREYS)))
    values[many // 2 :] += 9.0
    values[0] += 60.0
    table = table_of([case_name(n) for n in range(many)], [(GREYS, row) for row in values])
    pictures = tuple(generator.integers(0, 255, (96, 72)).astype(np.uint8) for _ in range(many))
    return replace(look_at(table), pictures=pictures)


def test_what_is_typical_of_each_group_is_seen() -> None:
    look = _look()
    assert len(look.middles) == int(look.groups.max()) + 1 > 1
    for n, cases in enumerate(look.middles):
        assert {int(look.groups[case]) for case in cases} == {n}
    part = look_section(look)
    root = tree(str(part))
    pictures = list(root.iter("img"))
    assert len(pictures) == sum(len(cases) for cases in look.middles) + len(look.outliers)
    assert all(one.get("alt").startswith(("Group", "What lies apart")) for one in pictures)
    assert "what a device burned into them" in shown(root)
    assert list(look_section(replace(look, pictures=())).split("<img"))[1:] == []


def test_of_few_cases_it_is_not_said_that_nothing_lies_apart() -> None:
    generator = np.random.default_rng(4)
    table = table_of(
        [case_name(n) for n in range(3)], [(GREYS, row) for row in generator.normal(size=(3, len(GREYS)))]
    )
    told = shown(tree(str(look_section(look_at(table)))))
    assert "Of fewer than 10 cases neither groups nor outliers are looked for." in told
    assert "one group" not in told
    assert "lies apart" not in told


def test_one_case_has_no_limits_of_agreement() -> None:
    one, two = (
        str(agreement_figure("k", "t", "mm", [Pair(name="a", found=5.0, true=3.0)] * many)) for many in (1, 2)
    )
    assert "limits of agreement" not in one
    assert "It takes two cases for limits." in one
    assert "limits of agreement" in two


def test_of_readers_nothing_is_said_to_be_found_or_true() -> None:
    told = shown(section(_of_readers(), "read-0"))
    assert "bias (mean of second − first)" in told
    assert "found" not in told
    assert "true" not in told

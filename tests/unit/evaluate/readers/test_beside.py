"""An engine beside the readers of its data: every agreement recomputed by plain numpy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate.data import LabelledData, numbered, read_labelled
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import Task
from dicomnode.evaluate.page import report_html
from dicomnode.evaluate.readers import Company, reader_columns, readers_beside, without_columns
from dicomnode.evaluate.running import Evaluated, Judging, judge
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from tests.unit.evaluate.page.reading import balance, section, shown
from tests.unit.evaluate.readers.people import ADA, BOB, read_again, sign, without_headers
from tests.unit.evaluate.running.engines import liver_engine

PLAN = AnsweringPlan(
    threads=1, occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
)
HOW = Judging(resampling=Resampling(resamples=100), said={"any-lesion": ("lesion",)})
CALLED = ("1", "0", "1", "1", "0", "0", "1", "0")  # by the second reader; the first is the table's own column


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return liver_engine(tmp_path_factory.mktemp("engines") / "liver")


@pytest.fixture(scope="module")
def folder(volumes, tmp_path_factory) -> Path:
    """Eight studies with the outlines of two people; Bob's lie one or two columns away."""
    copy = tmp_path_factory.mktemp("beside") / "data"
    shutil.copytree(volumes[0], copy)
    for n in range(1, 9):
        sign(copy / f"case-{n:04d}", ADA)
        read_again(copy / f"case-{n:04d}", BOB, 1 + n % 2)
    return copy


@pytest.fixture(scope="module")
def data(folder) -> LabelledData:
    """With a table of two readers: the second one has not read the last study."""
    read = numbered(read_labelled([folder], folder / "labels.csv"))
    studies = []
    for n, one in enumerate(read.studies):
        row = dict(one.row) | {"a": one.row["lesion"], **({"b": CALLED[n]} if n < 7 else {})}
        studies.append(replace(one, row=row))
    return replace(read, studies=tuple(studies), columns=(*read.columns, "a", "b"))


@pytest.fixture(scope="module")
def evaluated(package, data) -> Evaluated:
    with Answering(package, PLAN) as answering:
        return judge(data, answering, HOW)


@pytest.fixture(scope="module")
def companies(package, data, evaluated) -> dict[tuple[Task, str], Company]:
    columns = reader_columns(["any-lesion=a,b"], data.columns)
    found = readers_beside(data, evaluated, package.manifest, columns, said=HOW.said)
    return {(one.task, one.output): one for one in found}


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_engine_is_as_far_from_each_reader_as_numpy_says(companies, evaluated, data) -> None:
    one = companies[Task.SEGMENTATION, "liver"]
    drawn = {each.case: each for each in evaluated.drawn if each.output == "liver" and each.task is one.task}
    by_study = {study.study.study_instance_uid: study for study in data.studies}
    mine, theirs = [], []
    for case, each in drawn.items():
        outlines = [
            next(segment.mask.to_array() for segment in annotation.segments if segment.label == "liver")
            for annotation in by_study[case.study_instance_uid].annotations
            if annotation.segments
        ]
        engine = each.found[0].to_array()
        mine.append(np.mean([_dice(engine, outline) for outline in outlines]))
        theirs.append(np.mean([_dice(a, b) for a, b in combinations(outlines, 2)]))
    assert one.cases == 8
    assert [each.reader for each in one.readers] == ["reader 1", "reader 2"]
    assert one.engine.figure.value == pytest.approx(np.mean(mine))
    assert one.among.figure.value == pytest.approx(np.mean(theirs))
    assert one.difference.figure.value == pytest.approx(np.mean(mine) - np.mean(theirs))
    assert one.difference.low <= one.difference.figure.value <= one.difference.high


def test_calls_are_compared_by_kappa_and_with_the_truth_on_the_cases_of_the_reader(
    companies, evaluated, data
) -> None:
    one = companies[Task.CLASSIFICATION, "any-lesion"]
    (result,) = evaluated.evaluation.classifications
    rows = {study.study.study_instance_uid: study.row for study in data.studies}
    both = [case for case in result.cases if "b" in rows[case.case.study_instance_uid]]
    engine = np.array([case.called == "any-lesion" for case in both])
    a, b = (np.array([rows[case.case.study_instance_uid][c] == "1" for case in both]) for c in "ab")

    def kappa(x: np.ndarray, y: np.ndarray) -> float:
        chance = x.mean() * y.mean() + (1 - x.mean()) * (1 - y.mean())
        return ((x == y).mean() - chance) / (1 - chance)

    assert one.cases == len(both) == 7  # with two readers
    assert one.engine.figure.value == pytest.approx((kappa(engine, a) + kappa(engine, b)) / 2)
    assert one.among.figure.value == pytest.approx(kappa(a, b))
    truth = np.array([case.truth == "any-lesion" for case in both])
    second = one.readers[1]
    assert second.recall[0].figure.value == pytest.approx((b & truth).sum() / truth.sum())
    assert second.recall[1].figure.value == pytest.approx((engine & truth).sum() / truth.sum())
    assert second.specificity[0].figure.value == pytest.approx((~b & ~truth).sum() / (~truth).sum())


def test_the_page_and_the_json_say_it_and_name_nobody(companies, evaluated, folder) -> None:
    judged = replace(evaluated.evaluation, companies=tuple(companies.values()))
    page = report_html(judged)
    document = json.loads(json.dumps(judged.to_document(), allow_nan=False))
    told = shown(section(page, "readers"))
    for one in companies.values():
        assert f"{one.engine.figure.value:.3f}" in told
        assert f"{one.among.figure.value:.3f}" in told
        assert one.verdict in told
    assert not balance(page).wrong
    assert [one["output"] for one in document["readers"]] == [one.output for one in companies.values()]
    for name in without_headers(folder):
        assert name not in page
        assert name not in json.dumps(document)


def test_without_several_readers_nothing_is_said(package, volumes) -> None:
    data = numbered(read_labelled([volumes[0]], volumes[0] / "labels.csv"))
    alone = replace(data, studies=data.studies[:2])
    with Answering(package, PLAN) as answering:
        evaluated = judge(alone, answering, HOW)
    assert readers_beside(alone, evaluated, package.manifest, said=HOW.said) == ()
    columns = reader_columns(["spine=lesion,lesions"], data.columns)
    assert readers_beside(alone, evaluated, package.manifest, columns, said=HOW.said) == ()


def test_the_verdict_says_no_more_than_the_interval_of_the_difference(companies) -> None:
    one = companies[Task.SEGMENTATION, "liver"]
    of = one.difference
    for low, high, says in ((0.1, 0.2, "nearer"), (-0.2, -0.1, "farther"), (-0.1, 0.1, "may be chance")):
        figure = replace(of.figure, value=(low + high) / 2)
        moved = replace(
            one, patients=20, differing=6, difference=replace(of, figure=figure, low=low, high=high)
        )
        assert says in moved.verdict
        assert "Nothing can be said" in replace(moved, patients=5).verdict
        assert "of all but 5 patients, all say the same" in replace(moved, differing=5).verdict
    unknown = replace(of, low=None, high=None, remarks=("one patient",))
    assert "Nothing can be said" in replace(one, patients=20, difference=unknown).verdict


def test_a_reader_who_is_the_truth_is_not_praised_for_it(package, data) -> None:
    how = replace(HOW, said={"any-lesion": ("a",)})
    with Answering(package, PLAN) as answering:
        judged = judge(data, answering, how)
    columns = reader_columns(["any-lesion=a,b"], data.columns)
    found = readers_beside(data, judged, package.manifest, columns, said=how.said)
    (one,) = [each for each in found if each.task is Task.CLASSIFICATION]
    assert one.readers[0].recall[0].figure.value == 1.0
    assert (
        "The truth is of one of these readers: their recall and specificity are too good, and say nothing."
        in (one.remarks)
    )
    (named,) = without_columns(judged.evaluation, columns).classifications
    assert judged.evaluation.classifications[0].output.truth == "column a"
    assert named.output.truth == "the column of reader 1"


def test_where_the_truth_is_of_another_nothing_is_said_of_it(companies) -> None:
    assert not any("too good" in text for one in companies.values() for text in one.remarks)


def test_two_stacks_of_one_series_are_two_cases(evaluated, data, package, companies) -> None:
    """They have one name: neither may take the place of the other."""
    twice = replace(evaluated, drawn=(*evaluated.drawn, *evaluated.drawn))
    found = readers_beside(data, twice, package.manifest, said=HOW.said)
    (one,) = [each for each in found if (each.task, each.output) == (Task.SEGMENTATION, "liver")]
    assert one.cases == 2 * companies[Task.SEGMENTATION, "liver"].cases

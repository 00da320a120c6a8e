"""Synthetic Data (0008,001C): what is made of images that nobody was imaged for says so, too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset

from dicomnode.assemble import load_picture, load_volume, read_studies
from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.guard.identity import check_object
from dicomnode.report.objects import Kind
from dicomnode.report.selections.rejection_note import Rejection, make_rejection_note
from dicomnode.values import Findings
from tests.unit.report.pages.paged import read
from tests.unit.report.sources import SALT, Series, findings
from tests.unit.report.test_mark import FOUND, OF_KIND

SAYS = {"SyntheticData": "YES"}


def on(found: Findings, *series: Series) -> Findings:
    """The same findings on images with other headers; further series are further inputs."""
    first = replace(found.sources[0], headers=findings(series[0]).sources[0].headers)
    more = [replace(findings(one).sources[0], name=f"input-{n}") for n, one in enumerate(series[1:], start=1)]
    return replace(found, sources=(first, *more))


def last_slice(dataset: Dataset, k: int) -> None:
    if k == 11:
        dataset.SyntheticData = "YES"


def of_another_vr(dataset: Dataset, _k: int) -> None:
    dataset[0x0008001C] = DataElement(0x0008001C, "US", 1)


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_result_of_every_kind_carries_it(kind: Kind) -> None:
    found = on(FOUND.get(kind, findings()), Series(extra=dict(SAYS)))
    made = make_objects(found, ReportProfile(kinds=(kind,)), SALT)
    assert made
    for one in made:
        assert read(one.content).SyntheticData == "YES"


@pytest.mark.parametrize(
    ("name", "series", "said"),
    [
        ("nothing is said", (Series(),), None),
        ("it is no synthetic one", (Series(extra={"SyntheticData": "NO"}),), None),
        ("its last image alone", (Series(edit=last_slice),), "YES"),
        ("a further input alone", (Series(), Series(plane="coronal", extra=dict(SAYS))), "YES"),
        ("a value that is none", (Series(edit=of_another_vr),), None),
    ],
)
def test_one_image_of_any_input_makes_it_synthetic_and_no_word_does_not(
    name: str, series: tuple[Series, ...], said: str | None
) -> None:
    found = on(findings(), *series)
    for one in make_objects(found, ReportProfile(kinds=("SEG", "SR")), SALT):
        assert read(one.content).get("SyntheticData") == said, name


def test_the_guard_refuses_a_result_that_hides_it() -> None:
    found = on(findings(), Series(extra=dict(SAYS)))
    (made,) = make_objects(found, ReportProfile(kinds=("SR",)), SALT)
    result = read(made.content)
    check_object(result, found, made.sop_class_uid, None)
    del result.SyntheticData
    with pytest.raises(NodeError) as caught:
        check_object(result, found, made.sop_class_uid, None)
    assert caught.value.fault is GEOMETRY_GUARD
    assert "synthetic" in str(caught.value)


@pytest.mark.parametrize("said", ["YES", None])
def test_a_rejection_note_says_what_the_rejected_result_said(said: str | None, tmp_path: Path) -> None:
    extra: dict[str, object] = {} if said is None else {"SyntheticData": said}
    (made,) = make_objects(on(findings(), Series(extra=extra)), ReportProfile(kinds=("SR",)), SALT)
    path = tmp_path / "report.dcm"
    path.write_bytes(made.content)
    rejection = Rejection(
        objects=(path,),
        code="113039",
        name="1",
        destination="pacs",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert read(make_rejection_note(rejection, SALT).content).get("SyntheticData") == said


@pytest.mark.parametrize("kind", ["volumes", "discs"])
def test_what_the_node_keeps_of_a_header_still_says_so(kind: str, tmp_path: Path) -> None:
    """Or no result could know: the headers that findings carry are those that assembling kept."""
    made = synth_cases(SynthPlan(kind=kind, cases=1, seed=1), tmp_path / "set")
    (study,) = read_studies([made.cases[0].images]).studies
    stack = study.series[0].stacks[0]
    images = load_volume(stack) if stack.kind == "volume" else load_picture(stack)
    assert images.headers.encoded
    assert all(read(one).SyntheticData == "YES" for one in images.headers.encoded)

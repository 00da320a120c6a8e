"""Every kind of object on every fixture series before every judge that knows the kind.

The objects of a series are made at once, with one profile of all kinds, so that what they say of each other
is judged too. `table` says which judge looks at what; docs/reference/judges.md is written from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import send_files
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings
from tests.judges import allowed, tools
from tests.judges.cases import ALL_KINDS, FIXTURES, Case, make_case, objects_of
from tests.judges.object_judges import JUDGED
from tests.judges.table import JUDGES, OBJECTS, SERIES
from tests.judges.test_report_iod import TYPE_2
from tests.unit.report.sources import SALT
from tests.wire.peers import orthanc
from tests.wire.test_deliver_send import data_set

pytestmark = pytest.mark.judge

CORNERSTONE = "cornerstone"
IN_MAKE_TEST = "axial"  # the others are in make long and make judges
NAMES = [
    pytest.param(
        name, marks=[pytest.mark.xdist_group(name), *([] if name == IN_MAKE_TEST else [pytest.mark.long])]
    )
    for name in FIXTURES
]
# Attributes of the patient and of the study that an archive files results by (PS3.3 C.7.1.1, C.7.2)
IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
)
_FOLDERS: list[pytest.TempPathFactory] = []


@pytest.fixture(scope="module", autouse=True)
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    _FOLDERS.append(tmp_path_factory)
    yield
    _case.cache_clear()


@cache
def _case(name: str) -> Case:
    return make_case(name, _FOLDERS[-1].mktemp("case"))


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The objects of a fixture series: made once, and not changed by any test."""
    return _case(request.param)


def judged(judge: str, case: Case) -> dict[str, list[str]]:
    """What a judge holds against the objects of a case, by kind."""
    found = {kind: ask(case, kind) for kind, ask in JUDGED[judge].items() if kind in case.results}
    return {kind: lines for kind, lines in found.items() if lines}


# ── The table ─────────────────────────────────────────────────────────────────────────────────────
def test_the_table_names_every_kind_once_for_every_judge() -> None:
    assert set(OBJECTS) == set(ALL_KINDS)
    assert tuple(FIXTURES) == SERIES
    for judge in JUDGES:
        assert sorted([*judge.checks, *judge.not_for]) == sorted(OBJECTS), judge.name


def test_every_cell_of_the_table_has_a_judge() -> None:
    of_the_whole = {"dcentvfy", "PixelMed", "Orthanc"}  # tests of their own below
    assert {one.name: set(one.checks) for one in JUDGES if one.name not in of_the_whole} == {
        name: set(kinds) for name, kinds in JUDGED.items()
    }


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_every_kind_is_made_that_a_source_allows(case: Case) -> None:
    assert set(case.results) == set(case.fixture.kinds)


# ── Each object ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "judge",
    [pytest.param(one, marks=pytest.mark.cornerstone) if one == CORNERSTONE else one for one in JUDGED],
)
@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_a_judge_holds_nothing_against_any_object(case: Case, judge: str) -> None:
    assert judged(judge, case) == {}


# ── All of them together ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_dcentvfy_takes_the_source_and_all_results_for_one_study(case: Case, tmp_path: Path) -> None:
    source = []
    for path in case.source:
        ds = dcmread(path)
        ds.decode()  # dcentvfy compares bytes: the names in the character set of the results
        ds.SpecificCharacterSet = "ISO_IR 192"
        for keyword in TYPE_2:  # a result has what a source must have, empty where that lacks it
            if keyword not in ds:
                setattr(ds, keyword, None)
        source.append(tmp_path / path.name)
        ds.save_as(source[-1])
    lines = tools.dcentvfy([*source, *case.paths])
    assert allowed.held(lines, [allowed.the_study(case.study)]) == []


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_patient_and_study_are_the_sources_in_unicode(case: Case) -> None:
    source = dcmread(case.source[0], stop_before_pixels=True)
    source.decode()
    for path in case.paths:
        result = dcmread(path, stop_before_pixels=True)
        result.decode()
        differing = {one for one in IDENTITY if _text(result, one) != _text(source, one)}
        assert differing == set(), path.name


def _text(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value)


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_every_reference_leads_to_an_instance_of_the_source_or_of_the_results(case: Case) -> None:
    there = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, [*case.source, *case.paths])}
    assert len(there) == len(case.source) + len(case.paths)
    for path in case.paths:
        for item in _items(dcmread(path)):
            uid = str(item.get("ReferencedSOPInstanceUID", ""))
            if not uid or uid == case.study:  # a structure set names its study so
                continue
            assert uid in there, f"{path.name} names {uid}, which is nowhere"
            named = there[uid]
            assert item.ReferencedSOPClassUID == named.SOPClassUID, path.name
            frames = _numbers(item, "ReferencedFrameNumber")
            assert frames <= set(range(1, int(named.get("NumberOfFrames", 1)) + 1)), path.name
            segments = {int(one.SegmentNumber) for one in named.get("SegmentSequence", ())}
            assert _numbers(item, "ReferencedSegmentNumber") <= segments, path.name


def _items(ds: Dataset) -> Iterator[Dataset]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _numbers(item: Dataset, keyword: str) -> set[int]:
    value = item.get(keyword)
    if value is None:
        return set()
    return {int(value)} if isinstance(value, int | str) else {int(one) for one in value}


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_what_a_report_tracks_are_the_segments_that_it_names(case: Case) -> None:
    (report,) = (dcmread(path) for path in case.results["SR"])
    groups = [one for one in _items(report) if _concept(one) == "125007"]  # Measurement Group
    named = {}
    for group in groups:
        children = {_concept(one): one for one in group.ContentSequence}
        if "121191" in children:  # Referenced Segment
            reference = children["121191"].ReferencedSOPSequence[0]
            named[int(reference.ReferencedSegmentNumber)] = str(children["112040"].UID)
    tracked = {}
    for path in case.results.get("SEG", ()):
        tracked = {int(one.SegmentNumber): str(one.TrackingUID) for one in dcmread(path).SegmentSequence}
    assert named == tracked
    for path in case.results.get("LABELMAP", ()):
        assert [one.TrackingUID for one in dcmread(path).SegmentSequence if "TrackingUID" in one] == [
            *tracked.values()
        ]


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_making_them_again_gives_the_same_bytes(case: Case) -> None:
    found, pixels = case.fixture.find(case.folder / "source")
    again = objects_of(found, pixels)
    assert [one.sop_instance_uid for one in again] == [one.sop_instance_uid for one in case.objects]
    assert [one.content == there.content for one, there in zip(again, case.objects, strict=True)] == [
        True
    ] * len(again)


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_orthanc_takes_every_object_and_gives_it_back(case: Case, tmp_path: Path) -> None:
    with orthanc(tmp_path) as archive:
        outcomes = send_files(archive.peer, "DICOMNODE", case.paths)
        assert {one.outcome for one in outcomes} == {"stored"}
        back = archive.files()
    assert {uid: data_set(content) for uid, content in back.items()} == {
        one.sop_instance_uid: data_set(one.content) for one in case.objects
    }


# ── PixelMed, which compiles its rules for half a minute ──────────────────────────────────────────
# PixelMed takes all groups of a report for the template of the first, as far as they have what that wants
_OUTLINED = {"regions": (), "classifications": (), "measurements": ()}
_THE_REST = {"segments": (), "maps": (), "images": ()}


def _parts(found: Findings, *, outlined: bool) -> list[Findings]:
    if outlined:
        return [replace(found, **_OUTLINED)]
    rest = replace(found, **_THE_REST)
    if found.sources[0].plane is None:
        return [rest]
    return [replace(rest, regions=()), replace(rest, classifications=())]


@pytest.mark.long
@pytest.mark.pixelmed
@pytest.mark.parametrize("outlined", [True, False], ids=["outlined", "the rest"])
@pytest.mark.parametrize("names", [list(FIXTURES)[n::3] for n in range(3)], ids=", ".join)
def test_pixelmed_finds_the_template_kept(names: list[str], outlined: bool, tmp_path: Path) -> None:
    paths = []
    for name in names:
        for n, found in enumerate(_parts(_case(name).findings, outlined=outlined)):
            (report,) = make_objects(found, ReportProfile(kinds=("SR",)), SALT)
            paths.append(tmp_path / f"{name}-{n}.dcm".replace(" ", "-"))
            paths[-1].write_bytes(report.content)
    assert tools.pixelmed(paths, tmp_path) == {path: [] for path in paths}

"""The same findings always give the same bytes, on any machine, and nothing is made in doubt."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from structlog.testing import capture_logs

from dicomnode.faults import GEOMETRY_GUARD, REPORT_FAILED, NodeError
from dicomnode.report import ReportProfile, make, make_objects
from dicomnode.report.objects import Kind
from dicomnode.store.persons import Renaming
from dicomnode.values import Findings
from tests.unit.report.fields.fields import with_image, with_map
from tests.unit.report.segmentation.test_labelmap import apart
from tests.unit.report.sources import SALT, Series, findings, not_analysed, nothing_found

SECRETS = ("PAT-7", "Müller", "Jörg", "19600229", "ACC123", "Arzt")

_DIGESTS = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from dicomnode.report import ReportProfile, make_objects
from tests.unit.report.sources import SALT, findings
for one in make_objects(findings(), ReportProfile(), SALT):
    print(one.kind, hashlib.sha256(one.content).hexdigest())
"""


def _digests(found: Findings) -> list[str]:
    made = make_objects(found, ReportProfile(), SALT)
    return [f"{one.kind} {hashlib.sha256(one.content).hexdigest()}" for one in made]


@pytest.mark.parametrize("make_findings", [findings, nothing_found, not_analysed])
def test_the_same_findings_give_the_same_bytes(make_findings: Callable[[], Findings]) -> None:
    assert _digests(make_findings()) == _digests(make_findings())


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_the_clock_and_zone_of_the_machine_do_not_matter(zone: str) -> None:
    root = Path(__file__).parents[3]
    run = subprocess.run(
        # highdicom 0.28 leaves a database in memory to the collector, which Python 3.13 tells
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", _DIGESTS, str(root)],
        env={"TZ": zone, "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.stderr == ""
    assert run.stdout.split("\n")[:-1] == _digests(findings())


def test_another_profile_gives_other_numbers_and_other_uids() -> None:
    first = make_objects(findings(), ReportProfile(series_number=100), SALT)
    second = make_objects(findings(), ReportProfile(series_number=200), SALT)
    assert not {one.sop_instance_uid for one in first} & {one.sop_instance_uid for one in second}


GUARDED = ("SEG", "LABELMAP", "GSPS", "RTSTRUCT", "PM", "IMAGES", "SR")


def of_all_kinds() -> Findings:
    """Findings with something for an object of every kind."""
    return replace(apart(findings()), maps=with_map(Series()).maps, images=with_image().images)


MERGED = Renaming(told={"PatientID": "AFTER-THE-MERGE"}, former=({"PatientID": "PAT-7"},))


def test_objects_are_written_under_the_patient_id_that_a_merge_told() -> None:
    made = make_objects(of_all_kinds(), ReportProfile(kinds=GUARDED), SALT, MERGED)
    assert {one.kind for one in made} == set(GUARDED)
    for one in made:
        assert dcmread(BytesIO(one.content)).PatientID == "AFTER-THE-MERGE"


@pytest.mark.parametrize("renaming", [Renaming(), MERGED], ids=["of the source", "that a merge told"])
@pytest.mark.parametrize("kind", GUARDED)
def test_an_object_of_another_patient_than_meant_is_not_returned(
    kind: Kind, renaming: Renaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make.apply_identity

    def mistaken(result: Dataset, *how: Any) -> None:
        real(result, *how)
        result.PatientID = "PAT-7" if renaming.told else "PAT-8"

    monkeypatch.setattr(make, "apply_identity", mistaken)
    with pytest.raises(NodeError, match="another patient") as caught:
        make_objects(of_all_kinds(), ReportProfile(kinds=(kind,)), SALT, renaming)
    assert caught.value.fault is GEOMETRY_GUARD


def test_a_segmentation_that_the_guard_refuses_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(contents: list[bytes], found: Findings, **_: object) -> None:
        raise NodeError(GEOMETRY_GUARD, difference="a test says so")

    monkeypatch.setattr(make, "check_segmentation", refuse)
    with pytest.raises(NodeError) as caught:
        make_objects(findings(), ReportProfile(), SALT)
    assert caught.value.fault is GEOMETRY_GUARD


def test_what_the_writer_refuses_is_a_failure_with_a_row_and_without_the_patient() -> None:
    def two_at_one_place(ds: Dataset, k: int) -> None:
        if k == 5:
            ds.ImagePositionPatient[2] = float(ds.ImagePositionPatient[2]) - 2.5

    with pytest.raises(NodeError) as caught:
        make_objects(findings(Series(edit=two_at_one_place)), ReportProfile(), SALT)
    assert caught.value.fault is REPORT_FAILED
    assert caught.value.values["kind"] == "SEG"
    for secret in SECRETS:
        assert secret not in str(caught.value)


def test_no_library_logs_anything_of_the_patient(caplog: pytest.LogCaptureFixture) -> None:
    extra = {"PatientSex": "UNSURE", "SpecificCharacterSet": "ISO_IR 100"}
    with caplog.at_level(logging.DEBUG):
        make_objects(findings(Series(extra=extra)), ReportProfile(), SALT)
    assert caplog.records  # highdicom says what it copies, by keyword
    for secret in (*SECRETS, "UNSURE"):
        assert secret not in caplog.text


def test_dropped_headers_are_logged_by_name_and_never_by_value() -> None:
    with capture_logs() as logs:
        make_objects(nothing_found(Series(extra={"AccessionNumber": "A" * 16})), ReportProfile(), SALT)
        assert logs == []
        make_objects(nothing_found(Series(extra={"PatientSex": "UNSURE"})), ReportProfile(), SALT)
    assert [entry["event"] for entry in logs] == ["header.left_out"]
    assert "(0010,0040)" in str(logs)
    for secret in (*SECRETS, "UNSURE"):
        assert secret not in str(logs)


@pytest.mark.parametrize("kinds", [(), ("SEG",)])
def test_a_profile_that_makes_no_sense_is_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="ReportProfile"):
        ReportProfile(kinds=kinds, series_number=0)  # type: ignore[arg-type]


def test_the_face_loads_nothing_heavy() -> None:
    code = (
        "import sys, dicomnode.report as r; r.ReportProfile\n"
        "print(sorted({'numpy', 'pydicom', 'highdicom', 'PIL'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_the_face_names_what_it_has_and_nothing_else() -> None:
    import dicomnode.report as face

    for name in face.__all__:
        assert getattr(face, name)
    with pytest.raises(AttributeError):
        face.build_segmentation  # noqa: B018

"""Rejection notes before dicom3tools and DCMTK."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.report import Rejection, make_objects, make_rejection_note
from dicomnode.report.objects import ReportProfile
from dicomnode.values.rejection import REJECTIONS
from tests.judges import tools
from tests.unit.report.real import findings_of, read_series, reader_mask
from tests.unit.report.sources import SALT, Series, findings, part_10

pytestmark = pytest.mark.judge
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(folder: Path, found: object, code: str = "113001") -> tuple[Path, list[Path]]:
    results = []
    for one in make_objects(found, ReportProfile(), SALT):  # type: ignore[arg-type]
        results.append(folder / f"{one.kind}.dcm")
        results[-1].write_bytes(one.content)
    rejection = Rejection(
        objects=tuple(results), code=code, name="(retraction 1)", destination="archive", made_at=NOON
    )
    path = folder / f"KO-{code}.dcm"
    path.write_bytes(make_rejection_note(rejection, SALT).content)
    return path, results


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_dciodvfy_finds_nothing_in_a_rejection_note(tmp_path: Path, code: str) -> None:
    note, _ = write(tmp_path, findings(), code)
    assert tools.dciodvfy(note) == []


def test_dcentvfy_takes_a_rejection_note_and_the_results_for_one_study(tmp_path: Path) -> None:
    ascii_names = {"PatientName": "Mueller^Joerg", "ReferringPhysicianName": "Arzt^Aenne"}
    series = Series(extra=ascii_names)
    note, results = write(tmp_path, findings(series))
    for k, image in enumerate(series.datasets()):
        (tmp_path / f"ct-{k:02}.dcm").write_bytes(part_10(image))
    assert tools.dcentvfy([note, *results, *tmp_path.glob("ct-*.dcm")]) == []


def test_dsrdump_reads_the_rejection_note(tmp_path: Path) -> None:
    note, _ = write(tmp_path, findings(Series(extra={"PatientName": "Mueller^Joerg"})))
    assert tools.dsrdump(note) == []


def test_the_note_names_every_result_and_why(tmp_path: Path) -> None:
    path, results = write(tmp_path, findings(), "113037")
    note = dcmread(path)
    title = note.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodeMeaning) == ("113037", "Rejected for Patient Safety Reasons")
    named = {
        one.ReferencedSOPInstanceUID
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert named == {dcmread(result).SOPInstanceUID for result in results}
    assert note.PatientName == dcmread(results[0]).PatientName


def test_dciodvfy_finds_nothing_in_a_rejection_note_on_results_of_a_real_ct(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, _ = read_series(folder)
    note, _ = write(tmp_path, findings_of(volume, reader_mask(folder, volume)))
    assert tools.dciodvfy(note) == []
    assert tools.dsrdump(note) == []

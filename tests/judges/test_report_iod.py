"""Result objects before dicom3tools, DCMTK, dcmqi and PixelMed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, Mask, Outcome
from tests.judges import tools
from tests.unit.report.heading.test_headers import TYPE_2
from tests.unit.report.kinds import KINDS
from tests.unit.report.real import enhanced_source, findings_of, read_series, reader_mask
from tests.unit.report.sources import (
    BEFORE,
    EARLIER,
    PLANES,
    SALT,
    Series,
    findings,
    not_analysed,
    nothing_found,
    part_10,
    wrong_element,
)

pytestmark = pytest.mark.judge

ASCII = {
    "PatientName": "Mueller^Joerg",
    "ReferringPhysicianName": "Arzt^Aenne",
    "InstitutionName": "Klinikum",
}


def _write(folder: Path, found: Findings, *kinds: str) -> dict[str, Path]:
    profile = ReportProfile(kinds=kinds or ("SEG", "SR"))  # type: ignore[arg-type]
    paths = {}
    for one in make_objects(found, profile, SALT):
        paths[one.kind] = folder / f"{one.kind}.dcm"
        paths[one.kind].write_bytes(one.content)
    return paths


def _write_source(folder: Path, series: Series) -> list[Path]:
    paths = []
    for k, ds in enumerate(series.datasets()):
        paths.append(folder / f"ct-{k:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    return paths


# ── One object of each kind ───────────────────────────────────────────────────────────────────────
def test_the_synthetic_source_is_clean_itself(tmp_path: Path) -> None:
    assert tools.dciodvfy(_write_source(tmp_path, Series())[0]) == []


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_dciodvfy_finds_nothing_in_a_result(kind: str, tmp_path: Path) -> None:
    assert tools.dciodvfy(_write(tmp_path, findings())[kind]) == []


@pytest.mark.parametrize(
    "found",
    [nothing_found, not_analysed, lambda: not_analysed(outcome=Outcome.FAILED)],
    ids=["nothing-found", "not-analysed", "failed"],
)
def test_dciodvfy_and_dsrdump_find_nothing_in_a_report_of_nothing(
    found: Callable[[], Findings], tmp_path: Path
) -> None:
    path = _write(tmp_path, found())["SR"]
    assert tools.dciodvfy(path) == []
    assert tools.dsrdump(path) == []


def test_the_judges_take_a_report_that_names_others_and_objects_that_are_for_a_look(tmp_path: Path) -> None:
    paths = {}
    profile = ReportProfile(for_a_look=True)
    for one in make_objects(findings(Series(extra=ASCII)), profile, SALT, replaces=EARLIER):
        paths[one.kind] = tmp_path / f"{one.kind}.dcm"
        paths[one.kind].write_bytes(one.content)
    assert {kind: tools.dciodvfy(path) for kind, path in paths.items()} == {"SEG": [], "SR": []}
    assert tools.dsrdump(paths["SR"]) == []
    dump = tools.run("dsrdump", paths["SR"]).lines
    assert any(line.startswith("Predecessor Docs") and line.endswith(": 3") for line in dump)
    told = tmp_path / "report.json"
    assert tools.run("tid1500reader", "--inputDICOM", paths["SR"], "--outputMetadata", told).status == 0
    assert len(json.loads(told.read_text(encoding="utf-8"))["Measurements"]) == 3


def test_the_judges_take_a_report_that_names_the_images_of_a_prior(tmp_path: Path) -> None:
    path = _write(tmp_path, replace(findings(Series(extra=ASCII)), earlier=(BEFORE,)))["SR"]
    assert tools.dciodvfy(path) == []
    assert tools.dsrdump(path) == []
    told = tmp_path / "report.json"
    assert tools.run("tid1500reader", "--inputDICOM", path, "--outputMetadata", told).status == 0


def test_dcentvfy_takes_results_and_the_whole_source_for_one_study(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    results = _write(tmp_path, findings(series))
    assert tools.dcentvfy([*_write_source(tmp_path, series), *results.values()]) == []


def test_dsrdump_reads_the_report(tmp_path: Path) -> None:
    assert tools.dsrdump(_write(tmp_path, findings(Series(extra=ASCII)))["SR"]) == []


@pytest.mark.parametrize(
    ("found", "groups"), [(findings, 3), (nothing_found, 1)], ids=["found", "nothing-found"]
)
def test_dcmqi_reads_every_group_of_the_report(
    found: Callable[[], Findings], groups: int, tmp_path: Path
) -> None:
    path, told = _write(tmp_path, found())["SR"], tmp_path / "report.json"
    assert tools.run("tid1500reader", "--inputDICOM", path, "--outputMetadata", told).status == 0
    measurements = json.loads(told.read_text(encoding="utf-8"))["Measurements"]
    assert len(measurements) == groups
    if groups == 3:
        nodule = measurements[2]
        assert (nodule["TrackingIdentifier"], nodule["ReferencedSegment"]) == ("Nodule 1", 3)
        values = {item["quantity"]["CodeMeaning"]: item["value"] for item in nodule["measurementItems"]}
        assert values == {"Volume": "123.5", "Long axis": "12.3", "Certainty of Finding": "87.1"}


def test_dciodvfy_and_dsrdump_find_nothing_in_results_on_a_real_ct(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, images = read_series(folder)
    assert volume.voxels.shape == (16, 512, 512)
    results = _write(tmp_path, findings_of(volume, reader_mask(folder, volume)))
    assert [tools.dciodvfy(path) for path in results.values()] == [[], []]
    assert tools.dsrdump(results["SR"]) == []
    source = [tmp_path / f"ct-{k:02}.dcm" for k in range(len(images))]
    for path, ds in zip(source, images, strict=True):
        # the source refers to objects of its own that are not here
        for keyword in ("ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "UID"):
            ds.pop(keyword, None)
        ds.save_as(path)
    assert tools.dcentvfy([*source, *results.values()]) == []


def test_dciodvfy_and_dsrdump_find_nothing_in_results_on_frames_of_one_object(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = enhanced_source(real_data("odd-pydicom-data/eCT_Supplemental.dcm"))
    assert source.grid is not None
    assert [frame.frame_number for frame in source.frames] == [2, 1]  # its frames run downwards
    mask = np.zeros(source.grid.shape_kji, dtype=bool)
    mask[0, 100:140, 50:80], mask[1, 110:120, 60:64] = True, True
    x, y, z = source.grid.to_lps_mm(np.argwhere(mask)).mean(axis=0)
    nodule = replace(
        findings().segments[2], mask=Mask.from_array(mask), centre_lps_mm=(float(x), float(y), float(z))
    )
    results = _write(tmp_path, findings(sources=(source,), segments=(nodule,)))
    assert [tools.dciodvfy(path) for path in results.values()] == [[], []]
    assert tools.dsrdump(results["SR"]) == []
    assert dcmread(results["SEG"]).NumberOfFrames == 2


# ── The wider matrix ──────────────────────────────────────────────────────────────────────────────
def _wrong(**values: object) -> Callable[[Dataset, int], None]:
    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in values.items():
            ds[keyword] = wrong_element(keyword, value)

    return edit


def _without(*keywords: str) -> Callable[[Dataset, int], None]:
    def edit(ds: Dataset, k: int) -> None:
        for keyword in keywords:
            delattr(ds, keyword)

    return edit


_OTHER = Dataset()
_OTHER.PatientID, _OTHER.IssuerOfPatientID = "OLD-1", "ELSEWHERE"
_RIS = Dataset()
_RIS.LocalNamespaceEntityID = "RIS"

HEADERS = {
    "UTF-8": Series(extra={"SpecificCharacterSet": "ISO_IR 192"}),
    "Latin-1": Series(),
    "Japanese": Series(
        extra={
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "ReferringPhysicianName": "",
            "InstitutionName": "",
        }
    ),
    "GB18030": Series(
        extra={
            "SpecificCharacterSet": "GB18030",
            "PatientName": "王^小东",
            "ReferringPhysicianName": "",
            "InstitutionName": "",
        }
    ),
    "no character set": Series(extra=ASCII, edit=_without("SpecificCharacterSet")),
    "type 2 missing": Series(edit=_without(*TYPE_2)),
    "wrong sex and dates": Series(
        edit=_wrong(PatientSex="U", PatientBirthDate="1960", StudyDate="2025.03.01", StudyTime="10:11:12")
    ),
    "long accession number": Series(edit=_wrong(AccessionNumber="A2345678901234567890")),
    "wrong lengths": Series(edit=_wrong(StudyDescription="D" * 70, StudyID="S" * 20, PatientAge="65")),
    "zone": Series(extra={"TimezoneOffsetFromUTC": "+0900"}),
    "issuers": Series(extra={"OtherPatientIDsSequence": [_OTHER], "IssuerOfAccessionNumberSequence": [_RIS]}),
    "trial in part": Series(extra={"ClinicalTrialSponsorName": "", "ClinicalTrialProtocolID": "P"}),
    "trial": Series(
        extra={
            "ClinicalTrialSponsorName": "S",
            "ClinicalTrialProtocolID": "P",
            "ClinicalTrialSubjectID": "7",
        }
    ),
    "laterality empty": Series(extra={"Laterality": ""}, edit=_without("BodyPartExamined")),
    "slice thickness missing": Series(edit=_without("SliceThickness")),
    "slice thickness empty": Series(extra={"SliceThickness": None}),
    "no position reference": Series(edit=_without("PositionReferenceIndicator")),
    "no maker": Series(edit=_without("Manufacturer", "ManufacturerModelName", "SoftwareVersions")),
    "lossy": Series(
        extra={
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": "12.5",
            "LossyImageCompressionMethod": "ISO_10918_1",
        }
    ),
    "empty sequences": Series(extra={"ReferencedStudySequence": [], "ProcedureCodeSequence": []}),
}


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_dciodvfy_and_dsrdump_find_nothing_whatever_the_source_header_holds(
    header: str, tmp_path: Path
) -> None:
    results = _write(tmp_path, findings(HEADERS[header]))
    assert {kind: tools.dciodvfy(path) for kind, path in results.items()} == {"SEG": [], "SR": []}
    assert tools.dsrdump(results["SR"]) == []


def _one_segment() -> Findings:
    return findings(segments=findings().segments[:1])


def _disjoint() -> Findings:
    return findings(segments=findings().segments[:2])


def _irregular() -> Findings:
    def edit(ds: Dataset, k: int) -> None:
        z = float(ds.ImagePositionPatient[2]) + (0.3 if k % 2 else 0.0)
        ds.ImagePositionPatient[2] = f"{z:.4f}"

    return findings(Series(edit=edit))


def _second_input() -> Findings:
    found = findings()
    return replace(found, sources=(*found.sources, Series(study="prior").source()))


CONTENTS: dict[str, Callable[[], Findings]] = {
    **{plane: lambda plane=plane: findings(Series(plane=plane)) for plane in PLANES},  # type: ignore[misc]
    "one segment": _one_segment,
    "disjoint segments": _disjoint,
    "odd number of pixels": lambda: findings(Series(shape_kji=(7, 11, 13))),
    "slices that jitter": _irregular,
    "a second input": _second_input,
    "lungs and no nodule": lambda: replace(nothing_found(), segments=findings().segments[:2]),
}


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_dciodvfy_and_dsrdump_find_nothing_whatever_was_found(content: str, tmp_path: Path) -> None:
    results = _write(tmp_path, CONTENTS[content]())
    assert {kind: tools.dciodvfy(path) for kind, path in results.items()} == {"SEG": [], "SR": []}
    assert tools.dsrdump(results["SR"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_and_dsrdump_find_nothing_in_the_report_of_any_kind_of_finding(
    kind: str, tmp_path: Path
) -> None:
    path = _write(tmp_path, KINDS[kind][0], "SR")["SR"]
    assert tools.dciodvfy(path) == []
    assert tools.dsrdump(path) == []


@pytest.mark.slow
@pytest.mark.pixelmed
def test_pixelmed_finds_the_template_kept_in_every_kind_of_report(tmp_path: Path) -> None:
    reports = {
        "found": findings(),
        "nothing": nothing_found(),
        "not-analysed": not_analysed(),
        "failed": not_analysed(outcome=Outcome.FAILED),
        # Without organs: PixelMed takes all groups of a report for the template of the first
        "unseen": replace(KINDS["organs, and a lesion not looked for"][0], segments=()),
        "grown": replace(KINDS["lesions, and what became of them since an earlier study"][0], regions=()),
    }
    paths = []
    for name, found in reports.items():
        (tmp_path / name).mkdir()
        paths.append(_write(tmp_path / name, found)["SR"])
    assert tools.pixelmed(paths, tmp_path) == {path: [] for path in paths}

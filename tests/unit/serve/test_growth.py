"""The engine that ships, on two studies of one patient: what grew, what is new and what is gone is known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.analyse import Analyst
from dicomnode.assemble import Stack, read_studies
from dicomnode.engine import load_package, shipped_engines_dir
from dicomnode.phantom import PlantedNodule, Thorax, thorax, write_series
from dicomnode.report import ReportProfile, make_objects
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.asking.given_priors import Priors
from dicomnode.values import Change, ChangeKind, Findings, no_progress
from tests.unit.analyse.test_register import motion, taken_again, volume

pytest.importorskip("SimpleITK")
pytestmark = [pytest.mark.long, pytest.mark.slow]

SEED, OTHER_SEED = 7, 8  # one chest; files of another study
DAYS = 200
TIMES = 1.2  # the diameter of what grew
BEFORE = """[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
register = "rigid"
[input.prior]
compare = true

"""


@dataclass(frozen=True)
class Compared:
    """Both studies as they were made, and what the node says."""

    now: Thorax
    then: Thorax
    findings: Findings
    report: Dataset


def stack_of(files: list[Path]) -> Stack:
    ((stack,),) = [series.stacks for study in read_studies(files).studies for series in study.series]
    return stack


def moved(then: Thorax, folder: Path) -> list[Path]:
    """Write an examination in which the patient lay otherwise, in a Frame of Reference of its own."""
    lay = motion((3.0, -2.0, 4.0), (12.0, -8.0, 15.0), then.grid)
    taken = taken_again(volume(then.voxels, then.grid.affine_lps, "1.2.3.9"), lay)
    voxels = np.clip(np.rint(taken.voxels), -1024, 3071).astype(np.int16)
    return write_series(voxels, taken.grid, folder, seed=OTHER_SEED)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("growth")
    engine = folder / "lung-ct"
    shutil.copytree(shipped_engines_dir() / "lung-ct", engine)
    manifest = engine / "engine.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("[[step]]", BEFORE + "[[step]]", 1), encoding="utf-8")
    now = thorax(SEED, "full", scaled={"nodule-1": TIMES, "nodule-2": 0.0})
    then = thorax(SEED, "full", scaled={"nodule-4": 0.0})
    stack = stack_of(write_series(now.voxels, now.grid, folder / "now", seed=SEED))
    priors = Priors(stacks={"before": stack_of(moved(then, folder / "then"))}, days={"before": DAYS})
    analyst = Analyst(load_package(engine), node_version="9.9")
    occasion = Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
    try:
        found, _ = analyse_stack(analyst, stack, occasion, no_progress, beside=Beside(priors=priors))
    finally:
        analyst.close()
    (report,) = [one.content for one in make_objects(found, ReportProfile(), b"s" * 32) if one.kind == "SR"]
    return Compared(now, then, found, dcmread(BytesIO(report)))


def planted(of: Thorax, label: str) -> PlantedNodule:
    (nodule,) = [one for one in of.nodules if one.label == label]
    return nodule


def change_at(compared: Compared, nodule: PlantedNodule) -> Change:
    """What is said of a nodule, by its place; in both phantoms a nodule has the same one."""
    (change,) = [
        one
        for one in compared.findings.changes
        if np.linalg.norm(np.subtract(one.centre_lps_mm, nodule.centre_lps_mm)) < 3.0
    ]
    return change


def test_each_nodule_of_either_study_has_its_change_and_nothing_else_has_one(compared: Compared) -> None:
    assert len(compared.findings.changes) == 4
    kinds = {
        "nodule-1": ChangeKind.MEASURED,
        "nodule-2": ChangeKind.NOT_FOUND_NOW,
        "nodule-3": ChangeKind.MEASURED,
        "nodule-4": ChangeKind.NEW,
    }
    both = {one.label: one for one in (*compared.then.nodules, *compared.now.nodules)}
    assert {label: change_at(compared, one).kind for label, one in both.items()} == kinds


def test_growth_is_that_of_the_nodule_that_was_planted(compared: Compared) -> None:
    now, then = (planted(of, "nodule-1") for of in (compared.now, compared.then))
    change = change_at(compared, now)
    assert change.percent is not None
    ratio = now.volume_mm3 / then.volume_mm3
    assert ratio == pytest.approx(TIMES**3, rel=0.03)
    assert 1.0 + change.percent / 100.0 == pytest.approx(ratio, rel=0.15)
    assert change.doubling_days == pytest.approx(DAYS * np.log(2.0) / np.log(ratio), rel=0.15)


def test_a_nodule_that_is_the_same_is_not_said_to_have_changed(compared: Compared) -> None:
    change = change_at(compared, planted(compared.now, "nodule-3"))
    assert not change.is_sure
    assert change.doubling_days is None


def test_the_report_says_it_in_words_and_in_numbers_and_names_the_earlier_images(compared: Compared) -> None:
    change = change_at(compared, planted(compared.now, "nodule-1"))
    items = list(compared.report.iterall())
    said = [str(one.value) for one in items if one.keyword == "TextValue"]
    (grown,) = [one for one in said if one.startswith(f"{change.label}: ".capitalize()) and "was" in one]
    assert (
        f"{DAYS} days before: {change.percent:+.0f} %, doubling in {change.doubling_days:.0f} days." in grown
    )
    assert any("new, not found 200 days before" in one for one in said)
    assert any("found 200 days before: not found now" in one for one in said)
    numbers = {
        one.ConceptNameCodeSequence[0].CodeValue: float(one.MeasuredValueSequence[0].NumericValue)
        for one in walked(compared.report)
        if one.ValueType == "NUM" and one.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99DICOMNODE"
    }
    assert numbers["SINCEEARLIER"] == DAYS
    assert numbers["VOLUMEDOUBLING"] == round(change.doubling_days or 0.0)
    evidence = compared.report.PertinentOtherEvidenceSequence[0]
    (series,) = evidence.ReferencedSeriesSequence
    assert len(series.ReferencedSOPSequence) == compared.then.grid.shape_kji[0]
    assert "20250102" not in " ".join(said)


def walked(item: Dataset) -> Iterator[Dataset]:
    for one in item.get("ContentSequence", ()):
        yield one
        yield from walked(one)

"""A head on the lesions that an engine finds: it learns which are true, and selects them in service."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.analyse import Analysis, Analyst, algorithm_step, checks
from dicomnode.analyse.algorithms import Blob, LesionAlgorithm
from dicomnode.assemble import load_volume
from dicomnode.engine import load_package, write_draft
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import FEATURES_DIFFER, NodeError
from dicomnode.learn.features import rows_by_engine
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.learn.heads import HEADS, Wanted, cases_of, draft_with_head, export_head
from dicomnode.serve import Occasion
from dicomnode.serve.once.answering import Answering, AnsweringPlan
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse.forms import CT, HEAD, LESION, TISSUE
from tests.unit.learn.heads.tables import PATH

LESION_HU = (20.0, 70.0)
STEPS = f"""
[[step]]
algorithm = "ranges"
interpret = "lesions"

[[step]]
name = "rows"
algorithm = "radiomics"
each = "ranges"
interpret = "features"
[step.features]
names = ["intensity_mean", "intensity_p90"]

[[output]]
segment = "lesion"
step = "ranges"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Lesion {{number}}"

[[output]]
features = "texture"
step = "rows"
"""


def _run(image, within, parameters, progress):
    """Give each connected part of voxels of the HU of lesions, and two cubes in the corner, which is air."""
    progress("ranges", 1, 1)
    low, high = LESION_HU
    parts, _ = ndimage.label((image.voxels >= low) & (image.voxels <= high) & within)
    masks = [(box, parts[box] == n) for n, box in enumerate(ndimage.find_objects(parts), start=1)]
    masks += [((slice(k, k + 3),) * 3, np.ones((3, 3, 3), dtype=bool)) for k in (1, 5)]
    found = []
    for box, mask in masks:
        if mask.sum() >= parameters["least"]:
            start = tuple(part.start for part in box)
            k, j, i = (float(one) for one in np.argwhere(mask).mean(axis=0) + start)
            centre = (k, j, i)
            found.append(Blob(centre_kji=centre, diameter_mm=5.0, response=1.0, start_kji=start, mask=mask))
    return tuple(found)


@pytest.fixture(autouse=True)
def ranges(monkeypatch) -> None:
    made = LesionAlgorithm(
        name="ranges", version=1, unit=HOUNSFIELD, parameters=MappingProxyType({"least": 12.0}), run=_run
    )
    for module in (algorithm_step, checks):
        monkeypatch.setattr(module, "LESION_ALGORITHMS", {"ranges": made})


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=3, seed=1), folder)
    return read_labelled([folder], folder / "labels.csv")


def engine_in(tmp_path, steps):
    folder = tmp_path / "candidates"
    folder.mkdir()
    (folder / "engine.toml").write_text(HEAD.format(name="candidates") + CT + steps)
    return load_package(folder)


@pytest.fixture
def package(tmp_path):
    return engine_in(tmp_path, STEPS)


@pytest.fixture
def made(package, read):
    return rows_of(package, read)


def rows_of(package, read):
    occasion = Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
    with Answering(package, AnsweringPlan(threads=1, occasion=occasion)) as answerer:
        return rows_by_engine(read.studies, answerer)


def test_a_row_is_a_lesion_that_the_engine_finds_and_says_whether_it_is_one(made, read, package):
    table = made.table
    assert table.of_lesions
    assert table.engine_digest == package.digest
    assert table.source.endswith("texture of each lesion")
    assert set(table.names) == {"intensity_mean", "intensity_p90"}
    assert table.units == ("HU", "HU")
    assert {row.lesion.rpartition("-")[0] for row in table.rows} == {"lesion"}
    mean = table.values[:, 0]
    known = table.labels["is_lesion"]
    assert {known[n] for n in range(len(known)) if mean[n] < 0} == {"no"}
    assert all(20 <= mean[n] <= 70 for n in range(len(known)) if known[n] == "yes")
    lesions = sum(int(one.row["lesions"]) for one in read.studies)
    assert known.count("yes") == lesions > 0
    assert {table.labels["finding"][n] for n in range(len(known)) if known[n] == "yes"} == {"Lesion"}


def test_lesions_are_measured_by_an_algorithm_that_knows_no_units(tmp_path, read):
    steps = STEPS.replace('"radiomics"', '"blob_profile"').replace(
        'names = ["intensity_mean", "intensity_p90"]', 'names = ["radius", "hu_mean"]'
    )
    table = rows_of(engine_in(tmp_path, steps), read).table
    assert (table.names, table.units) == (("radius", "hu_mean"), ("1", "1"))
    assert table.labels["is_lesion"].count("yes") > 0


def test_a_head_that_learnt_which_are_true_selects_them_in_service(made, package, read, tmp_path):
    cases = cases_of(made.table, "is_lesion", PATH)
    head = export_head("tree", HEADS["tree"].make(0, 2).fit(cases.values, cases.truth), cases.values)
    wanted = Wanted(name="forest", column="is_lesion", types={}, card="# A card\n")
    engine = write_draft(draft_with_head(package, made.table, cases, head, wanted), tmp_path / "forest")
    output = engine.manifest.output[0]
    assert engine.manifest.step_named("head").each == "ranges"
    assert output.score is not None
    assert (output.score.of, output.score.channel) == ("head", 1)
    analyst = Analyst(engine, threads=1, node_version="9.9")
    try:
        for study in read.studies:
            volume = load_volume(study.stacks[0])
            when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
            found = analyst.analyse(
                Analysis(volumes={"ct": volume}, salt=b"s" * 32, study_version=1, made_at=when)
            )
            assert len(found.segments) == int(study.row["lesions"])
            assert all(one.score == 1.0 for one in found.segments)
    finally:
        analyst.close()


def test_a_head_of_another_question_says_its_class_of_each_lesion(made, package, tmp_path):
    table = made.table
    shade = tuple("dark" if value < 0 else "light" for value in table.values[:, 0])
    object.__setattr__(table, "labels", {**table.labels, "shade": shade})
    cases = cases_of(table, "shade", PATH, "dark")
    head = export_head("tree", HEADS["tree"].make(0, 2).fit(cases.values, cases.truth), cases.values)
    wanted = Wanted(name="shades", column="shade", types={}, card="# A card\n")
    engine = write_draft(draft_with_head(package, table, cases, head, wanted), tmp_path / "shades")
    (said,) = [one for one in engine.manifest.output if one.what == "classification"]
    assert (said.label, engine.manifest.each_of(said)) == ("dark", "ranges")
    assert engine.manifest.output[0].score is None


def test_rows_of_lesions_that_people_outlined_are_not_those_that_an_engine_finds(made, package):
    cases = cases_of(made.table, "is_lesion", PATH)
    head = export_head("tree", HEADS["tree"].make(0, 2).fit(cases.values, cases.truth), cases.values)
    object.__setattr__(made.table, "engine_digest", "")
    wanted = Wanted(name="forest", column="is_lesion", types={}, card="# A card\n")
    with pytest.raises(NodeError, match="lesions that this engine has not found") as caught:
        draft_with_head(package, made.table, cases, head, wanted)
    assert caught.value.fault is FEATURES_DIFFER

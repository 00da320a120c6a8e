"""A head behind an engine's features, in service: the node says what scikit-learn says of the row."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import load_package, write_draft
from dicomnode.evaluate import Resampling
from dicomnode.faults import ENGINE_WITHOUT_FEATURES, FEATURES_DIFFER, NodeError
from dicomnode.learn.features import FeatureTable, RowKey
from dicomnode.learn.heads import (
    DETECTORS,
    HEADS,
    HeadsPlan,
    Search,
    Wanted,
    card_of_detector,
    card_of_head,
    cases_of,
    draft_with_detector,
    draft_with_head,
    export_head,
    train_detector,
    train_heads,
)
from dicomnode.values import Grid, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.learn.heads.tables import PATH

ENGINE = """
schema = 1
name = "texture"
version = "1.2.0"
title = "Texture of the whole image"
use = "A test."

[[input]]
name = "ct"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]

[[step]]
algorithm = "radiomics"
interpret = "features"
parameters = { bin_width = 10 }
[step.features]
names = ["intensity_mean", "glcm_contrast", "glrlm_run_entropy", "edge_gradient_mean", "shape_volume"]

[[output]]
features = "texture"
step = "radiomics"
"""
HOW = Search(folds=2, inner=2, trees=5)
FEW = Resampling(resamples=100)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines") / "texture"
    folder.mkdir()
    (folder / "engine.toml").write_text(ENGINE)
    return load_package(folder)


def volume(number: int) -> Volume:
    """Noise: fine grained where the number is odd, and blotchy where it is even."""
    rng = np.random.default_rng(number)
    noise = rng.normal(0.0, 40.0, (6, 8, 10))
    if number % 2 == 0:
        noise = np.repeat(np.repeat(noise[:, ::2, ::2], 2, axis=1), 2, axis=2)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    return Volume(
        voxels=noise.astype(np.float32),
        affine_lps=Grid((6, 8, 10), affine, "1.2.9").affine_lps,
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.9",
        study_instance_uid=f"1.2.{number}",
        series_instance_uid=f"1.2.{number}.1",
        frames=tuple(SourceFrame(f"1.2.{number}.1.{k}") for k in range(6)),
        headers=SourceHeaders(()),
    )


def analysed(package, *volumes):
    analyst = Analyst(package, threads=1, node_version="9.9")
    try:
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return [
            analyst.analyse(Analysis(volumes={"ct": one}, salt=b"s" * 32, study_version=1, made_at=when))
            for one in volumes
        ]
    finally:
        analyst.close()


@pytest.fixture(scope="module")
def table(package):
    found = analysed(package, *(volume(number) for number in range(1, 17)))
    vectors = [one.features[0] for one in found]
    return FeatureTable(
        rows=tuple(RowKey(patient=f"p{n:02}", study_instance_uid=f"1.2.{n + 1}") for n in range(16)),
        names=vectors[0].names,
        units=("1",) * 5,
        values=np.array([one.values for one in vectors], dtype=np.float64),
        source="engine texture 1.2.0",
        engine_digest=package.digest,
        labels={"grain": tuple("blotchy" if n % 2 else "fine" for n in range(16))},
    )


def wanted(name, card="# A card\n"):
    code = {"scheme": "99SITE", "code": "FINE", "meaning": "Fine grain"}
    return Wanted(name=name, title="Grain", types={"fine": code}, card=card)


def test_in_service_a_head_says_what_scikit_learn_says_of_the_same_study(tmp_path, package, table):
    cases = cases_of(table, "grain", PATH, "fine")
    trained = train_heads(
        cases, HeadsPlan(kinds=[HEADS["logistic"], HEADS["tree"]], search=HOW, resampling=FEW)
    )
    card = card_of_head("Grain", table, trained, HOW)
    engine = write_draft(
        draft_with_head(package, table, cases, trained.head, wanted("grain", card)), tmp_path / "grain"
    )
    new = [volume(number) for number in (101, 102)]
    found = analysed(engine, *new)
    rows = np.array([one.features[0].values for one in found])
    from dicomnode.learn.convert.sklearn_child import run_onnx

    expected = run_onnx(trained.head.content, rows, "head")
    for one, row in zip(found, expected, strict=True):
        (classification,) = one.classifications
        assert classification.probability == pytest.approx(row[1], abs=1e-6)
        assert (classification.label, classification.type.value) == ("fine-grain", "FINE")
        assert [each.label for each in classification.probabilities] == ["blotchy", "fine"]
    assert found[0].classifications[0].present
    assert not found[1].classifications[0].present
    text = (tmp_path / "grain" / "card.md").read_text()
    assert "16 cases of 16 patients: 8 are 'blotchy', 8 are 'fine'" in text
    assert "Only 8 cases are fine" in text


def test_in_service_a_detector_says_what_part_of_the_normal_cases_lies_below(tmp_path, package, table):
    cases = cases_of(table, "grain", PATH, least=1)
    detector = train_detector(DETECTORS["outlier-factor"], cases, "blotchy", HOW, resampling=FEW)
    head = export_head("outlier-factor", detector.model, cases.values, "anomaly")
    card = card_of_detector("Grain", table, cases, detector, head)
    draft = draft_with_detector(package, table, detector, head, wanted("odd", card))
    engine = write_draft(draft, tmp_path / "odd")
    found = analysed(engine, volume(101), volume(102))
    rows = np.array([one.features[0].values for one in found])
    scores = -detector.model.decision_function(rows)
    below = np.interp(scores, detector.normals, np.linspace(0.0, 1.0, 101))
    assert [one.classifications[0].probability for one in found] == pytest.approx(below.tolist(), abs=1e-3)
    assert [one.classifications[0].present for one in found] == [True, False]


def test_patients_that_are_kept_apart_teach_nothing_and_are_judged_at_the_end(tmp_path, table):
    from dicomnode.evaluate.data import Part, load_split

    cases = cases_of(table, "grain", PATH, "fine")
    plan = HeadsPlan(kinds=[HEADS["tree"]], search=HOW, split=tmp_path / "split.json", resampling=FEW)
    found = train_heads(cases, plan)
    apart = load_split(tmp_path / "split.json").patients(Part.TEST)
    assert apart
    assert found.tested is not None
    assert found.tested.patients == len(apart)
    assert found.nested.patients == 16 - len(apart)
    # who is kept apart may be called anything: the head is the same
    turned = FeatureTable(
        rows=table.rows,
        names=table.names,
        units=table.units,
        values=np.where(np.array([row.patient in apart for row in table.rows])[:, None], 1e3, table.values),
        source=table.source,
        labels=table.labels,
    )
    again = train_heads(cases_of(turned, "grain", PATH, "fine"), plan)
    assert again.head.content == found.head.content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine_digest": "ff" * 32}, "the table is of an engine ffffffffffff"),
        ({"names": ("a", "b", "c", "d", "e")}, "5 in the table, and 5 or others"),
        (
            {"rows": tuple(RowKey(patient="p", study_instance_uid=f"1.{n}", lesion="x") for n in range(16))},
            "lesions",
        ),
    ],
)
def test_a_head_of_other_features_is_not_put_behind_an_engine(package, table, change, said):
    told = {
        name: getattr(table, name)
        for name in ("rows", "names", "units", "values", "source", "engine_digest", "labels")
    }
    other = FeatureTable(**(told | change))
    cases = cases_of(table, "grain", PATH, "fine")
    model = HEADS["tree"].make(0, 2).fit(cases.values, cases.truth)
    head = export_head("tree", model, cases.values)
    with pytest.raises(NodeError) as caught:
        draft_with_head(package, other, cases, head, wanted("grain"))
    assert caught.value.fault is FEATURES_DIFFER
    assert said in str(caught.value)


def test_an_engine_without_features_takes_no_head(tmp_path, package, table):
    folder = tmp_path / "lungs"
    folder.mkdir()
    text = ENGINE[: ENGINE.index("[[step]]")].replace('"texture"', '"lungs"')
    lung = '{ scheme = "SCT", code = "39607008", meaning = "Lung" }'
    text += f"""[[step]]
algorithm = "lungs"
[[output]]
segment = "lung"
step = "lungs"
kind = "anatomy"
category = {lung}
type = {lung}
tracking = "Lungs"
"""
    (folder / "engine.toml").write_text(text)
    cases = cases_of(table, "grain", PATH, "fine")
    head = export_head("tree", HEADS["tree"].make(0, 2).fit(cases.values, cases.truth), cases.values)
    with pytest.raises(NodeError) as caught:
        draft_with_head(load_package(folder), table, cases, head, wanted("grain"))
    assert caught.value.fault is ENGINE_WITHOUT_FEATURES

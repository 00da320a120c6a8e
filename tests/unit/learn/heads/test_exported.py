"""A head as ONNX gives what scikit-learn gives, or is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate import Resampling
from dicomnode.faults import (
    HEAD_DIFFERS,
    HEAD_NOT_EXPORTED,
    LABEL_COLUMN_WRONG,
    TOO_FEW_PATIENTS,
    TRAIN_MISSING,
    NodeError,
)
from dicomnode.learn.convert.sklearn_child import run_onnx
from dicomnode.learn.heads import DETECTORS, HEADS, cases_of, export_head, fit_head, train_detector
from dicomnode.learn.heads import exported as module
from tests.unit.learn.heads.tables import PATH, QUICK, cases, table


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", HEADS)
def test_each_head_gives_in_onnx_what_it_gives_in_scikit_learn(name, classes):
    given = cases(classes=classes, signal=1.0)
    model = fit_head(HEADS[name], given, np.arange(0, len(given.truth)), replace(QUICK, trees=6)).model
    found = export_head(name, model, given.values)
    answers = run_onnx(found.content, given.values, name)
    assert answers == pytest.approx(model.predict_proba(given.values), abs=1e-5)
    assert answers.shape == (len(given.truth), classes)
    assert found.apart <= 1e-5
    assert found.cases == len(given.truth)


def test_an_onnx_that_differs_is_refused(monkeypatch):
    given = cases()
    model = fit_head(HEADS["tree"], given, np.arange(len(given.truth)), QUICK).model
    real = module.run_onnx

    def off(content, values, name):
        found = real(content, values, name)
        found[3] = found[3][::-1]
        return found

    monkeypatch.setattr(module, "run_onnx", off)
    with pytest.raises(NodeError) as caught:
        export_head("tree", model, given.values)
    assert caught.value.fault is HEAD_DIFFERS
    assert f"in 1 of {len(given.values)} cases" in str(caught.value)


def test_what_skl2onnx_cannot_write_is_refused_by_name():
    from sklearn.gaussian_process import GaussianProcessClassifier

    class Unknown(GaussianProcessClassifier):
        pass

    given = cases()
    with pytest.raises(NodeError) as caught:
        export_head("strange", Unknown().fit(given.values, given.truth), given.values)
    assert caught.value.fault is HEAD_NOT_EXPORTED


FEW = Resampling(resamples=100)


def normals():
    """Twelve patients that are normal, and as many that lie far away."""
    return cases_of(table(signal=8.0), "sick", PATH, least=1)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_tells_what_is_not_normal_and_is_the_same_in_onnx(name):
    given = normals()
    found = train_detector(DETECTORS[name], given, "no", QUICK, resampling=FEW)
    assert found.area is not None
    assert found.area.figure.value is not None
    assert found.area.figure.value > 0.95
    exported = export_head(name, found.model, given.values, "anomaly")
    answers = run_onnx(exported.content, given.values, name).ravel()
    strange = given.truth == given.classes.index("yes")
    assert answers[strange] == pytest.approx(found.scores[strange], abs=1e-4)
    assert np.mean(answers[strange] > found.threshold) > 0.9


def test_the_threshold_is_the_quantile_of_normal_cases_that_the_detector_had_not_seen():
    given = normals()
    found = train_detector(DETECTORS["isolation-forest"], given, "no", QUICK, quantile=0.8, resampling=FEW)
    normal = found.scores[given.truth == given.classes.index("no")]
    assert len(found.normals) == 101
    assert (found.normals[0], found.normals[-1]) == pytest.approx((normal.min(), normal.max()))
    assert np.mean(normal <= found.threshold + 1e-12) == pytest.approx(0.8, abs=0.05)
    seen = -found.model.decision_function(given.values)[given.truth == given.classes.index("no")]
    assert not np.allclose(seen, normal), "a detector is kinder to what it was trained on"


def test_a_detector_needs_no_other_class_and_then_says_that_it_was_not_judged():
    given = table()
    only = given.take([n for n, text in enumerate(given.labels["sick"]) if text == "no"])
    found = train_detector(DETECTORS["outlier-factor"], cases_of(only, "sick", PATH, least=1), "no", QUICK)
    assert found.area is None


def test_a_normal_class_that_is_none_or_too_small_is_refused():
    with pytest.raises(NodeError) as caught:
        train_detector(DETECTORS["isolation-forest"], normals(), "healthy", QUICK)
    assert caught.value.fault is LABEL_COLUMN_WRONG
    few = cases_of(table(patients=4), "sick", Path("t.csv"), least=1)
    with pytest.raises(NodeError) as caught:
        train_detector(DETECTORS["isolation-forest"], few, "no", QUICK)
    assert caught.value.fault is TOO_FEW_PATIENTS


def test_without_skl2onnx_it_says_what_to_install(monkeypatch):
    given = cases()
    model = HEADS["tree"].make(0, 2).fit(given.values, given.truth)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(NodeError) as caught:
        export_head("tree", model, given.values)
    assert caught.value.fault is TRAIN_MISSING
    assert "skl2onnx" in str(caught.value)

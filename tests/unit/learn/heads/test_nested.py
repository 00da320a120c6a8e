"""Nested cross-validation: no patient on both sides, the same seed the same head, and no help from noise."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate import one_against_rest, roc_auc
from dicomnode.faults import TOO_FEW_PATIENTS, TRAIN_MISSING, NodeError
from dicomnode.learn.heads import HEADS, Search, fit_head, judge_out_of_fold
from dicomnode.learn.heads import nested as module
from dicomnode.learn.heads.nested import outer_parts
from tests.unit.learn.heads.tables import QUICK, cases


def test_a_patient_is_never_on_both_sides_of_any_part_outer_or_inner(monkeypatch):
    given = cases(patients=18, each=3)
    seen = []
    grouped = module.grouped

    def watched(truth, patients, folds, seed):
        splits = grouped(truth, patients, folds, seed)
        seen.extend((set(patients[a]), set(patients[b])) for a, b in splits)
        return splits

    monkeypatch.setattr(module, "grouped", watched)
    for kind in ("svm", "stacking"):
        judge_out_of_fold(HEADS[kind], given, Search(folds=3, inner=2, trees=2))
    assert len(seen) > 2 * 3
    assert all(trained and judged and not trained & judged for trained, judged in seen)


def test_the_head_that_judges_a_case_was_never_given_its_patient(monkeypatch):
    given = cases(patients=12, each=3)
    _, fold = outer_parts(given, QUICK)
    taught = []
    fit = module.fit_head

    def watched(kind, all_cases, rows, search):
        taught.append(set(all_cases.patients[rows]))
        return fit(kind, all_cases, rows, search)

    monkeypatch.setattr(module, "fit_head", watched)
    found = judge_out_of_fold(HEADS["tree"], given, QUICK)
    assert np.array_equal(found.fold, fold)
    for number, patients in enumerate(taught):
        assert not patients & set(given.patients[fold == number])


def test_every_case_is_judged_once_with_shares_that_add_up_to_one():
    found = judge_out_of_fold(HEADS["logistic"], cases(classes=3), QUICK)
    assert found.probabilities.shape == (48, 3)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(48))
    assert sorted(set(found.fold)) == [0, 1, 2]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_finds_what_is_there(name):
    given = cases(signal=4.0)
    found = judge_out_of_fold(HEADS[name], given, QUICK)
    area = roc_auc(one_against_rest(given.truth, found.probabilities, 1)).value
    assert area is not None
    assert area > 0.95


def test_rows_of_a_patient_that_are_alike_do_not_make_noise_look_like_knowledge():
    # Ten rows a patient, nearly the same, of a class that hangs on nothing: who lets a patient stand on both
    # sides finds it by its neighbour, and calls that knowledge
    given = cases(patients=40, each=10, signal=0.0)
    base = np.random.default_rng(5).normal(0, 1, (40, 6)).astype(np.float32)
    given = given.__class__(
        rows=given.rows,
        names=given.names,
        values=np.repeat(base, 10, axis=0) + np.float32(1e-3) * given.values[:, 3:4],
        truth=given.truth.copy(),
        classes=given.classes,
        positive=given.positive,
    )
    found = judge_out_of_fold(HEADS["forest"], given, QUICK)
    area = roc_auc(one_against_rest(given.truth, found.probabilities, 1)).value
    assert area is not None
    assert 0.25 < area < 0.75


@pytest.mark.parametrize("name", ["svm", "forest", "boosting", "stacking"])
def test_equal_seeds_give_equal_heads(name):
    given = cases()
    rows = np.arange(len(given.truth))
    first, second = (fit_head(HEADS[name], given, rows, QUICK) for _ in range(2))
    assert np.array_equal(first.model.predict_proba(given.values), second.model.predict_proba(given.values))
    assert dict(first.parameters) == dict(second.parameters)


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    given = cases(patients=60, each=1, signal=1.0)
    keep = np.array([n for n in range(60) if given.truth[n] == 0 or n % 10 == 1])  # 30 of one, 6 of the other
    rare = given.__class__(
        rows=tuple(given.rows[n] for n in keep),
        names=given.names,
        values=given.values[keep],
        truth=given.truth[keep],
        classes=given.classes,
        positive=given.positive,
    )
    for name in HEADS:
        if name in ("voting", "stacking", "svm"):
            continue  # made of the others, or calibrated to what is frequent
        model = fit_head(HEADS[name], rare, np.arange(len(keep)), QUICK).model
        assert model.predict(rare.values)[rare.truth == 1].mean() >= 0.5, name


def test_halving_searches_the_same_grid_without_mixing_patients():
    given = cases(patients=60)
    how = Search(folds=3, inner=2, trees=4, method="halving")
    found = fit_head(HEADS["tree"], given, np.arange(len(given.truth)), how)
    assert found.parameters["max_depth"] in HEADS["tree"].grid["max_depth"]


def test_too_few_patients_of_a_class_are_refused():
    with pytest.raises(NodeError) as caught:
        judge_out_of_fold(HEADS["tree"], cases(patients=6, each=20), Search(folds=5, inner=2))
    assert caught.value.fault is TOO_FEW_PATIENTS


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(NodeError) as caught:
        judge_out_of_fold(HEADS["tree"], cases(), QUICK)
    assert caught.value.fault is TRAIN_MISSING
    assert "pip install" in caught.value.remedy


@pytest.mark.parametrize("how", [{"folds": 1, "inner": 1}, {"folds": 3, "inner": 4}, {"trees": 1}])
def test_a_search_that_cannot_be_is_a_mistake(how):
    with pytest.raises(ValueError, match=r"parts|trees"):
        Search(**how)

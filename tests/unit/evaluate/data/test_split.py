"""A split keeps patients together, is kept for good, and grows without moving anybody."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.assemble import StudyFiles
from dicomnode.evaluate.data import (
    Part,
    Split,
    draw_folds,
    draw_split,
    extend_split,
    kept_split,
    load_split,
    save_split,
    strata_of,
)
from dicomnode.evaluate.data.studies import LabelledStudy
from dicomnode.faults import FILE_NOT_WRITTEN, SPLIT_WRONG, NodeError


def _patients(count: int, strata: int = 1) -> dict[str, str]:
    return {f"{n:016x}": f"s{n % strata}" for n in range(count)}


def test_parts_come_out_as_wished_for_of_many_patients():
    split = draw_split(_patients(200))
    assert Counter(split.parts.values()) == {Part.TRAIN: 140, Part.VALIDATION: 30, Part.TEST: 30}


def test_every_stratum_is_in_every_part():
    strata = _patients(120, strata=3)
    split = draw_split(strata)
    for stratum in ("s0", "s1", "s2"):
        of = Counter(part for patient, part in split.parts.items() if strata[patient] == stratum)
        assert of == {Part.TRAIN: 28, Part.VALIDATION: 6, Part.TEST: 6}


def test_many_small_strata_do_not_leave_parts_empty():
    split = draw_split({f"{n:016x}": f"alone {n}" for n in range(20)})
    assert Counter(split.parts.values()) == {Part.TRAIN: 14, Part.VALIDATION: 3, Part.TEST: 3}


def test_the_seed_decides_and_the_order_of_patients_does_not():
    patients = _patients(50, strata=2)
    turned = dict(reversed(patients.items()))
    assert draw_split(patients, seed=1) == draw_split(turned, seed=1)
    assert draw_split(patients, seed=1).parts != draw_split(patients, seed=2).parts


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9), st.integers(1, 4))
def test_new_patients_never_move_old_ones(old, new, seed, strata):
    everybody = _patients(old + new, strata)
    first = dict(list(everybody.items())[:old])
    before = draw_split(first, seed=seed)
    after = extend_split(before, everybody)
    assert set(after.parts) == set(everybody)
    assert {patient: after.parts[patient] for patient in before.parts} == dict(before.parts)


def test_folds_hold_each_patient_once_and_nobody_who_is_tested():
    split = draw_folds(draw_split(_patients(60, 2)), _patients(60, 2), 4)
    told = [split.fold(n)[1] for n in range(4)]
    assert frozenset().union(*told) == {p for p, part in split.parts.items() if part is not Part.TEST}
    assert sum(len(one) for one in told) == 51
    assert max(len(one) for one in told) - min(len(one) for one in told) <= 1
    for n in range(4):
        teach, tell = split.fold(n)
        assert not teach & tell


def test_folds_grow_without_moving_anybody():
    split = draw_folds(draw_split(_patients(30)), _patients(30), 3)
    grown = extend_split(split, _patients(40))
    assert {p: grown.fold_of[p] for p in split.fold_of} == dict(split.fold_of)
    assert set(grown.fold_of) == {p for p, part in grown.parts.items() if part is not Part.TEST}


def test_a_kept_split_is_read_extended_and_never_drawn_again(tmp_path):
    path = tmp_path / "data" / "split.json"
    first = kept_split(path, _patients(20), seed=7)
    assert load_split(path) == first
    before = path.read_bytes()
    assert kept_split(path, _patients(20)) == first
    assert path.read_bytes() == before
    grown = kept_split(path, _patients(25))
    assert {p: grown.parts[p] for p in first.parts} == dict(first.parts)
    assert load_split(path) == grown
    # Who is not in the data today stays in the file
    assert kept_split(path, _patients(5)) == grown


def test_a_kept_split_refuses_to_be_another(tmp_path):
    path = tmp_path / "split.json"
    kept_split(path, _patients(10), seed=7)
    for wish in ({"seed": 8}, {"fractions": {Part.TRAIN: 0.5, Part.TEST: 0.5}}):
        with pytest.raises(NodeError) as caught:
            kept_split(path, _patients(10), **wish)
        assert caught.value.fault is SPLIT_WRONG


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "it is no JSON"),
        ("[]", "not of schema 1"),
        ('{"schema": 2}', "not of schema 1"),
        ('{"schema": 1}', "it lacks 'seed'"),
        ('{"schema": 1, "seed": 0, "fractions": [], "patients": {}, "folds": 0, "fold_of": {}}', "cannot"),
        (
            '{"schema": 1, "seed": 0, "fractions": {"train": 1}, "patients": {"a": "x"}}',
            "'x' is not a valid Part",
        ),
        (
            '{"schema":1,"seed":0,"fractions":{"train":1},"patients":{"a":"test"},"folds":2,"fold_of":{"a":0}}',
            "fold 0 of a cannot be",
        ),
    ],
)
def test_a_damaged_split_is_refused_with_the_reason(tmp_path, content, said):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(NodeError) as caught:
        load_split(path)
    assert caught.value.fault is SPLIT_WRONG
    assert said in str(caught.value)


def test_the_file_holds_keys_and_nothing_else_of_anybody(tmp_path):
    path = tmp_path / "split.json"
    save_split(path, draw_split(_patients(3)))
    document = json.loads(path.read_text())
    assert set(document) == {"schema", "seed", "fractions", "patients", "folds", "fold_of"}
    assert set(document["patients"].values()) <= {"train", "validation", "test"}


def test_a_place_that_takes_no_file_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError) as caught:
        save_split(tmp_path / "file" / "split.json", draw_split({}))
    assert caught.value.fault is FILE_NOT_WRITTEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"fractions": {Part.TRAIN: 0.5}},
        {"fractions": {Part.TRAIN: 1.5, Part.TEST: -0.5}},
        {"folds": 1},
        {"folds": 2, "fold_of": {"a": 2}},
        {"folds": 2, "fold_of": {"stranger": 0}},
    ],
)
def test_a_split_that_cannot_be_is_not_made(wrong):
    with pytest.raises(ValueError):
        Split(**{"seed": 0, "parts": {"a": Part.TRAIN}, **wrong})


def _study(patient: str, **row: str) -> LabelledStudy:
    return LabelledStudy(patient=patient, study=StudyFiles(study_instance_uid="1.2", series=()), row=row)


def test_a_patient_is_of_the_rarest_label_that_any_of_his_studies_has():
    studies = [_study("a", dx="cyst"), _study("a", dx="cancer"), _study("b", dx="cyst"), _study("c")]
    assert strata_of(studies, "dx") == {"a": "cancer", "b": "cyst", "c": ""}


def test_numbers_and_names_stratify_nothing():
    studies = [_study(f"p{n}", age=str(n)) for n in range(20)]
    assert set(strata_of(studies, "age").values()) == {""}

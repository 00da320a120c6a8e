"""A de-identified export of synthetic studies says that they are synthetic: no real patient was hidden."""

from __future__ import annotations

from pathlib import Path

from dicomnode.evaluate.data import read_labelled
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.values import MadeBy
from tests.unit.learn.deidentify.patients import exported, written


def test_every_exported_object_still_says_that_nobody_was_imaged(tmp_path: Path) -> None:
    synth_cases(SynthPlan(kind="volumes", cases=2, seed=3), tmp_path / "data")
    out = tmp_path / "out"
    exported(tmp_path / "data", out)
    objects = written(out)
    assert {str(one.Modality) for one in objects} == {"CT", "SEG", "SR"}
    assert all(one.SyntheticData == "YES" for one in objects)
    studies = read_labelled([out]).studies
    assert all(study.synthetic for study in studies)
    made = {one.made_by for study in studies for one in study.annotations}
    assert made == {MadeBy.KNOWN}  # and what is true of them stays known

"""Outlines from several series at once: channels of one image, in service as in training."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.evaluate.data import LabelledData, read_labelled
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn import SegmentJob, read_recipe, train_engine
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.values import Outcome

from .conftest import MADE_AT, torch

SERIES = [
    {"name": "t1", "require": [{"tag": "SeriesDescription", "matches": "(?i)t1"}]},
    {"name": "t2", "require": [{"tag": "SeriesDescription", "matches": "(?i)t2"}]},
]
SMALL = {"network": "unet", "epochs": 1, "steps": 2, "width": 4, "levels": 2, "series": SERIES, "seed": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledData:
    folder = tmp_path_factory.mktemp("heads") / "drawn"
    return read_labelled([synth_cases(SynthPlan(kind="contrasts", cases=8, seed=2), folder).folder])


def test_each_series_is_a_channel_scaled_by_its_own_values(data: LabelledData) -> None:
    job = SegmentJob.of(read_recipe(None, "segment", SMALL), data, ["lesion"])
    assert len(job.cases) == 8
    plan = job.plan(job.cases, lambda *_: None)
    assert plan.channels == 2
    assert [one["name"] for one in plan.inputs] == ["t1", "t2"]
    sample = job.sample(job.cases[0], plan)
    first, second = np.asarray(sample.inputs)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.99
    assert first.mean() == pytest.approx(0.0, abs=1e-4)
    assert second.std() == pytest.approx(1.0, abs=1e-3)
    assert sample.target.shape[1:] == first.shape
    swapped = replace(job, recipe=read_recipe(None, "segment", {**SMALL, "series": SERIES[:1]}))
    assert job.content(job.cases[0]) != swapped.content(replace(job.cases[0], beside={}))


def test_the_package_wants_both_and_outlines_what_the_network_does(data: LabelledData, order_in) -> None:
    job = SegmentJob.of(read_recipe(None, "segment", SMALL), data, ["lesion"])
    trained = train_engine(job, data, order_in("both"))
    assert trained.gate.passed
    assert not trained.missed
    assert [one.name for one in trained.package.manifest.input] == ["t1", "t2"]
    network = job.network(trained.plan)
    network.load_state_dict(dict(trained.learned.weights))
    network.eval()
    case = job.cases[0]
    sample = job.sample(case, trained.plan)
    with torch.no_grad():
        logits = network(torch.from_numpy(np.array(sample.inputs))[None]).numpy()[0, 0]
    given = {"t1": case.load(), **case.load_beside()}
    with closing(Analyst(trained.package, threads=1, node_version="0")) as analyst:
        found = analyst.analyse(Analysis(volumes=given, salt=b"s", study_version=1, made_at=MADE_AT))
    whole = np.zeros(logits.shape, dtype=bool)
    for segment in found.segments:
        whole |= segment.mask.to_array()
    assert found.outcome is not Outcome.NOT_ANALYSED
    assert (whole == (logits > 0)).mean() > 0.98  # one window; its edge is blended


def test_outlines_on_another_series_than_the_first_are_told(data: LabelledData) -> None:
    recipe = read_recipe(None, "segment", {**SMALL, "series": SERIES[::-1]})
    with pytest.raises(NodeError) as caught:
        SegmentJob.of(recipe, data, ["lesion"])
    assert caught.value.fault is NOTHING_TO_LEARN
    assert "not drawn on a series that is t2" in str(caught.value)


def test_a_study_without_the_second_series_is_left_out(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="contrasts", cases=5, seed=2), tmp_path / "drawn")
    from pydicom import dcmread

    for path in made.cases[1].images.iterdir():
        if "T2" in dcmread(path, stop_before_pixels=True).SeriesDescription:
            path.unlink()
    job = SegmentJob.of(read_recipe(None, "segment", SMALL), read_labelled([made.folder]), ["lesion"])
    assert len(job.cases) == 4
    [left] = job.left_out
    assert "DN-7271" in left.text

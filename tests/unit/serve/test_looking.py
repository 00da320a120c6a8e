"""What a header says of the body part is checked with some slices, where a verdict hangs on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.assemble import decode_here, read_studies
from dicomnode.assemble.sampling import FEWEST, sample_slices
from dicomnode.phantom import thorax, write_series
from dicomnode.serve.deciding.dispatch import decide
from tests.unit.serve.test_plan import package

CHEST = package("small")


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    """A phantom of a chest, as a scanner writes it."""
    body = thorax(7, "small", nodules=False)
    return write_series(body.voxels, body.grid, tmp_path_factory.mktemp("chest"), seed=7)


def study_of(files, folder, **said):
    """The study of these files, with what their headers say of the body part."""
    for path in files:
        dataset = dcmread(path)
        for keyword in ("BodyPartExamined", "SeriesDescription", "StudyDescription", "ProtocolName"):
            if keyword in dataset:
                del dataset[keyword]
        for keyword, value in said.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / path.name)
    (study,) = read_studies([folder]).studies
    return study


@pytest.mark.parametrize("said", [{}, {"BodyPartExamined": "HEAD"}, {"BodyPartExamined": "CHEST"}], ids=str)
def test_a_chest_is_found_whatever_its_header_says(chest, tmp_path, said):
    study = study_of(chest, tmp_path, **said)
    dispatch = decide(study, [CHEST], decode_here)
    (verdict,) = dispatch.verdicts
    assert verdict.chosen
    assert "lung" in verdict.found
    assert verdict.found.endswith("(seen in the images)")
    (choice,) = dispatch.choices
    assert choice.stack.facts.facts["covers_from"] == "pixels"


def test_without_a_look_a_wrong_header_is_believed(chest, tmp_path):
    (verdict,) = decide(study_of(chest, tmp_path, BodyPartExamined="HEAD"), [CHEST]).verdicts
    assert (verdict.chosen, verdict.found) == (False, "brain, head")


def test_slices_are_decoded_only_where_a_verdict_hangs_on_them(chest, tmp_path):
    def must_not(*_args, **_kwargs):
        raise AssertionError("a slice was decoded")

    study = study_of(chest, tmp_path, Modality="MR")
    assert [verdict.rule for verdict in decide(study, [CHEST], must_not).verdicts] == ["Modality is CT"]


def test_some_slices_evenly_spread_are_looked_at(chest, tmp_path):
    (series,) = study_of(chest, tmp_path).series
    (stack,) = series.stacks
    slices = sample_slices(stack)
    assert len(slices) == FEWEST
    heights = np.diff([one.z_lps_mm for one in slices])
    assert heights.min() > 0
    assert heights.max() - heights.min() <= 2.5 + 1e-6  # one slice: they do not divide evenly
    assert {one.values.shape for one in slices} == {(138, 138)}
    assert all(-1100 < one.values.min() < -900 for one in slices)


def test_a_slice_that_cannot_be_decoded_is_left_out(chest, tmp_path):
    (series,) = study_of(chest, tmp_path).series
    (stack,) = series.stacks
    broken = stack.headers[4].path
    broken.write_bytes(broken.read_bytes()[:-2000])
    assert len(sample_slices(stack)) == FEWEST - 1


def test_of_a_refused_stack_nothing_is_looked_at(chest, tmp_path):
    (series,) = study_of(chest, tmp_path).series
    (stack,) = series.stacks
    with pytest.raises(ValueError, match="refused"):
        sample_slices(replace(stack, placement=None))

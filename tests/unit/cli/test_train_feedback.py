"""`dicomnode train … --from-feedback`: what people sent back is learned from, what machines made is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.cli.train_feedback import DataAsked, read_data
from dicomnode.faults import FEEDBACK_NONE, USAGE, NodeError
from dicomnode.values import MadeBy, no_progress
from tests.unit.cli import test_feedback
from tests.unit.cli.test_feedback import hear
from tests.unit.learn.train.small_data import write_study
from tests.unit.serve import test_feedback as heard
from tests.unit.serve.conftest import journal, store
from tests.unit.serve.test_feedback import Answered, as_bytes, corrected

answered = heard.answered
run = test_feedback.run
assert journal
assert store


@pytest.fixture
def asked(run, tmp_path: Path):
    """Data of the node alone, of folders, or of both."""

    def made(*data: Path, from_feedback: bool = True) -> DataAsked:
        return DataAsked(data=data, from_feedback=from_feedback, config=tmp_path / "dicomnode.toml")

    return made


def read(asked: DataAsked):
    return read_data(asked, no_progress, quiet=True)  # type: ignore[arg-type]


def test_a_correction_is_learned_from_beside_other_data(asked, answered: Answered, tmp_path: Path) -> None:
    hear(answered, corrected(answered.our_seg()))
    write_study(tmp_path / "others", 5)
    data, came = read(asked(tmp_path / "others"))
    assert came == {"studies": 1, "left_out": []}
    assert len(data.studies) == 2
    [study] = [one for one in data.studies if one.study.study_instance_uid == answered.uid]
    [label] = study.annotations
    assert label.sop_instance_uid == heard.THEIRS
    assert [one.made_by for one in label.segments] == [MadeBy.SEMI]
    assert len(read(asked())[0].studies) == 1
    alone, nothing = read(asked(tmp_path / "others", from_feedback=False))
    assert (len(alone.studies), nothing) == (1, None)


def test_what_a_machine_sent_is_no_label_though_the_images_are_of_a_phantom(
    asked, answered: Answered
) -> None:
    other = answered.our_seg()
    changed = corrected(other)
    marked = changed.replace(b"SEMIAUTOMATIC ", b"AUTOMATIC     ")
    assert marked != changed
    hear(answered, marked)
    [study] = read(asked())[0].studies
    assert study.synthetic
    assert study.annotations == ()


def test_without_feedback_there_is_nothing_to_learn_from_it(asked, answered: Answered) -> None:
    assert as_bytes(answered.our_seg())
    with pytest.raises(NodeError) as caught:
        read(asked())
    assert caught.value.fault is FEEDBACK_NONE


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"data": None, "from_feedback": False}, "--data DIR is needed"),
        ({"data": None, "from_feedback": True, "split": None}, "needs --split"),
    ],
)
def test_an_order_that_lacks_data_or_a_split_is_refused_at_once(given, word: str) -> None:
    with pytest.raises(NodeError) as caught:
        DataAsked.of({"labels": None, "config": None, **given})
    assert caught.value.fault is USAGE
    assert word in str(caught.value.values["problem"])


def test_the_split_lies_with_the_first_data_unless_it_is_named(tmp_path: Path) -> None:
    named = {"labels": None, "config": None, "from_feedback": True, "data": [tmp_path]}
    assert DataAsked.of(named).split(None) == tmp_path / "split.json"
    assert DataAsked.of(named).split(tmp_path / "other.json") == tmp_path / "other.json"

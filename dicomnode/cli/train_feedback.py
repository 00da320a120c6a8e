"""What `dicomnode train` learns from: folders of studies, and what doctors said of the node's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import open_journal, open_settings
from dicomnode.cli.output import Bars, print_failure
from dicomnode.faults import USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.serve.feedback.kept import KeptLabels

FeedbackOption = Annotated[
    bool,
    typer.Option(
        "--from-feedback", help="Learn from what doctors sent back to this node, too; of people alone."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAsked:
    """Where the data are. from_feedback: also in the store of the node that is configured by `config`.

    lesions: a table of lesions, and `lesions_are`: what those are that it does not name.
    """

    data: Sequence[Path]
    labels: Path | None = None
    from_feedback: bool = False
    config: Path | None = None
    lesions: Path | None = None
    lesions_are: str = "lesion"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DataAsked:
        """Take the options of a verb by their names. Raises NodeError(USAGE) where data or --split lack."""
        asked = cls(
            data=given["data"] or (),
            labels=given["labels"],
            from_feedback=given["from_feedback"],
            config=given["config"],
        )
        if not asked.data and not asked.from_feedback:
            raise NodeError(USAGE, problem="--data DIR is needed, or --from-feedback, or both")
        if "split" in given:
            asked.split(given["split"])
        return asked

    @property
    def where(self) -> str:
        """Where the data are, for a message."""
        named = [str(one) for one in self.data] + (["the feedback"] if self.from_feedback else [])
        return ", ".join(named)

    def split(self, given: Path | None) -> Path:
        """Where it is kept who is in which part. Raises NodeError(USAGE) where that must be said."""
        if given is not None:
            return given
        if not self.data:
            problem = "--from-feedback without --data needs --split FILE: who is tested stays so for good"
            raise NodeError(USAGE, problem=problem)
        first = self.data[0]
        return (first if first.is_dir() else first.parent) / "split.json"


def read_data(asked: DataAsked, progress: Bars, *, quiet: bool) -> tuple[LabelledData, dict[str, Any] | None]:
    """Read all studies with what is known of them; and as JSON what came of the feedback, None without.

    What a machine made is no feedback, unless somebody accepted it. Studies whose label cannot be used are
    told on stderr unless `quiet`. Raises NodeError: FEEDBACK_NONE, and as `read_labelled`.
    """
    from dicomnode.evaluate.data import read_labelled
    from dicomnode.evaluate.truth import only_by_people

    if not asked.from_feedback:
        return _with_lesions(asked, read_labelled(asked.data, asked.labels, progress)), None
    with TemporaryDirectory() as scratch:
        kept = _kept(asked.config, Path(scratch))
        files = [path for one in kept.studies for path in (*one.images, *one.labels)]
        data = read_labelled([*asked.data, *files], asked.labels, progress)
    heard = {one.study_instance_uid: one for one in kept.studies}
    studies = tuple(
        replace(only_by_people(one, of.accepted), patient=of.patient or one.patient)
        if (of := heard.get(one.study.study_instance_uid)) is not None
        else one
        for one in data.studies
    )
    for error in kept.left_out if not quiet else ():
        print_failure(error)
    return _with_lesions(asked, replace(data, studies=studies)), _document(kept)


def _with_lesions(asked: DataAsked, data: LabelledData) -> LabelledData:
    """Add the lesions of the table, where there is one. Raises NodeError as `with_lesions`."""
    if asked.lesions is None:
        return data
    from dicomnode.evaluate.data import with_lesions

    return with_lesions(data, asked.lesions, [asked.lesions_are], asked.data)


def _kept(config: Path | None, scratch: Path) -> KeptLabels:
    from dicomnode.journal import FeedbackQuery
    from dicomnode.serve.feedback.kept import kept_labels

    with open_journal(open_settings(config)) as journal:
        return kept_labels(journal, FeedbackQuery(), scratch)


def _document(kept: KeptLabels) -> dict[str, Any]:
    return {
        "studies": len(kept.studies),
        "left_out": [
            {
                "study_instance_uid": error.values["study"],
                "code": error.fault.code,
                "text": error.fault.text(**error.values),
            }
            for error in kept.left_out
        ],
    }

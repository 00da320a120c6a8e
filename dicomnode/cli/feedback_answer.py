"""`dicomnode feedback accept|reject STUDY`: a doctor's answer given by command."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json, result_console
from dicomnode.faults import EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.serve.feedback.answers import Told

EPILOG = (
    "EXIT STATUS: 0 kept (also: it was said before), 2 usage (also: several studies have that number, or "
    "several engines have findings), 3 no such study, engine or finding, 10 configuration, 11 journal or "
    "store."
)
_ROLE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LONGEST_COMMENT: Final = 200

StudyArgument = Annotated[str, typer.Argument(help="Study Instance UID or accession number.")]
ReaderOption = Annotated[
    str,
    typer.Option(
        "--reader", metavar="ROLE", help="In which role you say it: radiologist, resident … No name."
    ),
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Whose findings; needed where several engines have some.")
]
FindingOption = Annotated[
    list[str] | None,
    typer.Option("--finding", metavar="LABEL", help="Only this finding, as `dicomnode why` names it."),
]
CommentOption = Annotated[
    str | None, typer.Option("--comment", help="A sentence for `dicomnode why`; nothing of the patient.")
]


def accept(
    study: StudyArgument,
    *,
    reader: ReaderOption,
    engine: EngineOption = None,
    finding: FindingOption = None,
    comment: CommentOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say that findings are right: all of an engine in a study, or those that --finding names.

    It counts as an answer that was pushed, and as the last word: a later one takes its place. Accepted
    outlines become labels as they are.
    """
    return _say("accepted", study, (reader, engine, finding, comment), config, as_json=as_json)


def reject(
    study: StudyArgument,
    *,
    reader: ReaderOption,
    engine: EngineOption = None,
    finding: FindingOption = None,
    comment: CommentOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say that findings are wrong: all of an engine in a study, or those that --finding names.

    A label then says that there is none; findings that nobody has answered stay unknown.
    """
    return _say("rejected", study, (reader, engine, finding, comment), config, as_json=as_json)


def _say(
    kind: Literal["accepted", "rejected"],
    study: str,
    said: tuple[str, str | None, list[str] | None, str | None],
    config: Any,
    *,
    as_json: bool,
) -> int:
    from dicomnode.serve.feedback.answers import Answer, give_answer
    from dicomnode.store import Store

    reader, engine, findings, comment = said
    answer = Answer(
        kind=kind,
        reader=_role(reader),
        account=str(os.getuid()),
        engine=engine,
        findings=tuple(findings or ()),
        comment=_sentence(comment),
    )
    settings = open_settings(config)
    with open_journal(settings) as journal, Store.open(settings.store.path) as store:
        told = give_answer(journal, store, study, answer, datetime.now(UTC))
    if as_json:
        print_json(_document(kind, told))
    else:
        _print(kind, told)
    return EXIT_DONE


def _role(text: str) -> str:
    """Read the role. Raises NodeError(USAGE) for what looks like a person."""
    role = text.strip().lower()
    if not _ROLE.fullmatch(role):
        problem = "--reader wants a role in small letters, digits and hyphens, 32 at most: radiologist"
        raise NodeError(USAGE, problem=problem)
    return role


def _sentence(text: str | None) -> str:
    said = (text or "").strip()
    if len(said) > _LONGEST_COMMENT or not (said.isprintable() or not said):
        raise NodeError(USAGE, problem=f"--comment has {_LONGEST_COMMENT} printable characters at most")
    return said


def _document(kind: str, told: Told) -> dict[str, Any]:
    return {
        "schema": 1,
        "study_instance_uid": told.study_instance_uid,
        "study_version": told.study_version,
        "engine": told.engine,
        "engine_version": told.engine_version,
        "kind": kind,
        "findings": list(told.labels),
        "new": told.new,
    }


def _print(kind: str, told: Told) -> None:
    what = ", ".join(told.labels)
    of = f"{what} of {told.engine} {told.engine_version}"
    if told.study_version > 1:  # images have come since the first: it may not be what he has looked at
        of += f", version {told.study_version} of the study"
    before = "" if told.new else " It was said before: nothing has changed."
    result_console.print(f"{of}: {kind}.{before}", markup=False)


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode feedback` these verbs."""
    app.command(epilog=EPILOG)(accept)
    app.command(epilog=EPILOG)(reject)

"""What `dicomnode retract` does: looks what is meant, shows it, asks, and takes it back study by study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import structlog
import typer

from dicomnode.cli.asked import require_consent
from dicomnode.cli.output import Bars, bars, console, print_json, print_table
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING, EXIT_PARTLY
from dicomnode.serve import learn_makers, set_up_logging

if TYPE_CHECKING:
    from dicomnode.faults import NodeError
    from dicomnode.journal import Answer, AnswerQuery, FindingRecord, Journal, Retracted
    from dicomnode.settings import LogSettings

_SHOWN = 30  # studies in the table before the question; --dry-run shows all
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """What is to be taken back, why and by whom. study: UID or accession number; None: of all studies.

    is_whole: a study is, and no engine or time is named. code: of CID 7010.
    """

    study: str | None
    query: AnswerQuery
    is_whole: bool
    code: str
    by: str
    log: LogSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    """A study that is concerned, with its answers that are."""

    study_instance_uid: str
    accession_number: str
    answers: tuple[Answer, ...]

    @property
    def objects(self) -> int:
        return sum(one.objects for one in self.answers)

    @property
    def destinations(self) -> list[str]:
        return sorted({name for one in self.answers for name in one.destinations})

    @property
    def engines(self) -> list[str]:
        return sorted({_engine(one) for one in self.answers})


def run(journal: Journal, wanted: Retraction, *, dry_run: bool, consent: int | None, as_json: bool) -> int:
    """Do it; give the exit status. Raises NodeError, typer.Abort and KeyboardInterrupt."""
    study_uid = None if wanted.study is None else journal.study(wanted.study).study_instance_uid
    query = replace(wanted.query, study_uid=study_uid)
    unknown = _learn(journal, query, quiet=as_json) if query.asks_for_maker else []
    concerned = _concerned(journal, query, wanted)
    if dry_run or not concerned:
        done: list[tuple[_Study, Retracted]] = []
    else:
        if not as_json:
            _show(concerned, _SHOWN)
        require_consent(f"take back {_counted(concerned)}", len(concerned), consent, "--yes-retract")
        done = _take_back(journal, concerned, wanted, quiet=as_json)
    # What is made meanwhile, or will be, nobody has taken back
    under_way = 0 if wanted.is_whole else journal.analyses_under_way(query)
    if as_json:
        print_json(_document(concerned, done, unknown, under_way, dry_run=dry_run))
    else:
        _tell(concerned, done, dry_run=dry_run)
        _tell_of_the_rest(unknown, under_way)
    if unknown:
        return EXIT_PARTLY
    return EXIT_DONE if (concerned if dry_run else _did_something(done)) else EXIT_NOTHING


def _learn(
    journal: Journal, query: AnswerQuery, *, quiet: bool
) -> list[tuple[str, FindingRecord, NodeError]]:
    with bars(quiet=quiet) as progress:
        return learn_makers(journal, query, lambda done, total: progress("reading findings", done, total))


def _concerned(journal: Journal, query: AnswerQuery, wanted: Retraction) -> list[_Study]:
    found = [
        _Study(study_instance_uid=uid, accession_number=answers[0].accession_number, answers=tuple(answers))
        for uid, answers in _by_study(journal.answers(query))
    ]
    if found or not wanted.is_whole or query.superseded or wanted.study is None:
        return found
    record = journal.study(wanted.study)  # of which nothing was made yet: what is under way is ended
    if record.state == "retracted":
        return []
    return [
        _Study(
            study_instance_uid=record.study_instance_uid,
            accession_number=record.accession_number,
            answers=(),
        )
    ]


def _by_study(answers: Sequence[Answer]) -> list[tuple[str, list[Answer]]]:
    return [(uid, list(of)) for uid, of in groupby(answers, lambda one: one.study_instance_uid)]


def _take_back(
    journal: Journal, concerned: Sequence[_Study], wanted: Retraction, *, quiet: bool
) -> list[tuple[_Study, Retracted]]:
    """Take back study by study; whatever ends it, what was done is told of, and stays done."""
    done: list[tuple[_Study, Retracted]] = []
    try:
        with bars(quiet=quiet or len(concerned) == 1) as progress:
            _each(journal, concerned, wanted, done, progress)
    finally:
        if len(done) < len(concerned):
            console.print(
                f"{len(done)} of {len(concerned)} studies are done; the same command again does the rest."
            )
        _log(done, wanted)
    return done


def _each(
    journal: Journal,
    concerned: Sequence[_Study],
    wanted: Retraction,
    done: list[tuple[_Study, Retracted]],
    progress: Bars,
) -> None:
    for study in concerned:
        uid, now = study.study_instance_uid, datetime.now(UTC)
        if wanted.is_whole:
            earlier = wanted.query.superseded
            made = journal.retract(uid, wanted.code, now, earlier_only=earlier, by=wanted.by)
        else:
            keys = [one.key for one in study.answers]
            made = journal.retract_answers(uid, keys, wanted.code, wanted.by, now)
        done.append((study, made))
        progress("studies", len(done), len(concerned))


def _log(done: Sequence[tuple[_Study, Retracted]], wanted: Retraction) -> None:
    """Write the line of the audit, whatever level of lines is wanted else."""
    set_up_logging(replace(wanted.log, level="info"))
    query = wanted.query
    days = {"from": query.found_from, "before": query.found_before}
    facts = {
        "study": wanted.study and (done[0][0].study_instance_uid if done else None),
        "engine": query.engine,
        "version": query.version,
        "digest": query.digest,
        "what": ", ".join(f"{word} {at.isoformat()}" for word, at in days.items() if at) or None,
    }
    structlog.get_logger("dicomnode.cli").info(
        "results.retracted",
        by=wanted.by,
        code=wanted.code,
        studies=len(done),
        objects=sum(made.objects for _, made in done),
        **{name: value for name, value in facts.items() if value is not None},
    )


# ── what is said ──


def _engine(answer: Answer) -> str:
    """Name the engine of an answer with its version and the beginning of its digest."""
    if answer.maker is None:
        return answer.key.engine
    return f"{answer.key.engine} {answer.maker.version} ({answer.maker.digest[:_DIGITS]})"


def _counted(concerned: Sequence[_Study]) -> str:
    objects = sum(one.objects for one in concerned)
    return f"{objects} result object(s) of {len(concerned)} stud{'y' if len(concerned) == 1 else 'ies'}"


def _show(concerned: Sequence[_Study], most: int | None = None) -> None:
    rows = [
        (
            one.accession_number or "–",
            one.study_instance_uid,
            "\n".join(one.engines) or "–",
            one.objects,
            ", ".join(one.destinations) or "nobody",
        )
        for one in concerned[:most]
    ]
    print_table("", ("accession", "study", "engine", "objects", "told"), rows)
    if len(rows) < len(concerned):
        typer.echo(f"… and {len(concerned) - len(rows)} more studies; --dry-run shows all.")


def _did_something(done: Sequence[tuple[_Study, Retracted]]) -> bool:
    return any(made.objects or made.ended or study.answers for study, made in done)


def _tell(concerned: Sequence[_Study], done: Sequence[tuple[_Study, Retracted]], *, dry_run: bool) -> None:
    objects = sum(made.objects for _, made in done)
    told = sorted({name for _, made in done for name in made.destinations})
    if dry_run and concerned:
        _show(concerned)
        typer.echo(f"It would take back {_counted(concerned)}; nothing was done.")
    elif objects:
        then = (
            f"{', '.join(told)} will get a rejection note"
            if told
            else "none was sent, so nobody needs to be told"
        )
        of = "" if len(done) == 1 else f" of {len(done)} studies"
        typer.echo(f"{objects} result object(s){of} are taken back; {then}.")
    elif _did_something(done):
        typer.echo("There is no result to take back; what was under way of the study is ended.")
    else:
        typer.echo("There is nothing to take back.")


def _tell_of_the_rest(unknown: Sequence[tuple[str, FindingRecord, NodeError]], under_way: int) -> None:
    for study_uid, record, error in unknown:
        console.print(f"{study_uid}, {record.engine}: {error}", markup=False)
    if unknown:
        console.print(
            f"Of {len(unknown)} result(s) it is not known which package made them, so they stand: look at "
            "each (`dicomnode why STUDY`) and take it back by its study and --engine."
        )
    if under_way:
        console.print(
            f"{under_way} analys{'is is' if under_way == 1 else 'es are'} under way, and will be sent: run "
            'this again when done. An engine with mode = "off" begins none.'
        )


def _document(
    concerned: Sequence[_Study],
    done: Sequence[tuple[_Study, Retracted]],
    unknown: Sequence[tuple[str, FindingRecord, NodeError]],
    under_way: int,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    ended = {study.study_instance_uid for study, made in done if made.ended}
    made_of = {study.study_instance_uid: made for study, made in done}
    rows: list[dict[str, Any]] = []
    for one in concerned:
        made = made_of.get(one.study_instance_uid)
        rows.append(
            {
                "study_instance_uid": one.study_instance_uid,
                "accession_number": one.accession_number or None,
                "answers": [_answer_document(answer) for answer in one.answers],
                "objects": one.objects if made is None else made.objects,
                "destinations": one.destinations if made is None else list(made.destinations),
                "ended": one.study_instance_uid in ended,
            }
        )
    return {
        "schema": 1,
        "dry_run": dry_run,
        "studies": rows,
        "objects": sum(row["objects"] for row in rows),
        "destinations": sorted({name for row in rows for name in row["destinations"]}),
        "ended": bool(ended),
        "unknown": [
            {
                "study_instance_uid": uid,
                "engine": record.engine,
                "path": str(record.path),
                "problem": str(error),
            }
            for uid, record, error in unknown
        ],
        "under_way": under_way,
    }


def _answer_document(answer: Answer) -> dict[str, Any]:
    return {
        "engine": answer.key.engine,
        "study_version": answer.key.study_version,
        "engine_version": None if answer.maker is None else answer.maker.version,
        "engine_digest": None if answer.maker is None else answer.maker.digest,
        "found_at": answer.found_at.isoformat(),
        "objects": answer.objects,
        "destinations": list(answer.destinations),
    }

"""Corrections: what was received is put right by its senders, and what was made from it is made again.

Three kinds: an image came again with another header, images were rejected (IOCM), or the patient was merged
or updated (HL7). Names of attributes stand here, never values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from dicomnode.journal import (
    events,
    feedback,
    instances,
    of_another,
    retraction,
    schema,
    sentences,
    studies,
    superseding,
)
from dicomnode.journal.lost_priors import lose_corrected_prior, lose_rejected_prior, lose_wrong_prior
from dicomnode.journal.records import ReadIds
from dicomnode.journal.retraction import Retracted
from dicomnode.journal.versions import (
    CorrectionKind,
    add,
    first_named_another_in,
    left,
    locked,
    reopen,
)
from dicomnode.values import Instance

_instance: Final = schema.instance
_rejected: Final = schema.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCorrection:
    """An instance with another header than before, and where the file with the old one is kept.

    keywords: of the attributes that differ. is_renaming: they say whose it is and under which number, and
    no engine looks at them. as_told: keywords of what says now what a message had told of the study.
    undoes: it says the Patient ID again from before that message. added: of what said nothing before.
    of_another: of what names another patient or order than before. returns: it named that one earlier.
    """

    instance: Instance
    ids: ReadIds
    keywords: tuple[str, ...]
    is_renaming: bool
    as_told: frozenset[str] = frozenset()
    undoes: bool = False
    added: frozenset[str] = frozenset()
    of_another: frozenset[str] = frozenset()
    returns: bool = False

    @property
    def is_cure(self) -> bool:
        """Whether it may put right what was of the wrong patient or order: it names another one now.

        Not where it follows a message, or undoes that: the message had said that the two are one person. And
        not where it goes back to who was named before, who may be the wrong one.
        """
        return not self.undoes and not self.returns and not self.of_another <= self.as_told

    @property
    def goes_back(self) -> bool:
        """Whether it names again who was named before, and no merge was undone by that."""
        return self.returns and not self.undoes

    @property
    def anew(self) -> frozenset[str]:
        """Keywords in which it has the last word on what messages told of the study.

        Not in what says as they did. What a message told of the ID before does not hold for another Patient
        ID; for the images that still have that one it goes on, but where it is undone.
        """
        return frozenset(self.keywords) - self.as_told - (frozenset() if self.undoes else {"PatientID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionNote:
    """Instances of one study that an IOCM rejection note names. code: of its title, CID 7010 of PS3.16."""

    sop_instance_uid: str
    study_instance_uid: str
    code: str
    meaning: str
    instances: tuple[str, ...]


Correction = HeaderCorrection | RejectionNote


def apply(connection: Connection, corrections: Iterable[Correction], now: datetime) -> None:
    """Enter corrections; those known already change nothing."""
    headers: dict[str, list[HeaderCorrection]] = defaultdict(list)
    notes: list[RejectionNote] = []
    for one in corrections:
        if isinstance(one, RejectionNote):
            notes.append(one)
        else:
            headers[one.instance.study_instance_uid].append(one)
    for study_uid, of_study in headers.items():
        _correct_headers(connection, study_uid, of_study, now)
    for note in notes:
        _reject(connection, note, now)


# ── headers ──


def _correct_headers(
    connection: Connection, study_uid: str, corrections: Sequence[HeaderCorrection], now: datetime
) -> None:
    entered = _enter_files(connection, study_uid, corrections)
    news = [one for one in entered if one.instance.sop_class_uid not in feedback.ANNOTATIONS]
    # Somebody has changed what he says of the study: that is read anew, and corrects no image
    said = [(one.instance.sop_instance_uid, one.instance.sop_class_uid) for one in entered]
    feedback.ask(connection, study_uid, locked(connection, study_uid).version, said, now)
    if not news:
        return
    _correct_modalities(connection, study_uid, news)
    keywords = sorted({keyword for one in news for keyword in one.keywords})
    values: dict[str, Any] = {"patient_key": None}  # it is of the patient's ID, which may be another one now
    values["last_received_at"] = max(one.instance.received_at for one in news)
    if "AccessionNumber" in keywords:
        values["accession_number"] = news[-1].ids.accession_number
    is_renaming = all(one.is_renaming for one in news)
    before: int = locked(connection, study_uid).version
    since = of_another.since(connection, study_uid)
    version = reopen(connection, study_uid, now, values)
    _mark_others(connection, study_uid, news, version)
    goes_back = any(one.goes_back for one in news)
    cures_below = _cures_below(connection, study_uid, version, since, goes_back=goes_back)
    add(
        connection, study_uid, version, now,
        kind=CorrectionKind.HEADER, keywords=keywords, is_renaming=is_renaming,
        anew=sorted({keyword for one in news for keyword in one.anew}), cures_below=cures_below,
    )  # fmt: skip
    stays = since is not None and since >= cures_below
    again = goes_back and since is None and of_another.was(connection, study_uid)
    ended = _ended_by(connection, study_uid, before, is_renaming=is_renaming, is_anothers=stays or again)
    _take_back(connection, study_uid, version, ended, now)
    text = sentences.corrected(
        len(news), keywords, version,
        of_another=of_another.WRONG_ORDER in ended, again=again,
    )  # fmt: skip
    events.append(
        connection, study_uid, now, "study.corrected", text,
        version=version, instances=len(news), keywords=", ".join(keywords),
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    lose_corrected_prior(connection, study_uid, news, now)


def _take_back(
    connection: Connection, study_uid: str, version: int, codes: Iterable[str], now: datetime
) -> None:
    """Take back a version that has begun just now, by each of these codes."""
    for code in codes:
        retraction.retract_study(connection, study_uid, version, now)
        add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=code)


def _enter_files(
    connection: Connection, study_uid: str, corrections: Sequence[HeaderCorrection]
) -> list[HeaderCorrection]:
    """Write the files of corrected instances; give those that are news, the last of each instance."""
    known = instances.marks(connection, study_uid)
    latest = {one.instance.sop_instance_uid: one for one in corrections}
    news = [
        one
        for uid, one in latest.items()
        if uid in known and known[uid] != (one.instance.digest, one.instance.size)
    ]
    for one in news:
        connection.execute(
            update(_instance)
            .where(
                _instance.c.study_instance_uid == study_uid,
                _instance.c.sop_instance_uid == one.instance.sop_instance_uid,
            )
            .values(instances.described(one.instance))
        )
    return news


def _mark_others(
    connection: Connection, study_uid: str, news: Iterable[HeaderCorrection], version: int
) -> None:
    """Write which images name another patient or order by now, and which do no longer."""
    for one in news:
        if not one.is_cure and not one.goes_back:
            continue
        connection.execute(
            update(_instance)
            .where(
                _instance.c.study_instance_uid == study_uid,
                _instance.c.sop_instance_uid == one.instance.sop_instance_uid,
            )
            .values(another_in=version if one.is_cure else None)
        )


def _cures_below(
    connection: Connection, study_uid: str, version: int, since: int | None, *, goes_back: bool
) -> int:
    """Below which version corrected headers are a cure; 0 where they cure no more than was cured before.

    They are none as long as one image names the wrong one: results of it may, too. since: as of `of_another`.
    The versions that were carried on from there, taken back and never analysed, are put right with it.
    """
    if goes_back:
        return of_another.ENDS_CURES
    first = first_named_another_in(connection, study_uid)
    if since is not None and since < first:
        return version
    return first if first > of_another.cured_below(connection, study_uid) else 0


def _ended_by(
    connection: Connection, study_uid: str, before: int, *, is_renaming: bool, is_anothers: bool
) -> list[str]:
    """Codes by which corrected headers are taken back at once: those of the version before that still hold.

    What was of the wrong patient or order is so until another one is named; anything else is no better under
    another name. Where no image is left, there is nothing to make results of.
    """
    codes = studies.taken_back_as(connection, study_uid, before)
    if left(connection, study_uid):
        codes = [code for code in codes if is_renaming and code != of_another.WRONG_ORDER]
        codes += [of_another.WRONG_ORDER] if is_anothers else []
    return list(dict.fromkeys(codes))


def _correct_modalities(connection: Connection, study_uid: str, news: Iterable[HeaderCorrection]) -> None:
    """A series is of the modality that its images say: rules and lanes are by that."""
    series = schema.series
    for uid, modality in {
        one.instance.series_instance_uid: one.ids.modality for one in news if "Modality" in one.keywords
    }.items():
        connection.execute(
            update(series)
            .where(series.c.study_instance_uid == study_uid, series.c.series_instance_uid == uid)
            .values(modality=modality)
        )


# ── rejection ──


def _reject(connection: Connection, note: RejectionNote, now: datetime) -> None:
    known = set(
        connection.execute(
            select(_rejected.c.sop_instance_uid).where(
                _rejected.c.study_instance_uid == note.study_instance_uid
            )
        ).scalars()
    )
    new = [uid for uid in dict.fromkeys(note.instances) if uid not in known]
    if not new:
        return
    retraction.reject(connection, note.study_instance_uid, new, note.code, note.sop_instance_uid)
    _reject_answers(connection, note, new, now)
    here = instances.classes_of(connection, note.study_instance_uid)
    concerned = [uid for uid in new if uid in here]
    answers = sum(here[uid] in feedback.ANNOTATIONS for uid in concerned)
    if answers:
        # What somebody said of the study is not said any more: no image went by that
        text = sentences.answers_rejected(answers, note.meaning, note.code)
        events.append(
            connection, note.study_instance_uid, now, "annotations.rejected", text,
            instances=answers, code=note.code, note=note.sop_instance_uid,
        )  # fmt: skip
    if len(concerned) > answers:
        _set_aside(connection, note, len(concerned) - answers, now)
    elif here:
        # Results of our own may be among what is named: they are not sent any more
        studies.settle_state(connection, note.study_instance_uid, now)


def _reject_answers(connection: Connection, note: RejectionNote, uids: Sequence[str], now: datetime) -> None:
    """Stop what is under way of the answers that a note names objects of; a part of one stands for it all.

    One that is of the wrong patient or order ends what its engine makes of later versions, too.
    """
    study_uid, made = note.study_instance_uid, schema.result_object.c
    rows = connection.execute(
        select(made.study_version, made.engine, made.sop_instance_uid).where(
            made.study_instance_uid == study_uid, made.engine.not_like(f"{studies.RETRACTION}%")
        )
    )
    named = set(uids)
    answers = sorted({(row.study_version, row.engine) for row in rows if row.sop_instance_uid in named})
    if not answers:
        return
    cured = of_another.cured_below(connection, study_uid)
    # A dispatch that has not seen it begins anew
    last: int = locked(connection, study_uid).version
    add(connection, study_uid, last, now, kind=CorrectionKind.ANSWER, code=note.code)
    for version, engine in answers:
        superseding.reject_answer(connection, study_uid, version, engine, now)
        if note.code == of_another.WRONG_ORDER and version >= cured:
            superseding.reject_later_answers(connection, study_uid, version, engine, now)
    engines = ", ".join(sorted({engine for _, engine in answers}))
    text = sentences.results_rejected(engines, note.meaning, note.code)
    events.append(
        connection, study_uid, now, "results.rejected", text,
        engines=engines, code=note.code, note=note.sop_instance_uid,
    )  # fmt: skip
    if note.code == of_another.WRONG_ORDER:
        lose_wrong_prior(connection, study_uid, now)


def _set_aside(connection: Connection, note: RejectionNote, count: int, now: datetime) -> None:
    study_uid = note.study_instance_uid
    version: int = locked(connection, study_uid).version
    if of_another.since(connection, study_uid) is None:
        version = reopen(connection, study_uid, now)
    text = sentences.rejected(count, note.meaning, note.code, version)
    events.append(
        connection, study_uid, now, "study.rejected", text,
        version=version, instances=count, code=note.code, note=note.sop_instance_uid,
    )  # fmt: skip
    number = add(connection, study_uid, version, now, kind=CorrectionKind.REJECTED, code=note.code)
    retraction.withdraw(connection, study_uid, retraction.Withdrawal(number, version, note.code), now)
    if not left(connection, study_uid):
        _take_back(connection, study_uid, version, [note.code], now)
    studies.settle_state(connection, study_uid, now)
    series = instances.series_of(connection, study_uid, note.instances)
    lose_rejected_prior(connection, study_uid, series, note.code, now)


# ── taking back ──


def retract(
    connection: Connection,
    study_uid: str,
    code: str,
    now: datetime,
    *,
    earlier_only: bool,
    by: str | None = None,
) -> Retracted:
    """Take back the results of a study, or only those of its earlier versions. by: who says so."""
    row = locked(connection, study_uid)
    version: int = row.version
    kind = CorrectionKind.SUPERSEDED if earlier_only else CorrectionKind.RETRACTED
    ended = not earlier_only and not studies.is_retracted(connection, study_uid, version)
    number = add(connection, study_uid, version, now, kind=kind, code=code)
    below = version if earlier_only else version + 1
    withdrawal = retraction.Withdrawal(number, version, code, below=below)
    count, destinations = retraction.withdraw(connection, study_uid, withdrawal, now)
    if not earlier_only:
        retraction.retract_study(connection, study_uid, version, now)
        if code == of_another.WRONG_ORDER:
            lose_wrong_prior(connection, study_uid, now)
    if count or ended:
        text = sentences.retracted(count, destinations, code, earlier_only=earlier_only, by=by)
        events.append(
            connection, study_uid, now, "results.retracted", text,
            version=version, objects=count, code=code, destinations=", ".join(destinations), by=by,
        )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return Retracted(objects=count, destinations=destinations, ended=ended)

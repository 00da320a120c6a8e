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

from dicomnode.journal import events, instances, retraction, schema, sentences, studies
from dicomnode.journal.lost_priors import lose_corrected_prior, lose_rejected_prior
from dicomnode.journal.records import ReadIds
from dicomnode.journal.retraction import Retracted
from dicomnode.journal.versions import (
    CorrectionKind,
    add,
    left,
    locked,
    named_another_since,
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
    news = _enter_files(connection, study_uid, corrections)
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
    version = reopen(connection, study_uid, now, values)
    cures_below = _mark_others(connection, study_uid, news, version)
    add(
        connection, study_uid, version, now,
        kind=CorrectionKind.HEADER, keywords=keywords, is_renaming=is_renaming,
        anew=sorted({keyword for one in news for keyword in one.anew}), cures_below=cures_below,
    )  # fmt: skip
    ended = _ended_by(connection, study_uid, before, is_renaming=is_renaming, cures_below=cures_below)
    if any(one.goes_back for one in news) and studies.was_of_another(connection, study_uid):
        ended = list(dict.fromkeys([*ended, studies.WRONG_ORDER]))
    if ended:
        retraction.retract_study(connection, study_uid, version, now)
    known = studies.taken_back_as(connection, study_uid, version)
    for code in ended:
        if code not in known:
            add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=code)
    text = sentences.corrected(len(news), keywords, version, of_another=studies.WRONG_ORDER in ended)
    events.append(
        connection, study_uid, now, "study.corrected", text,
        version=version, instances=len(news), keywords=", ".join(keywords),
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    lose_corrected_prior(connection, study_uid, news, now)


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
) -> int:
    """Write which images name another patient or order by now; give below which version that is a cure.

    0 where it is none yet: as long as one image names the wrong one, results of it may.
    """
    others = [one for one in news if one.is_cure]
    returned = [one for one in news if one.goes_back]
    for of, value in ((others, version), (returned, None)):
        for one in of:
            connection.execute(
                update(_instance)
                .where(
                    _instance.c.study_instance_uid == study_uid,
                    _instance.c.sop_instance_uid == one.instance.sop_instance_uid,
                )
                .values(another_in=value)
            )
    return named_another_since(connection, study_uid) if others else 0


def _ended_by(
    connection: Connection, study_uid: str, before: int, *, is_renaming: bool, cures_below: int
) -> list[str]:
    """Codes by which a version was taken back, as far as these hold for its corrected headers, too.

    What was of the wrong patient or order is so until another one is named; anything else is no better under
    another name. Where no image is left, there is nothing to make results of.
    """
    codes = studies.taken_back_as(connection, study_uid, before)
    if not left(connection, study_uid):
        return codes
    since = studies.of_another_since(connection, study_uid, before)
    is_cured = since is not None and since < cures_below
    return [
        code
        for code in dict.fromkeys(codes)
        if (not is_cured if code == studies.WRONG_ORDER else is_renaming)
    ]


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
    here = set(
        connection.execute(
            select(_instance.c.sop_instance_uid).where(
                _instance.c.study_instance_uid == note.study_instance_uid
            )
        ).scalars()
    )
    concerned = len(here.intersection(new))
    if concerned:
        _set_aside(connection, note, concerned, now)
    elif here:
        # Results of our own may be among what is named: they are not sent any more
        studies.settle_state(connection, note.study_instance_uid, now)


def _set_aside(connection: Connection, note: RejectionNote, count: int, now: datetime) -> None:
    study_uid = note.study_instance_uid
    version: int = locked(connection, study_uid).version
    if studies.of_another_since(connection, study_uid, version) is None:
        version = reopen(connection, study_uid, now)
    text = sentences.rejected(count, note.meaning, note.code, version)
    events.append(
        connection, study_uid, now, "study.rejected", text,
        version=version, instances=count, code=note.code, note=note.sop_instance_uid,
    )  # fmt: skip
    number = add(connection, study_uid, version, now, kind=CorrectionKind.REJECTED, code=note.code)
    retraction.withdraw(connection, study_uid, retraction.Withdrawal(number, version, note.code), now)
    if not left(connection, study_uid):
        retraction.retract_study(connection, study_uid, version, now)
        add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=note.code)
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
    if count or ended:
        text = sentences.retracted(count, destinations, code, earlier_only=earlier_only, by=by)
        events.append(
            connection, study_uid, now, "results.retracted", text,
            version=version, objects=count, code=code, destinations=", ".join(destinations), by=by,
        )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return Retracted(objects=count, destinations=destinations, ended=ended)

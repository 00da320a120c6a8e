"""Corrections: what was received is put right by its senders, and what was made from it is made again.

Three kinds: an image came again with another header, images were rejected (IOCM), or the patient was merged
or updated (HL7). Names of attributes stand here, never values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from dicomnode.journal import events, instances, priors, retraction, schema, sentences, studies
from dicomnode.journal.records import ReadIds
from dicomnode.values import Instance

_correction: Final = schema.correction
_instance: Final = schema.instance
_rejected: Final = schema.rejected
_study: Final = schema.study

# Of CID 7010: results of the wrong patient or order, for which the right one in the headers is the cure
_WRONG_ORDER: Final = "113038"
_UNSAFE: Final = "113037"


class CorrectionKind(StrEnum):
    """What was corrected."""

    HEADER = "header"  # images came again with the same pixels and another header
    REJECTED = "rejected"  # a rejection note sets images aside
    IDENTITY = "identity"  # whose the study is, by HL7
    RETRACTED = "retracted"  # the results of the study were taken back
    SUPERSEDED = "superseded"  # the results of earlier versions were
    PRIOR = priors.LOST  # an earlier study that results were made with may not be used any more


# What begins a version in which nothing new has come
_BEGINS: Final = (
    CorrectionKind.HEADER,
    CorrectionKind.REJECTED,
    CorrectionKind.IDENTITY,
    CorrectionKind.PRIOR,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCorrection:
    """An instance with another header than before, and where the file with the old one is kept.

    keywords: of the attributes that differ. is_renaming: they say whose it is and under which number, and
    no engine looks at them. as_told: keywords of what says now what a message had told of the study.
    """

    instance: Instance
    ids: ReadIds
    keywords: tuple[str, ...]
    is_renaming: bool
    as_told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionNote:
    """Instances of one study that an IOCM rejection note names. code: of its title, CID 7010 of PS3.16."""

    sop_instance_uid: str
    study_instance_uid: str
    code: str
    meaning: str
    instances: tuple[str, ...]


Correction = HeaderCorrection | RejectionNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted:
    """What a retraction did. objects: how many are taken back; destinations: that are told of it.

    ended: the study itself was ended by it, also where nothing had been made of it yet.
    """

    objects: int
    destinations: tuple[str, ...]
    ended: bool


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
    ended = _ended_by(connection, study_uid, is_renaming=is_renaming)
    version = reopen(connection, study_uid, now, values)
    add(
        connection, study_uid, version, now,
        kind=CorrectionKind.HEADER, keywords=keywords, is_renaming=is_renaming,
    )  # fmt: skip
    if ended is not None:
        retraction.retract_study(connection, study_uid, version, now)
        add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=ended)
    text = sentences.corrected(len(news), keywords, version)
    events.append(
        connection, study_uid, now, "study.corrected", text,
        version=version, instances=len(news), keywords=", ".join(keywords),
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    _lose_corrected_prior(connection, study_uid, news, now)


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


def _ended_by(connection: Connection, study_uid: str, *, is_renaming: bool) -> str | None:
    """Code by which a study was taken back, where that holds for its corrected headers, too; else None.

    What was wrong is no better under another name, unless the name was what was wrong; and where no image is
    left, there is nothing to make results of.
    """
    row = locked(connection, study_uid)
    found = connection.execute(
        select(_correction.c.code)
        .where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.study_version == row.version,
            _correction.c.kind == CorrectionKind.RETRACTED,
        )
        .order_by(_correction.c.id)
    ).scalars()
    codes = list(found)
    holds = (is_renaming and set(codes) != {_WRONG_ORDER}) or not _left(connection, study_uid)
    return codes[-1] if codes and holds else None


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


def reopen(
    connection: Connection, study_uid: str, now: datetime, values: Mapping[str, Any] | None = None
) -> int:
    """Begin the next version of a study that was complete: it is being received again; give the version.

    One that was fetched as a prior stays as it is: nobody analyses it.
    """
    row = locked(connection, study_uid)
    more = {"shortfall": None, **(values or {})}
    if "last_received_at" in more:
        more["last_received_at"] = max(row.last_received_at, more["last_received_at"])
    version: int = row.version
    changed: dict[str, Any] = {}
    if priors.mark(connection, study_uid) is None:
        version, changed = instances.next_version(connection, row, now)
    connection.execute(
        update(_study)
        .where(_study.c.study_instance_uid == study_uid)
        .values({"last_added_at": max(row.last_added_at, now), **changed, **more})
    )
    return version


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
    version = reopen(connection, study_uid, now)
    text = sentences.rejected(count, note.meaning, note.code, version)
    events.append(
        connection, study_uid, now, "study.rejected", text,
        version=version, instances=count, code=note.code, note=note.sop_instance_uid,
    )  # fmt: skip
    number = add(connection, study_uid, version, now, kind=CorrectionKind.REJECTED, code=note.code)
    retraction.withdraw(connection, study_uid, retraction.Withdrawal(number, version, note.code), now)
    if not _left(connection, study_uid):
        retraction.retract_study(connection, study_uid, version, now)
        add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=note.code)
    studies.settle_state(connection, study_uid, now)
    lost = _Lost(f"has images that were rejected (DCM {note.code})", note.code)
    series = instances.series_of(connection, study_uid, note.instances)
    _lose_prior(connection, study_uid, series, lost, now)


def _left(connection: Connection, study_uid: str) -> int:
    """Instances that are not set aside, beside the notes themselves."""
    found: int = connection.execute(
        select(func.count()).where(
            _instance.c.study_instance_uid == study_uid,
            _instance.c.sop_class_uid != instances.KEY_OBJECTS,
            _instance.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
        )
    ).scalar_one()
    return found


# ── of priors ──


class _Lost(NamedTuple):
    """Why a prior may not be used any more, and the code, of CID 7010, that results are taken back with."""

    why: str
    code: str


def _lose_corrected_prior(
    connection: Connection, study_uid: str, news: Sequence[HeaderCorrection], now: datetime
) -> None:
    """A study whose headers say now that it is somebody else's was no prior of those that it was given to."""
    whose = [(one.instance, priors.WHOSE & {*one.keywords} - one.as_told) for one in news]
    lost = _Lost(f"was corrected in {', '.join(sorted(set().union(*(said for _, said in whose))))}", _UNSAFE)
    _lose_prior(connection, study_uid, {one.series_instance_uid for one, said in whose if said}, lost, now)


def _lose_prior(
    connection: Connection, prior_uid: str, series_uids: Collection[str], lost: _Lost, now: datetime
) -> None:
    """Take back the results that were made with these series of a study; their studies are done again."""
    for study_uid, made in sorted(priors.take_given(connection, prior_uid, series_uids).items()):
        before: int = locked(connection, study_uid).version
        if studies.is_retracted(connection, study_uid, before):
            continue
        is_present = any(version == before for version, _ in made)
        version = reopen(connection, study_uid, now) if is_present else before
        number = add(
            connection, study_uid, version, now,
            kind=CorrectionKind.PRIOR, code=lost.code, is_renaming=True,
        )  # fmt: skip
        withdrawal = retraction.Withdrawal(number, version, lost.code, of=frozenset(made))
        count, _ = retraction.withdraw(connection, study_uid, withdrawal, now)
        text = sentences.prior_lost(prior_uid, lost.why, count, version if is_present else None)
        events.append(
            connection, study_uid, now, "study.prior_withdrawn", text,
            version=version, prior=prior_uid, objects=count, code=lost.code,
        )  # fmt: skip
        studies.settle_state(connection, study_uid, now)


# ── what follows ──


def same_images_since(connection: Connection, study_uid: str, version: int) -> int:
    """The first version whose images an engine cannot tell from those of `version`.

    Between the two, nothing came or went, all that was corrected says whose the images are, and no result
    was taken back as wrong.
    """
    first = version
    while first > 1:
        of = [
            row.is_renaming
            for row in connection.execute(
                select(_correction.c.is_renaming).where(
                    _correction.c.study_instance_uid == study_uid,
                    _correction.c.study_version == first,
                    _correction.c.kind.in_(_BEGINS),
                )
            )
        ]
        came = connection.execute(
            select(func.count()).where(
                _instance.c.study_instance_uid == study_uid,
                _instance.c.study_version == first,
                _instance.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
            )
        ).scalar_one()
        taken_back = studies.is_retracted(connection, study_uid, first - 1)
        if came or not of or not all(of) or taken_back:
            return first
        first -= 1
    return first


def locked(connection: Connection, study_uid: str) -> Row[Any]:
    """The row of a study, which nobody else changes before the end of the transaction."""
    return connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).one()


def add(connection: Connection, study_uid: str, version: int, now: datetime, **values: Any) -> int:
    """Write a correction; give its number."""
    row = {"keywords": [], "is_renaming": False, "path": "", "code": ""} | values
    done = connection.execute(
        insert(_correction).values(study_instance_uid=study_uid, study_version=version, at=now, **row)
    )
    key: Any = done.inserted_primary_key
    return int(key[0])


def retract(
    connection: Connection, study_uid: str, code: str, now: datetime, *, earlier_only: bool
) -> Retracted:
    """Take back the results of a study, or only those of its earlier versions."""
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
        text = sentences.retracted(count, destinations, code, earlier_only=earlier_only)
        events.append(
            connection, study_uid, now, "results.retracted", text,
            version=version, objects=count, code=code, destinations=", ".join(destinations),
        )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return Retracted(objects=count, destinations=destinations, ended=ended)

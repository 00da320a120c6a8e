"""Instances enter the journal: each once, whatever is repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, func, insert, select, update

from dicomnode.journal import events, feedback, of_another, priors, schema, sentences, superseding
from dicomnode.journal.records import Arriving, Note, ReadIds
from dicomnode.journal.studies import GROUP
from dicomnode.journal.study_state import StudyState
from dicomnode.values import Instance, Sender

Entry = tuple[Instance, ReadIds]

# Key Object Selection Document Storage: rejection notes are such, and notes on key images
KEY_OBJECTS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
# What speaks of images and is none: no engine has more to look at when it comes
NO_IMAGES: Final = feedback.ANNOTATIONS | {KEY_OBJECTS}

_instance: Final = schema.instance
_object: Final = schema.result_object
_series: Final = schema.series
_study: Final = schema.study


def add(
    connection: Connection, items: Iterable[Entry], now: datetime, arrivals: Iterable[priors.Arrival]
) -> None:
    """Enter instances, with their studies and series; those known already change nothing.

    Nor do the results of a study that an archive sends back: they are told, and no part of what is analysed.
    arrivals: of the images among what came, also of those of which an earlier file was kept.
    """
    by_study: dict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in items:
        by_study[entry[0].study_instance_uid].setdefault(entry[0].sop_instance_uid, entry)
    came: dict[str, list[priors.Arrival]] = defaultdict(list)
    for arrival in arrivals:
        came[arrival.study_instance_uid].append(arrival)
    for study_uid, entries in by_study.items():
        prior = priors.kept_as_prior(connection, study_uid, came[study_uid], now)
        known = _among(connection, _instance, study_uid, list(entries))
        own = _among(connection, _object, study_uid, [uid for uid in entries if uid not in known])
        events.append_once(connection, [(study_uid, _returned(uid)) for uid in sorted(own)], now)
        new = [entry for uid, entry in entries.items() if uid not in known | own]
        if new:
            _add_to_study(connection, study_uid, new, now, prior)


def _among(connection: Connection, table: Table, study_uid: str, uids: Sequence[str]) -> set[str]:
    """Those of the instances that the table, of instances or of our own objects, has of the study."""
    found: set[str] = set()
    for start in range(0, len(uids), GROUP):
        found.update(
            connection.execute(
                select(table.c.sop_instance_uid).where(
                    table.c.study_instance_uid == study_uid,
                    table.c.sop_instance_uid.in_(uids[start : start + GROUP]),
                )
            ).scalars()
        )
    return found


def _returned(uid: str) -> Note:
    return Note(what="object.returned", text=sentences.returned(), facts={"sop_instance_uid": uid})


def _add_to_study(
    connection: Connection,
    study_uid: str,
    new: Sequence[Entry],
    now: datetime,
    prior: priors.ExpectedPrior | None,
) -> None:
    row = connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).first()
    rejected = _rejected_before(connection, study_uid, new)
    late = len(rejected)
    to_analyse = _to_analyse(new, rejected)
    if row is None:
        version = _begin_study(connection, study_uid, new, now, prior)
    elif prior is not None or (row.complete_at is not None and not to_analyse):
        version = row.version  # what a note sets aside begins one by itself; what others say of it, none
    elif of_another.since(connection, study_uid) is not None:
        version = row.version
        text = sentences.came_taken_back(to_analyse)
        events.append(
            connection, study_uid, now, "study.stays_taken_back", text, version=version, instances=to_analyse
        )
    else:
        version = _continue_study(connection, row, new, now)
    _add_series(connection, study_uid, new)
    connection.execute(insert(_instance), [_row(instance, version) for instance, _ in new])
    _note_namesakes(connection, study_uid, [instance.sop_instance_uid for instance, _ in new], now)
    came = [(it.sop_instance_uid, it.sop_class_uid) for it, _ in new if it.sop_instance_uid not in rejected]
    feedback.ask(connection, study_uid, version, came, now)
    if late:
        text = sentences.came_rejected(late)
        events.append(connection, study_uid, now, "instances.rejected", text, instances=late, version=version)


def _to_analyse(new: Sequence[Entry], rejected: Collection[str]) -> int:
    """How much there is to look at: what is set aside is not, nor is what speaks of images."""
    return sum(
        instance.sop_class_uid not in NO_IMAGES and instance.sop_instance_uid not in rejected
        for instance, _ in new
    )


def _rejected_before(connection: Connection, study_uid: str, new: Sequence[Entry]) -> set[str]:
    """Give the instances that come after the note that rejects them."""
    table = schema.rejected.c
    rejected = connection.execute(
        select(table.sop_instance_uid).where(table.study_instance_uid == study_uid)
    ).scalars()
    return {instance.sop_instance_uid for instance, _ in new}.intersection(rejected)


def _begin_study(
    connection: Connection,
    study_uid: str,
    new: Sequence[Entry],
    now: datetime,
    prior: priors.ExpectedPrior | None,
) -> int:
    first = min((instance for instance, _ in new), key=lambda instance: instance.received_at)
    connection.execute(
        insert(_study).values(
            study_instance_uid=study_uid,
            accession_number=_accession(new),
            version=1,
            **({"state": StudyState.RECEIVING} if prior is None else priors.closed_as_prior(prior, now)),
            calling_ae=first.sender.calling_ae,
            first_received_at=first.received_at,
            last_received_at=max(instance.received_at for instance, _ in new),
            last_added_at=now,
        )
    )
    calling_ae = first.sender.calling_ae
    if prior is None:
        what, text = "study.receiving", sentences.first_instance(calling_ae)
    else:
        what, text = "study.prior", sentences.first_of_prior(calling_ae, prior.wanted_by)
    events.append(connection, study_uid, now, what, text, calling_ae=calling_ae)
    return 1


def _continue_study(connection: Connection, row: Row[Any], new: Sequence[Entry], now: datetime) -> int:
    version: int = row.version
    values: dict[str, Any] = {
        "last_received_at": max(row.last_received_at, *(instance.received_at for instance, _ in new)),
        "last_added_at": max(row.last_added_at, now),
        "accession_number": row.accession_number or _accession(new),
    }
    if row.shortfall is not None:
        # Something of what was missing has come: what is missing now is for the next look to say
        values |= {"shortfall": None, "state": StudyState.RECEIVING, "reason": None}
    if row.complete_at is not None:
        version, changed = next_version(connection, row, now)
        values |= changed
        text = sentences.more_instances(len(new), version)
        events.append(
            connection,
            row.study_instance_uid,
            now,
            "study.receiving",
            text,
            version=version,
            instances=len(new),
        )
    connection.execute(
        update(_study).where(_study.c.study_instance_uid == row.study_instance_uid).values(values)
    )
    return version


def next_version(connection: Connection, row: Row[Any], now: datetime) -> tuple[int, dict[str, Any]]:
    """End what is under way of a study that was complete; give its next version, and what its row says then.

    Of one that is still being received, the version stays, and nothing changes.
    """
    version: int = row.version
    if row.complete_at is None:
        return version, {}
    version += 1
    superseding.supersede(connection, row.study_instance_uid, version, now)
    return version, {
        "version": version,
        "state": StudyState.RECEIVING,
        "reason": None,
        "complete_at": None,
        "complete_evidence": None,
        "shortfall": None,
    }


def _accession(new: Sequence[Entry]) -> str:
    return next((ids.accession_number for _, ids in new if ids.accession_number), "")


def _add_series(connection: Connection, study_uid: str, new: Sequence[Entry]) -> None:
    known = set(
        connection.execute(
            select(_series.c.series_instance_uid).where(_series.c.study_instance_uid == study_uid)
        ).scalars()
    )
    rows = {
        instance.series_instance_uid: {
            "study_instance_uid": study_uid,
            "series_instance_uid": instance.series_instance_uid,
            "modality": ids.modality,
        }
        for instance, ids in new
        if instance.series_instance_uid not in known
    }
    if rows:
        connection.execute(insert(_series), list(rows.values()))


def _note_namesakes(connection: Connection, study_uid: str, uids: Sequence[str], now: datetime) -> None:
    """Say in the log when another study has instances of these UIDs: it may be the same study, renamed."""
    counts: dict[str, int] = defaultdict(int)
    for start in range(0, len(uids), GROUP):
        query = (
            select(_instance.c.study_instance_uid, func.count())
            .where(
                _instance.c.sop_instance_uid.in_(uids[start : start + GROUP]),
                _instance.c.study_instance_uid != study_uid,
            )
            .group_by(_instance.c.study_instance_uid)
        )
        for other, count in connection.execute(query):
            counts[other] += count
    for other, count in sorted(counts.items()):
        text = sentences.also_in(count, other)
        events.append(connection, study_uid, now, "study.namesakes", text, other=other, instances=count)


def _row(instance: Instance, version: int) -> dict[str, Any]:
    return described(instance) | {
        "study_instance_uid": instance.study_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "series_instance_uid": instance.series_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "study_version": version,
        "first_received_at": instance.received_at,
    }


def described(instance: Instance) -> dict[str, Any]:
    """What a row says of the file of an instance, which a correction replaces."""
    return {
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "path": str(instance.path),
        "size": instance.size,
        "digest": instance.digest,
        "received_at": instance.received_at,
        "calling_ae": instance.sender.calling_ae,
        "called_ae": instance.sender.called_ae,
        "address": instance.sender.address,
    }


def arriving(connection: Connection) -> list[Arriving]:
    """Studies that are not complete, the one that began first first."""
    rows = connection.execute(
        select(_study.c.study_instance_uid, _study.c.last_added_at)
        .where(_study.c.state.in_([StudyState.RECEIVING, StudyState.INCOMPLETE]))
        .order_by(_study.c.first_received_at, _study.c.study_instance_uid)
    )
    return [Arriving(row.study_instance_uid, row.last_added_at) for row in rows]


def series_of(connection: Connection, study_uid: str, uids: Collection[str]) -> set[str]:
    """The series of those of these instances that the study has."""
    named = set(uids)
    rows = connection.execute(
        select(_instance.c.sop_instance_uid, _instance.c.series_instance_uid).where(
            _instance.c.study_instance_uid == study_uid
        )
    )
    return {row.series_instance_uid for row in rows if row.sop_instance_uid in named}


def classes_of(connection: Connection, study_uid: str) -> dict[str, str]:
    """SOP Class UID of each instance of a study, set aside or not: by SOP Instance UID."""
    rows = connection.execute(
        select(_instance.c.sop_instance_uid, _instance.c.sop_class_uid).where(
            _instance.c.study_instance_uid == study_uid
        )
    )
    return {row.sop_instance_uid: row.sop_class_uid for row in rows}


def marks(connection: Connection, study_uid: str) -> dict[str, tuple[str, int]]:
    """Digest and size of the file of each instance of a study, as they are known: by SOP Instance UID."""
    rows = connection.execute(
        select(_instance.c.sop_instance_uid, _instance.c.digest, _instance.c.size).where(
            _instance.c.study_instance_uid == study_uid
        )
    )
    return {row.sop_instance_uid: (row.digest, row.size) for row in rows}


def of_study(connection: Connection, study_uid: str) -> list[Instance]:
    """The instances of a study, in the order of their arrival; without those that were rejected."""
    aside = select(schema.rejected.c.sop_instance_uid).where(
        schema.rejected.c.study_instance_uid == study_uid
    )
    rows = connection.execute(
        select(_instance)
        .where(_instance.c.study_instance_uid == study_uid, _instance.c.sop_instance_uid.not_in(aside))
        .order_by(_instance.c.received_at, _instance.c.sop_instance_uid)
    )
    return [
        Instance(
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            study_instance_uid=row.study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            path=Path(row.path),
            size=row.size,
            digest=row.digest,
            received_at=row.received_at,
            sender=Sender(calling_ae=row.calling_ae, called_ae=row.called_ae, address=row.address),
        )
        for row in rows
    ]

"""Priors: studies that were fetched for others, kept and not analysed themselves; and who was given which."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from dicomnode.faults import FETCHED_AS_PRIOR
from dicomnode.journal import events, of_another, schema, sentences
from dicomnode.journal.records import NewTask
from dicomnode.journal.study_state import StudyState
from dicomnode.values import Sender

_correction: Final = schema.correction
_given: Final = schema.given_prior
_prior: Final = schema.prior
_study: Final = schema.study

EVIDENCE: Final = "it was fetched as a prior"
# Whose a study is, as far as it is asked before it is taken for a prior
WHOSE: Final = frozenset({"PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"})
LOST: Final = "prior"  # kind of correction
# Keys of an analysis task's payload, with the name of the input between the two
_OF_INPUT: Final = "prior."
_STUDY: Final = ".study"
_SERIES: Final = ".series"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPrior:
    """An earlier study that is fetched. wanted_by: the study that it is a prior of.

    What comes of it and was not fetched makes it a study of its own. calling_ae: of the archive that was
    asked. until: end of a C-MOVE; what that archive sends until then was fetched, too: the Move Originator AE
    Title, which would say so, is optional.
    """

    study_instance_uid: str
    wanted_by: str
    calling_ae: str
    until: datetime


class Arrival(NamedTuple):
    """That something came of a study, whatever was kept of it."""

    study_instance_uid: str
    sender: Sender
    received_at: datetime


def expect(connection: Connection, prior: ExpectedPrior) -> bool:
    """Say that a study is fetched as a prior; False when it is here as a study of its own."""
    uid = prior.study_instance_uid
    marked = mark(connection, uid)
    there = connection.execute(select(_study.c.version).where(_study.c.study_instance_uid == uid)).first()
    if there is not None and marked is None:
        return False
    values = {"wanted_by": prior.wanted_by, "calling_ae": prior.calling_ae, "until": prior.until}
    if marked is None:
        connection.execute(insert(_prior).values(study_instance_uid=uid, **values))
    else:
        connection.execute(update(_prior).where(_prior.c.study_instance_uid == uid).values(**values))
    return True


def mark(connection: Connection, study_uid: str) -> ExpectedPrior | None:
    """What is known of a study as a prior; None for one that is none."""
    row = connection.execute(select(_prior).where(_prior.c.study_instance_uid == study_uid)).first()
    if row is None:
        return None
    return ExpectedPrior(
        study_instance_uid=row.study_instance_uid,
        wanted_by=row.wanted_by,
        calling_ae=row.calling_ae,
        until=row.until,
    )


def kept_as_prior(
    connection: Connection, study_uid: str, arrivals: Sequence[Arrival], now: datetime
) -> ExpectedPrior | None:
    """Tell whether what has come belongs to a prior; what was not fetched makes it a study of its own."""
    marked = mark(connection, study_uid)
    if marked is None:
        return None
    others = [one for one in arrivals if not _is_fetched(one, marked)]
    if not others:
        return marked
    connection.execute(delete(_prior).where(_prior.c.study_instance_uid == study_uid))
    row = connection.execute(select(_study.c.version).where(_study.c.study_instance_uid == study_uid)).first()
    # What was taken back as of the wrong patient stays so, whoever sends it
    if row is not None and of_another.since(connection, study_uid) is None:
        connection.execute(
            update(_study)
            .where(_study.c.study_instance_uid == study_uid)
            .values(
                version=row.version + 1,
                state=StudyState.RECEIVING,
                calling_ae=others[0].sender.calling_ae,
                reason=None,
                complete_at=None,
                complete_evidence=None,
                last_received_at=max(one.received_at for one in others),
                last_added_at=now,
            )
        )
        text = sentences.prior_sent(others[0].sender.calling_ae)
        events.append(connection, study_uid, now, "study.receiving", text, version=row.version + 1)
    return None


def corrected_since(connection: Connection, study_uid: str, version: int) -> frozenset[str]:
    """Keywords of what was corrected in a study since a version, also while that was worked on."""
    rows = connection.execute(
        select(_correction.c.keywords).where(
            _correction.c.study_instance_uid == study_uid, _correction.c.study_version >= version
        )
    )
    return frozenset(keyword for row in rows for keyword in row.keywords)


def note_given(connection: Connection, analysis: NewTask) -> None:
    """Write which series of earlier studies the payload of a new analysis names: `prior.<input>.study`."""
    named = {
        (str(uid), str(analysis.payload[f"{name.removesuffix(_STUDY)}{_SERIES}"]))
        for name, uid in analysis.payload.items()
        if name.startswith(_OF_INPUT) and name.endswith(_STUDY)
    }
    for study_uid, series_uid in sorted(named):
        connection.execute(
            insert(_given).values(
                study_instance_uid=analysis.study_instance_uid,
                study_version=analysis.study_version,
                engine=analysis.engine or "",
                prior_study_uid=study_uid,
                prior_series_uid=series_uid,
            )
        )


def given(
    connection: Connection, study_uid: str, series_uids: Collection[str], *, take_out: bool
) -> dict[str, set[tuple[int, str]]]:
    """Which analyses were given these series of a study: (version, engine) by study.

    take_out: they are forgotten, as what follows of it is done once.
    """
    rows = [
        row
        for row in connection.execute(select(_given).where(_given.c.prior_study_uid == study_uid)).all()
        if row.prior_series_uid in series_uids
    ]
    found: dict[str, set[tuple[int, str]]] = {}
    for row in rows:
        found.setdefault(row.study_instance_uid, set()).add((row.study_version, row.engine))
        if take_out:
            connection.execute(
                delete(_given).where(*(column == getattr(row, column.name) for column in _given.c))
            )
    return found


def lost_since(connection: Connection, study_uid: str, version: int) -> bool:
    """Whether a prior of a study, in this version of it or an earlier one, may not be used any more."""
    found = connection.execute(
        select(_correction.c.id)
        .where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.study_version > version,
            _correction.c.kind == LOST,
        )
        .limit(1)
    ).first()
    return found is not None


def _is_fetched(arrival: Arrival, prior: ExpectedPrior) -> bool:
    if arrival.sender.fetched:
        return True
    return arrival.sender.calling_ae == prior.calling_ae and arrival.received_at <= prior.until


def closed_as_prior(prior: ExpectedPrior, now: datetime) -> dict[str, object]:
    """The columns of a study that nobody completes, dispatches or analyses."""
    return {
        "state": StudyState.REFUSED,
        "reason": FETCHED_AS_PRIOR.text(study=prior.wanted_by),
        "complete_at": now,
        "complete_evidence": EVIDENCE,
    }

"""Lost priors: earlier studies that results were made with, and that are not what they were then.

What was made with a prior of somebody else, or with images that were rejected, is taken back. What an engine
saw otherwise than it is now is made again, as it is where an image of the study itself is corrected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Connection, select

from dicomnode.journal import events, priors, retraction, schema, sentences, studies
from dicomnode.journal.versions import CorrectionKind, add, locked, reopen

if TYPE_CHECKING:
    from dicomnode.journal.corrections import HeaderCorrection

_UNSAFE: Final = "113037"
# An archive writes it into all that it has, where the scanner wrote none: that makes it nobody else's
_NO_OTHER: Final = frozenset({"IssuerOfPatientID"})


class _Lost(NamedTuple):
    """Why a prior is not what it was, and the code, of CID 7010, by which results are taken back.

    code "": they are made again, and stay until then.
    """

    why: str
    code: str = ""


def lose_rejected_prior(
    connection: Connection, prior_uid: str, series_uids: Collection[str], code: str, now: datetime
) -> None:
    """Take back what was made with these series of a study: images of it were rejected, by this code."""
    _lose(connection, prior_uid, series_uids, _Lost(f"has images that were rejected (DCM {code})", code), now)


def lose_corrected_prior(
    connection: Connection, study_uid: str, news: Sequence[HeaderCorrection], now: datetime
) -> None:
    """A study whose headers say now that it is somebody else's was no prior of those that it was given to.

    Where they say otherwise what an engine may see, it was not the prior that it is.
    """
    whose = [(one.instance.series_instance_uid, _whose(one)) for one in news]
    said: set[str] = set().union(*(keywords for _, keywords in whose))
    lost = _Lost(f"was corrected in {', '.join(sorted(said))}", _UNSAFE)
    _lose(connection, study_uid, {series for series, keywords in whose if keywords}, lost, now)
    seen = {one.instance.series_instance_uid for one in news if not one.is_renaming}
    _lose(connection, study_uid, seen, _Lost("was corrected in what an engine may see"), now)


def lose_wrong_prior(connection: Connection, study_uid: str, now: datetime) -> None:
    """Take back what was made with a study that turns out to be of the wrong patient or order."""
    series = schema.series.c
    found = select(series.series_instance_uid).where(series.study_instance_uid == study_uid)
    lost = _Lost("was taken back as of the wrong patient or order", _UNSAFE)
    _lose(connection, study_uid, set(connection.execute(found).scalars()), lost, now)


def _whose(correction: HeaderCorrection) -> frozenset[str]:
    """Keywords by which a corrected image may be somebody else's."""
    return (priors.WHOSE & {*correction.keywords}) - correction.as_told - (_NO_OTHER & correction.added)


def _lose(
    connection: Connection, prior_uid: str, series_uids: Collection[str], lost: _Lost, now: datetime
) -> None:
    """Do again the studies whose results were made with these series; take the results back if need be.

    Results that stand until they are made again stay known as made with them: they may be lost once more.
    """
    of = priors.given(connection, prior_uid, series_uids, take_out=bool(lost.code))
    for study_uid, made in sorted(of.items()):
        before: int = locked(connection, study_uid).version
        is_present = any(version == before for version, _ in made)
        if studies.is_retracted(connection, study_uid, before) or not (is_present or lost.code):
            continue
        version = reopen(connection, study_uid, now) if is_present else before
        number = add(
            connection, study_uid, version, now,
            kind=CorrectionKind.PRIOR, code=lost.code, is_renaming=True,
        )  # fmt: skip
        count = 0
        if lost.code:
            withdrawal = retraction.Withdrawal(number, version, lost.code, of=frozenset(made))
            count, _ = retraction.withdraw(connection, study_uid, withdrawal, now)
        text = sentences.prior_lost(prior_uid, lost.why, count, version if is_present else None)
        what = "study.prior_withdrawn" if lost.code else "study.prior_corrected"
        events.append(
            connection, study_uid, now, what, text,
            version=version, prior=prior_uid, objects=count, code=lost.code or None,
        )  # fmt: skip
        studies.settle_state(connection, study_uid, now)

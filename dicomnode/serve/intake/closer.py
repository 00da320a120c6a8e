"""The closer: looks at the studies that are open, asks who can be asked, and closes what is complete."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from dicomnode.faults import STUDY_INCOMPLETE
from dicomnode.journal import Closing, Journal, OpenStudy, StudyRecord
from dicomnode.serve.intake.completeness import (
    Decision,
    Facts,
    Policy,
    Step,
    completeness,
    evidence_records,
    facts_of,
)
from dicomnode.settings import Settings

log = structlog.get_logger("dicomnode.serve")

# So long nothing must have come before anything is decided: an association sends faster than that
_SETTLED_S: Final = 2.0
_FORGET_EVERY: Final = timedelta(hours=1)
_NOTICES_KEPT: Final = timedelta(days=30)


class Closer:
    """Carries out what `completeness` decides. lane: the priority of what follows, for a study."""

    def __init__(self, settings: Settings, journal: Journal, lane: Callable[[StudyRecord], int]) -> None:
        self._journal = journal
        self._lane = lane
        self._queries = settings.query
        self._expectations = settings.expect
        self._policy = Policy.of(settings.assemble)
        waits_s = [query.ask_after_s for query in settings.query]
        self._settled_s = min(_SETTLED_S, self._policy.quiet_time_s, *waits_s)
        self._forget_at: datetime | None = None

    def turn(
        self,
        now: datetime,
        waiting: Callable[[], Collection[str]] = tuple,
        arriving: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Look at every open study once, but for those of which files wait: they may be what is missing.

        waiting: gives their UIDs; it is asked only if there is something to do. arriving: gives the UIDs of
        what open associations bring. Raises NodeError when the journal fails, or the disk.
        """
        if self._forget_at is None or now >= self._forget_at:
            self._journal.forget_notices(now - _NOTICES_KEPT)
            self._forget_at = now + _FORGET_EVERY
        not_yet: Collection[str] | None = None
        studies = self._journal.open_studies(now - timedelta(seconds=self._settled_s))
        # Asked between the journal and `incoming/`: an association says what it brings before it seals an
        # image of that, and seals none after it has ended. So none is overlooked whose images the journal
        # has, and of one that has ended every image is in the journal or waits
        arriving_now = arriving() if studies else ()
        for study in studies:
            facts = replace(
                facts_of(study, self._queries, self._expectations),
                arriving=study.study.study_instance_uid in arriving_now,
            )
            decision = completeness(facts, now, self._policy)
            if decision.step is Step.WAIT or _is_known(study, decision):
                continue
            if not_yet is None:
                not_yet = waiting()
            if study.study.study_instance_uid not in not_yet:
                self._do(study, facts, decision, now)

    def _do(self, study: OpenStudy, facts: Facts, decision: Decision, now: datetime) -> None:
        if decision.step is Step.ASK:
            lane = self._lane(study.study)
            self._journal.ask_sources(study.study, decision.ask, now, priority=lane)
        elif decision.step is Step.MISSING:
            self._mark(study, self._closing(facts, decision, now), now)
        elif decision.step in (Step.COMPLETE, Step.INCOMPLETE):
            closing = self._closing(facts, decision, now)
            self._close(study, replace(closing, priority=self._lane(study.study)), now)

    def _closing(self, facts: Facts, decision: Decision, now: datetime) -> Closing:
        return Closing(
            evidence=decision.evidence,
            last_arrival=facts.last_arrival,
            evidences=evidence_records(facts, decision, now),
            shortfall=decision.shortfall,
            then=self._policy.incomplete,
        )

    def _mark(self, study: OpenStudy, closing: Closing, now: datetime) -> None:
        uid = study.study.study_instance_uid
        if self._journal.mark_incomplete(uid, closing, now):
            log.warning(
                "study.incomplete",
                code=STUDY_INCOMPLETE.code,
                study=uid,
                version=study.study.version,
                shortfall=closing.shortfall,
            )

    def _close(self, study: OpenStudy, closing: Closing, now: datetime) -> None:
        uid = study.study.study_instance_uid
        version = self._journal.close_study(uid, closing, now)
        if version is None:
            return
        facts = {"study": uid, "version": version, "count": study.study.instances}
        if closing.shortfall is None:
            log.info("study.complete", evidence=closing.evidence, **facts)
        else:
            log.warning(
                "study.closed_incomplete",
                code=STUDY_INCOMPLETE.code,
                shortfall=closing.shortfall,
                then=closing.then,
                **facts,
            )


def _is_known(study: OpenStudy, decision: Decision) -> bool:
    """Whether it was said before that just this is missing."""
    return decision.step is Step.MISSING and decision.shortfall == study.study.shortfall

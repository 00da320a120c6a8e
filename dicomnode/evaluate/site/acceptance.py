"""Counts and times of an engine at a site, and what was answered to it. No files, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any, Final

import numpy as np

from dicomnode.evaluate.feedback import JudgementKind, last_words
from dicomnode.evaluate.figures import Figure, counted, share
from dicomnode.journal import FeedbackRecord

FEW_STUDIES: Final = 100
"""Below so many studies the page says that there are few: a site's acceptance looks at the first hundred."""

_LOW, _HIGH = 50.0, 95.0


class SiteState(StrEnum):
    """What became of a study in the hands of an engine."""

    ANALYSED = "analysed"
    REFUSED = "refused"  # it was wanted, and could not be looked at: a document says why
    FAILED = "failed"  # a person is needed, or the analysis broke
    NOT_WANTED = "not wanted"  # nothing of the study is what the engine takes
    WAITING = "waiting"  # not done yet


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCase:
    """One study. code: why it was refused or failed. found: segments and regions, None unless analysed.

    wait_s: from the last image until the result was there, seconds; work_s: from when it was wanted. version:
    of the engine that looked at it, "" of none.
    """

    study_instance_uid: str
    came_at: datetime
    state: SiteState
    code: str = ""
    found: int | None = None
    wait_s: float | None = None
    work_s: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTimes:
    """Seconds: median, 95th percentile (linear between cases) and the most. cases: that were measured."""

    cases: int
    p50_s: float
    p95_s: float
    most_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAcceptance:
    """How an engine fares at a site.

    engine, mode: its name, and "live", "shadow" or "off" as configured now. cases: the first studies that it
    was asked about, the oldest first. records: last words of people on findings in these studies.
    """

    engine: str
    mode: str
    cases: tuple[SiteCase, ...]
    records: tuple[FeedbackRecord, ...]
    made_at: datetime
    node_version: str

    def count(self, state: SiteState) -> int:
        """How many studies came to this."""
        return sum(case.state is state for case in self.cases)

    @property
    def codes(self) -> Mapping[tuple[SiteState, str], int]:
        """How many were refused and failed, by code."""
        wanted = (SiteState.REFUSED, SiteState.FAILED)
        found = Counter((case.state, case.code or "-") for case in self.cases if case.state in wanted)
        return dict(sorted(found.items()))

    @property
    def versions(self) -> Mapping[str, int]:
        """Studies that each version of the engine looked at."""
        return dict(sorted(Counter(case.version for case in self.cases if case.version).items()))

    @property
    def wait(self) -> SiteTimes | None:
        """From the last image until the result was there; None where nothing was analysed."""
        return _times([case.wait_s for case in self.cases if case.wait_s is not None])

    @property
    def work(self) -> SiteTimes | None:
        """From when the analysis was wanted until its result was there: waiting for others, and the work."""
        return _times([case.work_s for case in self.cases if case.work_s is not None])

    @property
    def found(self) -> Sequence[int]:
        """Segments and regions of each study that was analysed."""
        return [case.found for case in self.cases if case.found is not None]

    @property
    def answered(self) -> int:
        """Studies that somebody has said something of."""
        return len({one.study_instance_uid for one in self.records})

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Agreement with those who answered: shares with their counts, by finding."""
        of = Counter(one.kind for one in self.records)
        kept = of[JudgementKind.ACCEPTED] + of[JudgementKind.CHANGED]
        judged, there = kept + of[JudgementKind.REJECTED], kept + of[JudgementKind.MISSED]
        outlines = [one.dice for one in self.records if one.dice is not None]
        dice = (
            Figure(name="median_dice", value=median(outlines))
            if outlines
            else Figure(name="median_dice", value=None, reason="no outlines were compared")
        )
        nobody = "nobody has answered one"
        return (
            share("left_as_it_was", of[JudgementKind.ACCEPTED], judged, nobody),
            share("right_in_kind", kept, judged, nobody),
            share("found_of_what_is_there", kept, there, nobody),
            dice,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must not be overlooked."""
        return tuple(_warnings(self))

    def to_document(self) -> dict[str, Any]:
        """All of it as JSON; the same keys always, null where there is nothing. No patient, no reader."""
        return {
            "schema": 1,
            "engine": self.engine,
            "mode": self.mode,
            "versions": dict(self.versions),
            "warnings": list(self.warnings),
            "studies": len(self.cases),
            "states": {str(state): self.count(state) for state in SiteState},
            "codes": [
                {"state": str(state), "code": code, "studies": count}
                for (state, code), count in self.codes.items()
            ],
            "seconds_from_last_image": _times_document(self.wait),
            "seconds_from_wanted": _times_document(self.work),
            "findings_per_study": None if not self.found else sum(self.found) / len(self.found),
            "studies_with_findings": sum(count > 0 for count in self.found),
            "answered_studies": self.answered,
            "answers": {str(kind): sum(one.kind == kind for one in self.records) for kind in JudgementKind},
            "agreement": [
                {
                    "name": one.name,
                    "value": one.value,
                    "part": one.part,
                    "whole": one.whole,
                    "reason": one.reason or None,
                }
                for one in self.figures
            ],
            "cases": [_case_document(case) for case in self.cases],
            "node_version": self.node_version,
            "made_at": self.made_at.isoformat(timespec="seconds"),
        }


def accept(
    cases: Sequence[SiteCase],
    records: Sequence[FeedbackRecord],
    *,
    engine: tuple[str, str],
    made_at: datetime,
    node_version: str,
) -> SiteAcceptance:
    """Judge the studies. engine: its name and mode. records: all feedback; that of other studies goes."""
    uids = {case.study_instance_uid for case in cases}
    told = [one for one in last_words(records) if one.study_instance_uid in uids and one.engine == engine[0]]
    return SiteAcceptance(
        engine=engine[0],
        mode=engine[1],
        cases=tuple(cases),
        records=tuple(told),
        made_at=made_at,
        node_version=node_version,
    )


def _times(seconds: Sequence[float]) -> SiteTimes | None:
    if not seconds:
        return None
    low, high = np.percentile(seconds, [_LOW, _HIGH])
    return SiteTimes(cases=len(seconds), p50_s=float(low), p95_s=float(high), most_s=max(seconds))


def _warnings(of: SiteAcceptance) -> list[str]:
    told = []
    if len(of.cases) < FEW_STUDIES:
        told.append(f"Only {counted(len(of.cases), 'study', 'studies')}: all of this may be far off.")
    if len(of.versions) > 1:
        named = ", ".join(f"{version}: {count}" for version, count in of.versions.items())
        told.append(f"Several versions of the engine looked at these studies ({named}): they are one here.")
    if of.count(SiteState.FAILED):
        told.append(f"{counted(of.count(SiteState.FAILED), 'study', 'studies')} failed.")
    analysed = of.count(SiteState.ANALYSED)
    if analysed and of.answered == 0:
        told.append("Nobody has answered any result: this says nothing of whether they are right.")
    elif of.answered < analysed:
        told.append(
            f"{of.answered} of {analysed} analysed studies were answered, and who answers is no random "
            "sample: agreement speaks of these alone."
        )
    return told


def _times_document(times: SiteTimes | None) -> dict[str, Any] | None:
    if times is None:
        return None
    return {"cases": times.cases, "p50": times.p50_s, "p95": times.p95_s, "most": times.most_s}


def _case_document(case: SiteCase) -> dict[str, Any]:
    return {
        "study_instance_uid": case.study_instance_uid,
        "came_at": case.came_at.isoformat(),
        "state": str(case.state),
        "code": case.code or None,
        "found": case.found,
        "seconds_from_last_image": case.wait_s,
        "seconds_from_wanted": case.work_s,
        "engine_version": case.version or None,
    }

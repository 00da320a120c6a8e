"""How an engine fares with doctors over time: a month, an engine and version, what became of its findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from dicomnode.evaluate.feedback.judgement import JudgementKind
from dicomnode.journal import FeedbackRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What doctors said in a month of one version of an engine.

    month: "2026-03", in UTC. studies: of which something was said. dice: median of the outlines that were
    compared, None where there was none.
    """

    engine: str
    version: str
    month: str
    studies: int
    accepted: int = 0
    changed: int = 0
    rejected: int = 0
    missed: int = 0
    dice: float | None = None


def last_words(records: Iterable[FeedbackRecord]) -> list[FeedbackRecord]:
    """Leave out what somebody has said anew: of each finding the last word counts.

    What was missed is told by the last object of its class alone: the one before it was corrected.
    """
    ordered = sorted(records, key=lambda one: (one.at, one.their_uid, one.finding))
    newest: dict[tuple[str, ...], str] = {}
    words: dict[tuple[str, ...], FeedbackRecord] = {}
    for one in ordered:
        newest[one.study_instance_uid, one.engine, one.their_class_uid] = one.their_uid
        words[one.study_instance_uid, one.engine, one.finding] = one
    return [
        one
        for one in ordered
        if words[one.study_instance_uid, one.engine, one.finding] is one
        and (
            one.kind != JudgementKind.MISSED
            or newest[one.study_instance_uid, one.engine, one.their_class_uid] == one.their_uid
        )
    ]


def by_month(records: Iterable[FeedbackRecord]) -> list[Month]:
    """Count the last words by engine, version and month, in that order."""
    groups: dict[tuple[str, str, str], list[FeedbackRecord]] = defaultdict(list)
    for one in last_words(records):
        groups[one.engine, one.engine_version, f"{one.at:%Y-%m}"].append(one)
    return [_month(key, groups[key]) for key in sorted(groups)]


def _month(key: tuple[str, str, str], group: list[FeedbackRecord]) -> Month:
    engine, version, month = key
    counts = Counter(one.kind for one in group)
    outlines = [one.dice for one in group if one.dice is not None]
    return Month(
        engine=engine,
        version=version,
        month=month,
        studies=len({one.study_instance_uid for one in group}),
        accepted=counts[JudgementKind.ACCEPTED],
        changed=counts[JudgementKind.CHANGED],
        rejected=counts[JudgementKind.REJECTED],
        missed=counts[JudgementKind.MISSED],
        dice=median(outlines) if outlines else None,
    )

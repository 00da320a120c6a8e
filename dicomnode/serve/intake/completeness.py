"""When a study is complete: one pure function of what is known of it, the time, and the policy.

No number alone proves it. What names images of a study (a procedure step, a commitment request, an
availability notification) or counts them (a peer that was asked) keeps it open while something of that is
missing. It closes a study early only if it speaks of all of it: a count, or a procedure step that was
completed, when no other step is in progress and every image here is named by somebody. Requests and
notifications come one a series as well, and a step that was discontinued is often done again: that all they
name is here says nothing of the rest. Where nobody speaks of all of it, the quiet time decides, once no open
association brings it any more: while one does, more may come, and only the longest wait ends that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicomnode.journal import EvidenceKind, EvidenceRecord, NoticeKind, OpenStudy, Said
from dicomnode.journal.closing import Incomplete
from dicomnode.journal.evidence import Unit
from dicomnode.settings import AssembleSettings, ExpectSettings, QuerySettings

_SAYS: Final[Mapping[EvidenceKind, str]] = {
    EvidenceKind.COUNT: "by the count of {source}",
    EvidenceKind.STEP: "by the procedure step of {source}",
    EvidenceKind.COMMITMENT: "by the commitment request of {source}",
    EvidenceKind.AVAILABILITY: "by the availability notification of {source}",
    EvidenceKind.EXPECTED: "by rule {source}",
}
# PS3.3 C.4.14 (0040,0252); DISCONTINUED is as final as COMPLETED: what it made, it names
_COMPLETED: Final = "COMPLETED"
_FINAL_STEPS: Final = (_COMPLETED, "DISCONTINUED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long is waited, and what is done then; see [assemble]."""

    quiet_time_s: float
    longest_wait_s: float
    incomplete: Incomplete = "analyse"

    @classmethod
    def of(cls, settings: AssembleSettings) -> Policy:
        """The policy of dicomnode.toml; what is missing is waited for no shorter than anything else is."""
        return cls(
            quiet_time_s=settings.quiet_time_s,
            longest_wait_s=max(settings.longest_wait_s, settings.quiet_time_s),
            incomplete=settings.incomplete,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a source says of the study.

    expected, here: how many there should be and are, in `unit`. whole: it speaks of all of the study, so that
    nothing more is to come when all of that is here. final: more is not to be said; not so of a step in
    progress.
    """

    kind: EvidenceKind
    source: str
    expected: int
    here: int
    unit: Unit = "images"
    whole: bool = True
    final: bool = True
    note: str = ""

    @property
    def short(self) -> bool:
        """Whether something of what it names or counts is missing."""
        return self.final and self.here < self.expected

    @property
    def met(self) -> bool:
        """Whether all of the study is here by it."""
        return self.final and self.whole and 0 < self.expected <= self.here

    @property
    def text(self) -> str:
        """For people: "127 of 180 images, by the count of PACS1"."""
        words = f"{self.here} of {self.expected} {self.unit}, {_SAYS[self.kind].format(source=self.source)}"
        return f"{words} ({self.note})" if self.note else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A peer that can be asked. asked: a task is under way; answered: it said something, or why not."""

    name: str
    ask_after_s: float
    asked: bool = False
    answered: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a study that is not closed. arriving: an association is open that brings it."""

    last_arrival: datetime
    claims: Sequence[Claim] = ()
    sources: Sequence[Source] = ()
    arriving: bool = False


class Step(StrEnum):
    """What is to be done with the study."""

    WAIT = "wait"
    ASK = "ask"  # the sources in `ask`
    MISSING = "missing"  # say that it is incomplete, and wait on
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # close it without the rest, as the policy says


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, and why.

    evidence: as the end of a sentence. deciding: the claims that decided. shortfall: what is missing.
    """

    step: Step
    evidence: str = ""
    deciding: tuple[Claim, ...] = ()
    by_clock: EvidenceKind | None = None
    ask: tuple[str, ...] = ()
    shortfall: str | None = None


_WAIT: Final = Decision(step=Step.WAIT)


def completeness(facts: Facts, now: datetime, policy: Policy) -> Decision:
    """Decide. The clock counts from the last image: as long as images come, nothing is late."""
    quiet_s = (now - facts.last_arrival).total_seconds()
    short = tuple(claim for claim in facts.claims if claim.short)
    still_open = tuple(claim for claim in facts.claims if not claim.final)
    met = tuple(claim for claim in facts.claims if claim.met)
    if met and not short and not still_open:
        return Decision(step=Step.COMPLETE, evidence=_join(met), deciding=met)
    ask = tuple(
        source.name
        for source in facts.sources
        if not (source.asked or source.answered) and quiet_s >= min(source.ask_after_s, policy.quiet_time_s)
    )
    if ask:
        return Decision(step=Step.ASK, ask=ask)
    over = quiet_s >= policy.longest_wait_s
    awaited = any(source.asked and not source.answered for source in facts.sources)
    if quiet_s < policy.quiet_time_s or ((awaited or facts.arriving) and not over):
        return _WAIT
    if short:
        return _lacking(short, policy, over=over)
    return _by_clock(facts, still_open, policy, over=over)


def _lacking(short: tuple[Claim, ...], policy: Policy, *, over: bool) -> Decision:
    shortfall = _join(short)
    if not over:
        return Decision(step=Step.MISSING, evidence=shortfall, deciding=short, shortfall=shortfall)
    return Decision(
        step=Step.INCOMPLETE,
        evidence=f"nothing new for {policy.longest_wait_s:g} s, the longest wait; {shortfall}",
        deciding=short,
        by_clock=EvidenceKind.WAIT,
        shortfall=shortfall,
    )


def _by_clock(facts: Facts, still_open: tuple[Claim, ...], policy: Policy, *, over: bool) -> Decision:
    """Nobody says that anything is missing, and nobody says that all is here."""
    if still_open and not over:
        return _WAIT
    longest = bool(still_open or facts.arriving)
    kind = EvidenceKind.WAIT if longest else EvidenceKind.QUIET
    waited_s = policy.longest_wait_s if longest else policy.quiet_time_s
    parts = [f"nothing new for {waited_s:g} s"]
    parts += ["an association that brought it is still open"] if facts.arriving else []
    parts += [f"the procedure step of {claim.source} is still in progress" for claim in still_open]
    parts += [claim.text for claim in facts.claims if claim.note and not claim.short]
    parts += [source.problem for source in facts.sources if source.problem]
    return Decision(step=Step.COMPLETE, evidence="; ".join(parts), deciding=still_open, by_clock=kind)


def _join(claims: Sequence[Claim]) -> str:
    return "; ".join(dict.fromkeys(claim.text for claim in claims))


def facts_of(
    study: OpenStudy, queries: Sequence[QuerySettings], expectations: Sequence[ExpectSettings]
) -> Facts:
    """Bring what the journal knows of a study, and what dicomnode.toml wants of it, into one form."""
    calling_ae = study.study.calling_ae
    wanted = [query for query in queries if _is_for(query.senders, calling_ae)]
    whole = {query.name: query.whole_study for query in wanted}
    claims = [
        _said(said, study.unnamed) for said in study.said if said.expected or said.kind is NoticeKind.STEP
    ]
    answers = {answer.source: answer for answer in study.answers}
    # Our own results are no images of the study: neither missing, nor there for one that is
    there = {name: _without(answer.series, study.own_series) for name, answer in answers.items()}
    here = _without(study.series, study.own_series)
    claims += [counted(name, there[name], here, whole=whole[name]) for name in whole if there.get(name)]
    claims += [
        _expected(rule, study.modalities) for rule in expectations if _is_for(rule.senders, calling_ae)
    ]
    sources = [
        Source(
            name=query.name,
            ask_after_s=query.ask_after_s,
            asked=query.name in study.asked,
            answered=query.name in answers,
            problem=_problem(answers[query.name].problem, query.name, there[query.name])
            if query.name in answers
            else "",
        )
        for query in wanted
    ]
    return Facts(last_arrival=study.last_arrival, claims=tuple(claims), sources=tuple(sources))


def _without(series: Mapping[str, int], own: frozenset[str]) -> dict[str, int]:
    return {uid: count for uid, count in series.items() if uid not in own}


def _is_for(senders: Sequence[str], calling_ae: str) -> bool:
    return not senders or calling_ae in {title.strip() for title in senders}


def _problem(problem: str, source: str, series: Mapping[str, int]) -> str:
    if problem:
        return f"{source} did not answer: {problem}"
    return "" if series else f"{source} does not know the study"


def _said(said: Said, unnamed: int) -> Claim:
    """What a notice says. unnamed: images here that no notice names: of these, there may be more to come."""
    completed = said.kind is NoticeKind.STEP and said.status == _COMPLETED
    return Claim(
        kind=EvidenceKind(said.kind.value),
        source=said.source,
        expected=said.expected,
        here=said.here,
        whole=completed and not unnamed,
        final=said.kind is not NoticeKind.STEP or said.status in _FINAL_STEPS,
        note=f"{unnamed} more here that nobody names" if completed and unnamed else "",
    )


def counted(source: str, there: Mapping[str, int], here: Mapping[str, int], *, whole: bool) -> Claim:
    """Compare what a peer has with what is here, series by series: a surplus in one does not fill another.

    whole: whether series of which nothing came are missing, too. If not, they do not make the study
    incomplete, but it is not known to be complete either.
    """
    wanted = {uid: count for uid, count in there.items() if whole or uid in here}
    not_begun = len(there) - len(wanted)
    note = f"{not_begun} more series there of which nothing came" if not_begun else ""
    return Claim(
        kind=EvidenceKind.COUNT,
        source=source,
        expected=sum(wanted.values()),
        here=sum(min(count, here.get(uid, 0)) for uid, count in wanted.items()),
        whole=not not_begun,
        note=note,
    )


def _expected(rule: ExpectSettings, modalities: Sequence[str]) -> Claim:
    wanted, there = Counter(rule.modalities), Counter(modalities)
    return Claim(
        kind=EvidenceKind.EXPECTED,
        source=rule.name,
        expected=wanted.total(),
        here=(wanted & there).total(),
        unit="series",
        whole=False,  # it says what must be there, not that nothing else is to come
    )


def evidence_records(facts: Facts, decision: Decision, now: datetime) -> list[EvidenceRecord]:
    """What is kept of a decision: every claim, and the clock where that decided."""
    records: dict[tuple[EvidenceKind, str], EvidenceRecord] = {}
    for claim in facts.claims:
        decided = claim in decision.deciding
        before = records.get((claim.kind, claim.source))
        if before is not None and before.decided and not decided:
            continue  # of several steps of one sender, that which decided
        records[claim.kind, claim.source] = EvidenceRecord(
            kind=claim.kind,
            source=claim.source,
            text=claim.text,
            found_at=now,
            expected=claim.expected,
            here=claim.here,
            unit=claim.unit,
            decided=decided,
        )
    if decision.by_clock is not None:
        record = EvidenceRecord(
            kind=decision.by_clock, source="", text=decision.evidence, found_at=now, decided=True
        )
        records[record.kind, ""] = record
    return list(records.values())

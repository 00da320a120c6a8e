"""From the journal and the kept Findings to the cases of a site's acceptance."""

from __future__ import annotations

from datetime import datetime

from dicomnode.evaluate.site.acceptance import SiteAcceptance, SiteCase, SiteState, accept
from dicomnode.faults import SITE_NOTHING, NodeError
from dicomnode.journal import AskedAnalysis, AskedStudy, FeedbackQuery, Journal, TaskState
from dicomnode.store import load_findings
from dicomnode.values import Findings, Outcome, Progress


def site_acceptance(
    journal: Journal,
    engine: tuple[str, str],
    first: int,
    *,
    made_at: datetime,
    node_version: str,
    progress: Progress,
) -> SiteAcceptance:
    """Gather the first studies that an engine was asked about. engine: its name and mode.

    Progress: "reading findings", studies. Raises NodeError: SITE_NOTHING, FINDINGS_UNREADABLE.
    """
    asked = journal.asked_studies(engine[0], first)
    if not asked:
        raise NodeError(SITE_NOTHING, engine=engine[0])
    cases = []
    for done, study in enumerate(asked):
        progress("reading findings", done, len(asked))
        cases.append(_case(study))
    progress("reading findings", len(asked), len(asked))
    records = journal.feedback(FeedbackQuery(engine=engine[0]))
    return accept(cases, records, engine=engine, made_at=made_at, node_version=node_version)


def _case(study: AskedStudy) -> SiteCase:
    """Sum up the analyses of a study: it has failed where one has, and waits where one does."""
    kept = [load_findings(one.findings) for one in study.analyses if one.findings is not None]
    state, code = _ended(study.analyses, kept)
    found_at = [one.found_at for one in study.analyses if one.found_at is not None]
    is_done = state is SiteState.ANALYSED and bool(found_at)
    return SiteCase(
        study_instance_uid=study.study_instance_uid,
        came_at=study.first_received_at,
        state=state,
        code=code,
        found=sum(len(one.segments) + len(one.regions) for one in kept) if is_done else None,
        wait_s=_since(study.analyses[0].images_at, max(found_at)) if is_done else None,
        work_s=_since(study.analyses[0].asked_at, max(found_at)) if is_done else None,
        version=kept[0].provenance.version if kept else "",
    )


def _ended(analyses: tuple[AskedAnalysis, ...], kept: list[Findings]) -> tuple[SiteState, str]:
    if not analyses:
        return SiteState.NOT_WANTED, ""
    for one in analyses:
        if one.state is TaskState.PARKED:
            return SiteState.FAILED, one.error_code or ""
    if any(one.state is not TaskState.DONE for one in analyses):
        return SiteState.WAITING, ""
    broken = [one for one in kept if one.outcome is Outcome.FAILED]
    if broken:
        return SiteState.FAILED, _code(broken[0])
    looked = [one for one in kept if one.outcome is not Outcome.NOT_ANALYSED]
    if not looked:
        return SiteState.REFUSED, _code(kept[0]) if kept else ""
    return SiteState.ANALYSED, ""


def _code(findings: Findings) -> str:
    return next((one.code for one in findings.remarks if one.code), "")


def _since(first: datetime, last: datetime) -> float:
    """Seconds; clocks of two processes may differ by a little: never below 0."""
    return max((last - first).total_seconds(), 0.0)

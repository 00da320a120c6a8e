"""When a study is complete: the decision over every combination of evidence, clock and policy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.journal import EvidenceKind, NoticeKind, OpenStudy, Said, SourceAnswer, StudyRecord, StudyState
from dicomnode.serve.intake.completeness import (
    Claim,
    Facts,
    Policy,
    Source,
    Step,
    completeness,
    counted,
    evidence_records,
    facts_of,
)
from dicomnode.settings import AssembleSettings, ExpectSettings, QuerySettings

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(quiet_time_s=60.0, longest_wait_s=3600.0)

CLAIMS: Mapping[str, Claim] = {
    "met": Claim(kind=EvidenceKind.COUNT, source="PACS1", expected=180, here=180),
    "more": Claim(kind=EvidenceKind.COUNT, source="PACS2", expected=170, here=180),
    "short": Claim(kind=EvidenceKind.COMMITMENT, source="CT1", expected=180, here=127),
    "open": Claim(kind=EvidenceKind.STEP, source="CT1", expected=0, here=0, final=False),
    "part": Claim(
        kind=EvidenceKind.COUNT, source="PACS3", expected=180, here=180, whole=False, note="1 more"
    ),
    "nothing": Claim(kind=EvidenceKind.STEP, source="CT2", expected=0, here=0),
}
SOURCES: Mapping[str, tuple[Source, ...]] = {
    "nobody": (),
    "unasked": (Source(name="PACS1", ask_after_s=5.0),),
    "asked": (Source(name="PACS1", ask_after_s=5.0, asked=True),),
    "silent": (Source(name="PACS1", ask_after_s=5.0, answered=True, problem="PACS1 did not answer"),),
    "answered": (Source(name="PACS1", ask_after_s=5.0, answered=True),),
}
# Seconds since the last image: before anybody is asked, before the quiet time, after it, at the longest wait
QUIET_S = (3.0, 30.0, 60.0, 3600.0)


def facts(claims: Sequence[str] = (), sources: str = "nobody", *, arriving: bool = False) -> Facts:
    known = [CLAIMS[name] for name in claims]
    return Facts(last_arrival=NOON, claims=known, sources=SOURCES[sources], arriving=arriving)


def decide(
    claims: Sequence[str], sources: str, quiet_s: float, policy: Policy = POLICY, *, arriving: bool = False
):
    return completeness(facts(claims, sources, arriving=arriving), NOON + timedelta(seconds=quiet_s), policy)


# evidence, who can be asked → the step at each of QUIET_S
TABLE = [
    ("", "nobody", "wait wait complete complete"),
    ("", "unasked", "wait ask ask ask"),
    ("", "asked", "wait wait wait complete"),
    ("", "silent", "wait wait complete complete"),
    ("", "answered", "wait wait complete complete"),
    ("met", "nobody", "complete complete complete complete"),
    ("met", "unasked", "complete complete complete complete"),
    ("more", "answered", "complete complete complete complete"),
    ("short", "nobody", "wait wait missing incomplete"),
    ("short", "unasked", "wait ask ask ask"),
    ("short", "asked", "wait wait wait incomplete"),
    ("short", "answered", "wait wait missing incomplete"),
    ("open", "nobody", "wait wait wait complete"),
    ("open", "answered", "wait wait wait complete"),
    ("part", "answered", "wait wait complete complete"),
    ("nothing", "nobody", "wait wait complete complete"),
    ("met short", "nobody", "wait wait missing incomplete"),
    ("met open", "nobody", "wait wait wait complete"),
    ("met part", "nobody", "complete complete complete complete"),
    ("short open", "nobody", "wait wait missing incomplete"),
    ("met short open", "answered", "wait wait missing incomplete"),
]


@pytest.mark.parametrize(
    ("claims", "sources", "steps"), TABLE, ids=[f"{c or 'none'}, {s}" for c, s, _ in TABLE]
)
def test_what_is_done_as_the_quiet_grows(claims: str, sources: str, steps: str) -> None:
    found = [decide(claims.split(), sources, quiet_s).step.value for quiet_s in QUIET_S]
    assert found == steps.split()


# The same while an association is open that brings the study
ARRIVING_TABLE = [
    ("", "nobody", "wait wait wait complete"),
    ("", "unasked", "wait ask ask ask"),
    ("", "asked", "wait wait wait complete"),
    ("", "silent", "wait wait wait complete"),
    ("met", "nobody", "complete complete complete complete"),
    ("more", "answered", "complete complete complete complete"),
    ("short", "nobody", "wait wait wait incomplete"),
    ("short", "answered", "wait wait wait incomplete"),
    ("open", "nobody", "wait wait wait complete"),
    ("part", "answered", "wait wait wait complete"),
    ("nothing", "nobody", "wait wait wait complete"),
    ("met short", "nobody", "wait wait wait incomplete"),
    ("met open", "nobody", "wait wait wait complete"),
]


@pytest.mark.parametrize(
    ("claims", "sources", "steps"), ARRIVING_TABLE, ids=[f"{c or 'none'}, {s}" for c, s, _ in ARRIVING_TABLE]
)
def test_p1_while_an_association_brings_it_only_evidence_or_the_longest_wait_ends_a_study(
    claims: str, sources: str, steps: str
) -> None:
    found = [decide(claims.split(), sources, quiet_s, arriving=True).step.value for quiet_s in QUIET_S]
    assert found == steps.split()


EVERY = [
    (claims, sources, quiet_s)
    for count in range(len(CLAIMS) + 1)
    for claims in itertools.combinations(CLAIMS, count)
    for sources in SOURCES
    for quiet_s in QUIET_S
]


def test_every_combination_is_as_the_rules_say_in_other_words() -> None:
    assert len(EVERY) == 2 ** len(CLAIMS) * len(SOURCES) * len(QUIET_S)
    for claims, sources, quiet_s in EVERY:
        step = decide(claims, sources, quiet_s).step
        all_here = ("met" in claims or "more" in claims) and not {"short", "open"} & {*claims}
        if all_here:
            expected = Step.COMPLETE
        elif sources == "unasked" and quiet_s >= 5:
            expected = Step.ASK
        elif quiet_s < 60 or (sources == "asked" and quiet_s < 3600):
            expected = Step.WAIT
        elif "short" in claims:
            expected = Step.MISSING if quiet_s < 3600 else Step.INCOMPLETE
        elif "open" in claims and quiet_s < 3600:
            expected = Step.WAIT
        else:
            expected = Step.COMPLETE
        assert step is expected, (claims, sources, quiet_s)


def test_p1_an_open_association_turns_what_the_quiet_time_decides_into_waiting_and_nothing_else() -> None:
    for claims, sources, quiet_s in EVERY:
        without, step = (decide(claims, sources, quiet_s, arriving=a).step for a in (False, True))
        by_quiet_time = (
            without in (Step.COMPLETE, Step.MISSING) and decide(claims, sources, 3.0).step != without
        )
        waits = by_quiet_time and quiet_s < POLICY.longest_wait_s
        assert step is (Step.WAIT if waits else without), (claims, sources, quiet_s)


def test_no_study_is_forgotten_after_the_longest_wait() -> None:
    for claims, sources, _ in EVERY:
        if sources != "unasked":  # who can be asked is asked, and that ends
            for arriving in (False, True):
                step = decide(claims, sources, 3600.0, arriving=arriving).step
                assert step in (Step.COMPLETE, Step.INCOMPLETE)


def test_a_study_that_lacks_something_is_never_called_complete() -> None:
    for claims, sources, quiet_s in EVERY:
        if "short" in claims:
            decision = decide(claims, sources, quiet_s)
            assert decision.step is not Step.COMPLETE
            assert (decision.shortfall is not None) == (decision.step in (Step.MISSING, Step.INCOMPLETE))


def test_p3_the_evidence_that_decided_is_named() -> None:
    by_count = decide(["met"], "answered", 6.0)
    assert by_count.evidence == "180 of 180 images, by the count of PACS1"
    assert [claim.source for claim in by_count.deciding] == ["PACS1"]
    by_clock = decide([], "nobody", 61.0)
    assert (by_clock.evidence, by_clock.by_clock) == ("nothing new for 60 s", EvidenceKind.QUIET)
    silent = decide([], "silent", 61.0)
    assert silent.evidence == "nothing new for 60 s; PACS1 did not answer"
    late = decide(["open"], "nobody", 3601.0)
    assert late.by_clock is EvidenceKind.WAIT
    assert late.evidence == "nothing new for 3600 s; the procedure step of CT1 is still in progress"
    held = decide([], "nobody", 3601.0, arriving=True)
    assert held.by_clock is EvidenceKind.WAIT
    assert held.evidence == "nothing new for 3600 s; an association that brought it is still open"
    lacking = decide(["met", "short"], "answered", 3601.0)
    assert lacking.shortfall == "127 of 180 images, by the commitment request of CT1"
    assert lacking.evidence == f"nothing new for 3600 s, the longest wait; {lacking.shortfall}"
    kept = evidence_records(facts(["met", "short"]), lacking, NOON)
    assert [(one.kind.value, one.source, one.decided) for one in kept] == [
        ("count", "PACS1", False), ("commitment", "CT1", True), ("wait", "", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "here", "whole", "found"),
    [
        ({"1": 100, "2": 80}, {"1": 100, "2": 80}, False, (180, 180, True)),
        ({"1": 100, "2": 80}, {"1": 100, "2": 27}, False, (180, 127, True)),
        ({"1": 100, "2": 80}, {"1": 100}, False, (100, 100, False)),
        ({"1": 100, "2": 80}, {"1": 100}, True, (180, 100, True)),
        ({"1": 100, "2": 80}, {"1": 120, "2": 60}, False, (180, 160, True)),  # no surplus fills a gap
        ({"1": 100}, {"1": 100, "9": 5}, False, (100, 100, True)),  # what came from elsewhere
    ],
    ids=["all", "short", "a series not begun", "a series wanted", "a surplus elsewhere", "more here"],
)
def test_a_count_is_compared_series_by_series(there, here, whole, found) -> None:
    claim = counted("PACS1", there, here, whole=whole)
    assert (claim.expected, claim.here, claim.whole) == found


@pytest.mark.parametrize("whole", [True, False])
def test_our_own_results_at_the_peer_are_no_images_that_are_missing(whole) -> None:
    query = QuerySettings(name="PACS1", ae_title="PACS1", host="h", port=104, whole_study=whole)
    here = {"1.2.3.1": 100, "1.2.3.2": 27}

    def claims(there: Mapping[str, int]):
        answer = SourceAnswer(source="PACS1", images_here=127, found_at=NOON, series=there)
        return facts_of(study(answers=(answer,), own_series=frozenset({"2.25.7"})), (query,), ())

    (claim,) = claims({**here, "2.25.7": 2}).claims
    assert (claim.expected, claim.here, claim.whole, claim.note) == (127, 127, True, "")
    (short,) = claims({**here, "1.2.3.1": 102, "2.25.7": 2}).claims
    assert short.short, "they do not stand for what is missing either"
    nothing = claims({"2.25.7": 2})
    assert nothing.claims == ()
    assert nothing.sources[0].problem == "PACS1 does not know the study"


def study(**more) -> OpenStudy:
    record = StudyRecord(
        study_instance_uid="1.2.3", accession_number="A17", state=StudyState.RECEIVING, version=1,
        instances=127, series=2, modalities=("CT", "PT"), calling_ae="CT1",
        first_received_at=NOON, last_received_at=NOON, complete_evidence=None, reason=None, progress=None,
    )  # fmt: skip
    given = {
        "last_arrival": NOON, "series": {"1.2.3.1": 100, "1.2.3.2": 27}, "modalities": ("CT", "PT"),
        "answers": (), "said": (), "unnamed": 0, "asked": frozenset(),
        "own_series": frozenset(),
    }  # fmt: skip
    return OpenStudy(study=record, **{**given, **more})


def said(status: str, expected: int = 180, here: int = 127, kind: NoticeKind = NoticeKind.STEP) -> Said:
    return Said(
        kind=kind, uid="1.9", source="CT1", status=status, expected=expected, here=here, found_at=NOON
    )


@pytest.mark.parametrize(
    ("status", "final"), [("IN PROGRESS", False), ("COMPLETED", True), ("DISCONTINUED", True), ("", False)]
)
def test_a_procedure_step_is_final_when_it_has_ended(status: str, final: bool) -> None:
    (claim,) = facts_of(study(said=(said(status),)), (), ()).claims
    assert claim.final is final
    assert claim.short is final


# Everything that a notice of 5 images can say of the 5 that are here; "short" names 6
NOTICES: Mapping[str, Said] = {
    "completed": said("COMPLETED", 5, 5),
    "completed, short": said("COMPLETED", 6, 5),
    "discontinued": said("DISCONTINUED", 5, 5),
    "in progress": said("IN PROGRESS", 5, 5),
    "commitment": said("", 5, 5, NoticeKind.COMMITMENT),
    "commitment, short": said("", 6, 5, NoticeKind.COMMITMENT),
    "availability": said("", 5, 5, NoticeKind.AVAILABILITY),
    "availability, short": said("", 6, 5, NoticeKind.AVAILABILITY),
}


def test_every_combination_of_notices_closes_at_once_only_by_an_ended_step_that_leaves_nothing_open() -> None:
    combinations = [
        (names, unnamed)
        for count in range(len(NOTICES) + 1)
        for names in itertools.combinations(NOTICES, count)
        for unnamed in (0, 1)
    ]
    assert len(combinations) == 2 * 2 ** len(NOTICES)
    for names, unnamed in combinations:
        known = facts_of(study(said=tuple(NOTICES[name] for name in names), unnamed=unnamed), (), ())
        found = [completeness(known, NOON + timedelta(seconds=s), POLICY).step.value for s in QUIET_S]
        short = any(name.endswith("short") for name in names)
        if "completed" in names and not (short or unnamed or "in progress" in names):
            expected = "complete complete complete complete"
        elif short:
            expected = "wait wait missing incomplete"
        elif "in progress" in names:
            expected = "wait wait wait complete"
        else:
            expected = "wait wait complete complete"
        assert found == expected.split(), (names, unnamed)


def test_an_ended_step_that_leaves_an_image_unnamed_says_so_and_the_quiet_time_decides() -> None:
    known = facts_of(study(said=(NOTICES["completed"],), unnamed=1), (), ())
    decision = completeness(known, NOON + timedelta(seconds=60), POLICY)
    assert decision.by_clock is EvidenceKind.QUIET
    assert decision.evidence == (
        "nothing new for 60 s; 5 of 5 images, by the procedure step of CT1 (1 more here that nobody names)"
    )


def test_a_count_closes_a_study_at_once_whatever_its_notices_leave_unnamed() -> None:
    answer = SourceAnswer(source="a", images_here=127, found_at=NOON, series={"1.2.3.1": 100, "1.2.3.2": 27})
    query = QuerySettings(name="a", ae_title="A", host="h")
    for name, notice in NOTICES.items():
        known = facts_of(study(said=(notice,), unnamed=1, answers=(answer,)), (query,), ())
        at_once = completeness(known, NOON + timedelta(seconds=3), POLICY).step is Step.COMPLETE
        assert at_once == (name != "in progress" and not name.endswith("short")), name


def test_only_the_sources_of_a_sender_are_asked_about_its_studies() -> None:
    queries = (
        QuerySettings(name="a", senders=("CT1",), ae_title="A", host="h"),
        QuerySettings(name="b", senders=("CT2",), ae_title="B", host="h"),
        QuerySettings(name="c", url="http://h"),
    )
    answer = SourceAnswer(source="a", images_here=127, found_at=NOON, series={"1.2.3.2": 30})
    silent = SourceAnswer(source="c", images_here=127, found_at=NOON, problem="DN-2001 …")
    found = facts_of(study(answers=(answer, silent), asked=frozenset({"c"})), queries, ())
    assert [(s.name, s.asked, s.answered, s.problem) for s in found.sources] == [
        ("a", False, True, ""), ("c", True, True, "c did not answer: DN-2001 …"),
    ]  # fmt: skip
    assert [(c.source, c.expected, c.here) for c in found.claims] == [("a", 30, 27)]


def test_a_source_that_does_not_know_the_study_says_nothing_of_it() -> None:
    answer = SourceAnswer(source="a", images_here=127, found_at=NOON)
    found = facts_of(study(answers=(answer,)), (QuerySettings(name="a", ae_title="A", host="h"),), ())
    assert found.claims == ()
    assert found.sources[0].problem == "a does not know the study"


def test_a_rule_says_which_series_must_be_there() -> None:
    rules = (
        ExpectSettings(name="pet-ct", modalities=("CT", "PT")),
        ExpectSettings(name="two", senders=("CT1",), modalities=("PT", "PT")),
        ExpectSettings(name="other", senders=("MR1",), modalities=("MR",)),
    )
    claims = facts_of(study(), (), rules).claims
    assert [(c.source, c.here, c.expected, c.short, c.met) for c in claims] == [
        ("pet-ct", 2, 2, False, False), ("two", 1, 2, True, False),
    ]  # fmt: skip
    assert claims[1].text == "1 of 2 series, by rule two"


def test_the_longest_wait_is_no_shorter_than_the_quiet_time() -> None:
    assert Policy.of(AssembleSettings(quiet_time_s=7200.0)).longest_wait_s == 7200.0
    assert Policy.of(AssembleSettings()).longest_wait_s == 3600.0

"""The state of a study, from what is known of its latest version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.journal import StudyState, TaskKind, TaskState
from dicomnode.journal.sentences import STUDY, of_study
from dicomnode.journal.study_state import StudyFacts, TaskFact, study_reason, study_state


def tasks(words: str) -> list[TaskFact]:
    """ "dispatch:done analyse:running" """
    pairs = (word.split(":") for word in words.split())
    return [TaskFact(kind=TaskKind(kind), state=TaskState(state)) for kind, state in pairs]


CASES = [
    ("", 0, "complete"),
    ("dispatch:ready", 0, "complete"),
    ("dispatch:running", 0, "complete"),
    ("dispatch:retry", 0, "complete"),
    ("fetch:running", 0, "complete"),
    ("dispatch:done", 0, "refused"),
    ("dispatch:parked", 0, "failed"),
    ("dispatch:done analyse:ready", 0, "queued"),
    ("dispatch:done analyse:waiting", 0, "queued"),
    ("dispatch:done analyse:retry", 0, "queued"),
    ("dispatch:done analyse:running", 0, "analysing"),
    ("dispatch:done analyse:running analyse:ready", 0, "analysing"),
    ("dispatch:done analyse:done analyse:ready", 0, "analysing"),
    ("dispatch:done analyse:done report:ready", 0, "analysing"),
    ("dispatch:done report:ready", 0, "analysing"),
    ("dispatch:done report:running", 0, "analysing"),
    ("dispatch:done analyse:parked analyse:ready", 0, "queued"),
    ("dispatch:done analyse:parked analyse:running", 0, "analysing"),
    ("dispatch:done analyse:parked analyse:done", 0, "failed"),
    ("dispatch:done analyse:parked report:ready", 0, "analysing"),  # what says that it failed
    ("dispatch:done analyse:done report:parked", 0, "failed"),
    ("dispatch:done analyse:done report:done deliver:ready", 2, "delivering"),
    ("dispatch:done analyse:done report:done deliver:running", 2, "delivering"),
    ("dispatch:done analyse:done report:done deliver:retry", 2, "delivering"),
    ("dispatch:done analyse:done report:done deliver:done deliver:ready", 1, "delivering"),
    ("dispatch:done analyse:running report:done deliver:running", 1, "analysing"),
    ("dispatch:done analyse:done report:done deliver:parked", 1, "failed"),
    ("dispatch:done analyse:done report:done deliver:parked deliver:retry", 1, "delivering"),
    ("dispatch:done analyse:done report:done deliver:done", 0, "done"),
    ("dispatch:done analyse:done report:done deliver:done", 1, "unconfirmed"),
    ("dispatch:done analyse:done report:done deliver:done confirm:ready", 0, "unconfirmed"),
    ("dispatch:done analyse:done", 0, "done"),
    ("dispatch:done report:done deliver:done", 0, "done"),
    ("prefetch:running", 0, "complete"),
    ("prefetch:parked dispatch:done analyse:done", 0, "done"),
    ("feedback:parked dispatch:done analyse:done", 0, "done"),
    ("feedback:running dispatch:done analyse:done report:done deliver:done", 0, "done"),
]


@pytest.mark.parametrize(
    ("words", "undelivered", "state"), CASES, ids=[f"{c[0] or 'nothing'} {c[1]}" for c in CASES]
)
def test_a_complete_study_is(words: str, undelivered: int, state: str) -> None:
    assert study_state(StudyFacts(complete=True, tasks=tasks(words), undelivered=undelivered)) == state


some_tasks = st.lists(
    st.builds(TaskFact, kind=st.sampled_from(TaskKind), state=st.sampled_from(TaskState)), max_size=8
)


@given(some_tasks, st.integers(0, 3))
def test_a_study_that_is_not_complete_is_being_received_whatever_else_is(facts, undelivered) -> None:
    assert (
        study_state(StudyFacts(complete=False, tasks=facts, undelivered=undelivered)) is StudyState.RECEIVING
    )


@given(some_tasks, st.integers(0, 3))
def test_a_study_is_done_only_when_nothing_is_open_parked_or_undelivered(facts, undelivered) -> None:
    state = study_state(StudyFacts(complete=True, tasks=facts, undelivered=undelivered))
    deciding = [task for task in facts if task.kind not in (TaskKind.PREFETCH, TaskKind.FEEDBACK)]
    ended = all(task.state in (TaskState.DONE, TaskState.SUPERSEDED) for task in deciding)
    if state is StudyState.DONE:
        assert ended
        assert undelivered == 0
    if any(task.state is TaskState.PARKED for task in deciding) and state is not StudyState.FAILED:
        assert not all(
            task.state in (TaskState.DONE, TaskState.SUPERSEDED, TaskState.PARKED) for task in deciding
        )


@given(some_tasks, st.integers(0, 3), st.randoms())
def test_the_order_of_tasks_decides_nothing(facts, undelivered, random) -> None:
    shuffled = list(facts)
    random.shuffle(shuffled)
    one, other = (
        StudyFacts(complete=True, tasks=order, undelivered=undelivered) for order in (facts, shuffled)
    )
    assert study_state(one) is study_state(other)


@given(some_tasks, st.integers(0, 3), st.booleans())
def test_a_study_whose_results_were_taken_back_is_retracted_whatever_is_under_way(
    facts, undelivered, complete
) -> None:
    taken_back = StudyFacts(complete=complete, tasks=facts, undelivered=undelivered, retracted=True)
    assert study_state(taken_back) is StudyState.RETRACTED


@pytest.mark.parametrize("retracted", [True, False])
def test_results_that_could_not_be_taken_back_need_a_person_whatever_else_is_done(retracted) -> None:
    facts = [
        *tasks("dispatch:done analyse:done report:done deliver:done"),
        TaskFact(kind=TaskKind.REPORT, state=TaskState.PARKED, error_text="it is gone", takes_back=True),
    ]
    of = StudyFacts(complete=True, tasks=facts, retracted=retracted)
    assert (study_state(of), study_reason(of)) == (StudyState.FAILED, "it is gone")


@given(some_tasks, st.sampled_from(TaskState))
def test_work_ahead_decides_nothing(facts, state) -> None:
    more = [*facts, TaskFact(kind=TaskKind.PREFETCH, state=state)]
    assert study_state(StudyFacts(complete=True, tasks=more)) is study_state(
        StudyFacts(complete=True, tasks=facts)
    )


def fact(state: str, text: str | None) -> TaskFact:
    return TaskFact(kind=TaskKind.ANALYSE, state=TaskState(state), error_text=text)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ([], None),
        ([fact("done", None)], None),
        ([fact("done", "no engine")], "no engine"),
        ([fact("done", "no engine"), fact("retry", "busy")], "busy"),
        ([fact("retry", "busy"), fact("parked", "broken")], "broken"),
        ([fact("running", "the last try"), fact("superseded", "old")], None),
    ],
)
def test_the_reason_is_that_of_what_needs_somebody_most(facts, reason: str | None) -> None:
    assert study_reason(StudyFacts(complete=True, tasks=facts)) == reason


def test_every_state_has_its_sentence() -> None:
    assert set(STUDY) == set(StudyState)
    assert of_study(StudyState.FAILED, "The disk is full.") == "The study needs a person. The disk is full."
    assert of_study(StudyState.DONE, "left over") == "All results have arrived."

"""Every pair of state and event: what the table says, and that nothing else can happen."""

from __future__ import annotations

import itertools

import pytest

from dicomnode.journal.schema import metadata, one_of
from dicomnode.journal.transitions import (
    FINISHING,
    TRANSITIONS,
    Event,
    IllegalTransition,
    TaskKind,
    TaskState,
    states_before,
    step,
)

# Rows: states; columns: events. A second writing of the table, for people to compare.
PICTURE = """
             released  claimed  committed  failed  needs_person  given_up  given_back  lease_expired  lost_too_often  retried  reopened  superseded  postponed
waiting      ready     -        -          -       -             -         -           -              -               -        -         superseded  -
ready        -         running  -          -       -             -         -           -              -               -        -         superseded  retry
running      -         -        done       retry   parked        done      ready       ready          parked          -        -         superseded  -
done         -         -        -          -       -             -         -           -              -               -        ready     -           -
retry        -         running  -          -       -             -         -           -              -               ready    -         superseded  retry
parked       -         -        -          -       -             -         -           -              -               ready    -         superseded  -
superseded   -         -        -          -       -             -         -           -              -               -        -         -           -
"""  # noqa: E501


def picture() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in PICTURE.strip().splitlines())
    return {(row[0], event): cell for row in rows for event, cell in zip(head, row[1:], strict=True)}


PAIRS = list(itertools.product(TaskState, Event))


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=[f"{state}-{event}" for state, event in PAIRS])
def test_every_pair_does_what_the_picture_says_or_cannot_happen(state: TaskState, event: Event) -> None:
    expected = picture()[state, event]
    if expected == "-":
        with pytest.raises(IllegalTransition, match=f"{state} cannot be {event}"):
            step(state, event)
    else:
        assert step(state, event) == expected


def test_the_picture_has_every_state_and_event() -> None:
    assert set(picture()) == set(PAIRS)
    assert len(TRANSITIONS) == sum(cell != "-" for cell in picture().values())


def test_a_task_that_has_ended_stays_so_unless_what_followed_wants_it_again() -> None:
    left = {pair for pair in TRANSITIONS if pair[0] in (TaskState.DONE, TaskState.SUPERSEDED)}
    assert left == {(TaskState.DONE, Event.REOPENED)}


def test_every_other_state_has_a_way_to_an_end() -> None:
    reach = {TaskState.DONE}
    while more := {state for (state, _), after in TRANSITIONS.items() if after in reach} - reach:
        reach |= more
    assert reach == set(TaskState) - {TaskState.SUPERSEDED}


def test_only_who_has_a_task_can_end_a_try() -> None:
    for event in FINISHING:
        assert states_before(event) == {TaskState.RUNNING}


def test_the_database_takes_the_words_of_the_enumerations_and_no_others() -> None:
    checks = {
        check.name: str(check.sqltext)
        for check in metadata.tables["task"].constraints
        if hasattr(check, "sqltext")
    }
    assert checks == {"ck_task_kind": one_of("kind", TaskKind), "ck_task_state": one_of("state", TaskState)}
    assert one_of("state", TaskState) == (
        "state IN ('waiting', 'ready', 'running', 'done', 'retry', 'parked', 'superseded')"
    )

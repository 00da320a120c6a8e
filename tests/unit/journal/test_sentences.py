"""Sentences of the event log that depend on how much there is to tell."""

from __future__ import annotations

import pytest

from dicomnode.journal import Event, TaskKind, sentences


def test_a_correction_of_few_attributes_names_them_all():
    told = sentences.corrected(1, ["PatientID", "PatientName"], 2)
    assert "another header: PatientID, PatientName. The old files" in told


def test_a_correction_of_many_attributes_names_the_first_and_private_ones_last():
    private = [f"(0009,10{n:02X})" for n in range(40)]
    told = sentences.corrected(3, [*private, "PatientID"], 2)
    assert told.startswith(
        "3 images came again with the same pixels and another header: PatientID, (0009,1000),"
    )
    assert "(0009,100A) and 29 more. The old files" in told


@pytest.mark.parametrize(
    ("destination", "seeks_prior", "told"),
    [
        ("archives (priors)", True, "The search for an earlier study has started (try 1)."),
        ("PACS1", False, "The query at PACS1 has started (try 1)."),
    ],
)
def test_a_search_for_an_earlier_study_is_called_so(destination: str, seeks_prior: bool, told: str) -> None:
    said = sentences.Said(
        kind=TaskKind.FETCH, engine="growth", destination=destination, attempt=1, seeks_prior=seeks_prior
    )
    assert sentences.of_task(Event.CLAIMED, said) == told


def test_evidence_that_ends_with_a_reason_of_its_own_ends_with_one_point():
    told = sentences.completed(6, 1, "nothing new for 3 s; pacs did not answer: connection refused.")
    assert told.endswith("connection refused.")
    assert not told.endswith("..")

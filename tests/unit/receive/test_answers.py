"""What a sender is told."""

from __future__ import annotations

import pytest
from pynetdicom.status import code_to_category

from dicomnode.faults import BUG, FAULTS, Fault
from dicomnode.receive.answers import SUCCESS, answer_for

_REFUSING = [fault for fault in FAULTS.values() if fault.dimse_status is not None]


@pytest.mark.parametrize("fault", [*_REFUSING, BUG], ids=lambda fault: fault.code)
def test_each_fault_that_refuses_has_a_failure_status_and_a_comment(fault: Fault) -> None:
    answer = answer_for(fault)
    assert code_to_category(answer.status) == "Failure"
    assert answer.comment.startswith(f"{fault.code} ")
    assert len(answer.comment) <= 64


def test_success_says_nothing_more() -> None:
    assert (SUCCESS.status, SUCCESS.comment, SUCCESS.offending) == (0, "", ())

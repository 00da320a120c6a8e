"""Whose the images are that an engine is given: found out before it runs, not by the report after it."""

from __future__ import annotations

from collections.abc import Mapping

from dicomnode.assemble import Stack, encode_headers, other_person
from dicomnode.report import ReportProfile, check_patient
from dicomnode.store.persons import NO_RENAMING, Renaming
from dicomnode.values import Refusal


def check_reportable(stack: Stack, renaming: Renaming = NO_RENAMING) -> None:
    """Refuse images that no report can be made on, since it is not known whose they are.

    renaming: what messages said of the patient. Raises NodeError: SOURCE_HEADER_WRONG and IDENTITY_UNSURE as
    the report does, FILE_UNREADABLE, HEADER_DAMAGED.
    """
    (first,) = encode_headers(stack.headers[:1]).encoded
    check_patient(first, ReportProfile().assumed_character_set, renaming)


def of_two_persons(inputs: Mapping[str, Stack], renaming: Renaming = NO_RENAMING) -> Refusal | None:
    """Refuse stacks, by name of their input, that are not all of one person; priors have their own rule.

    renaming: what messages said of the patient; headers from before a merge are of whom it says.
    """
    headers = [header for stack in inputs.values() for header in stack.headers]
    return other_person(headers, f"between the inputs {', '.join(inputs)}", renaming)

"""The table of faults: every row is complete, and every place that uses one gives it what it wants."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import dicomnode
from dicomnode import faults
from dicomnode.faults import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_MEANINGS,
    EXIT_PARTLY,
    FAULTS,
    FILE_UNREADABLE,
    WEB_SECRET_UNREADABLE,
    WEB_UNREACHABLE,
    Fault,
    NodeError,
    Retry,
    Severity,
)
from dicomnode.values import Refusal

_PACKAGE = Path(dicomnode.__file__).parent
ROWS = faults._TABLE
BY_NAME = {name: value for name, value in vars(faults).items() if isinstance(value, Fault)}

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)

# What nobody may find in a message or a log: attributes of the patient (PS3.3 C.7.1).
_PATIENT = re.compile(r"patient|birth|sex|name_of|person|accession", re.IGNORECASE)

# PS3.7 Annex C: failures that any DIMSE service may answer with.
_GENERAL_FAILURES = {
    0x0105, 0x0106, 0x0110, 0x0111, 0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121,
    0x0122, 0x0123, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213,
}  # fmt: skip


def _examples(row: Fault) -> dict[str, object]:
    """A value of the right kind for every name that the row wants."""
    values: dict[str, object] = {}
    for text in (row.title, row.remedy):
        for _, name, spec, _ in Formatter().parse(text):
            if name:
                number = {"f": 1.5, "X": 0xA700, "d": 3}.get((spec or "")[-1:])
                values[name] = number if number is not None else values.get(name, f"some {name}")
    return values


def test_no_code_is_used_twice() -> None:
    twice = {code: n for code, n in Counter(row.code for row in ROWS).items() if n > 1}
    assert not twice
    assert len(FAULTS) == len(ROWS)


def test_codes_stand_in_the_order_of_their_ranges() -> None:
    thousands = [int(row.code[3]) for row in ROWS]
    assert thousands == sorted(thousands)


def test_every_row_has_a_name_of_its_own() -> None:
    assert {row.code for row in BY_NAME.values()} == {row.code for row in ROWS}
    assert len(BY_NAME) == len(ROWS)
    assert all(name == name.upper() for name in BY_NAME)


@every_row
def test_code_has_a_letter_pair_and_four_digits(row: Fault) -> None:
    assert re.fullmatch(r"DN-[1-9]\d{3}", row.code)
    assert FAULTS[row.code] is row


@every_row
def test_sentences_are_complete_with_their_values(row: Fault) -> None:
    values = _examples(row)
    assert set(values) == row.names()
    for text in (row.text(**values), row.remedy.format(**values)):
        assert not re.search(r"[{}]", text)
        assert text == text.strip()
        assert text[0].isupper() or not text[0].isalpha() or text.startswith("some ")
    assert row.title.endswith(".")
    assert row.remedy[-1] in '.`}"'


@every_row
def test_remedy_says_more_than_the_title(row: Fault) -> None:
    assert len(row.remedy) >= len("Nothing to do.")
    assert row.remedy != row.title


@every_row
def test_values_are_asked_for_by_plain_names(row: Fault) -> None:
    assert all(name.isidentifier() for name in row.names())


@every_row
def test_no_attribute_of_the_patient_is_asked_for(row: Fault) -> None:
    assert not [name for name in row.names() if _PATIENT.search(name)]


@every_row
def test_exit_code_is_a_known_failure(row: Fault) -> None:
    assert row.exit_code in EXIT_MEANINGS
    assert row.exit_code not in (EXIT_DONE, EXIT_PARTLY, EXIT_INTERRUPTED)


@every_row
def test_dimse_status_is_a_refusal_that_the_standard_knows(row: Fault) -> None:
    status = row.dimse_status
    if status is None:
        return
    # PS3.4 Table B.2-1: A7xx out of resources, A9xx data set does not match, Cxxx cannot understand. A
    # warning (Bxxx) would tell the sender that the instance was stored.
    of_storage = status >> 8 in (0xA7, 0xA9) or status >> 12 == 0xC
    assert of_storage or status in _GENERAL_FAILURES
    assert row.code.startswith("DN-1"), "only receiving answers with a status"


@every_row
def test_what_nobody_need_know_needs_nobody(row: Fault) -> None:
    if row.severity is Severity.INFO:
        assert row.retry is Retry.NEVER


@every_row
def test_a_failure_survives_the_border_of_a_process(row: Fault) -> None:
    error = NodeError(row, **_examples(row))
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is NodeError
        assert twin.fault is row
        assert twin.values == error.values
        assert str(twin) == str(error)
        assert twin.remedy == error.remedy


@every_row
def test_a_refusal_carries_code_and_sentence(row: Fault) -> None:
    values = _examples(row)
    refusal = row.refusal(("2.25.1",), **values)
    assert refusal == Refusal(code=row.code, text=row.text(**values), sop_instance_uids=("2.25.1",))
    assert str(NodeError(row, **values)) == f"{row.code} {refusal.text}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            NodeError(FILE_UNREADABLE, path=Path("/var/lib/my node/a.dcm"), error="EIO"),
            "a.dcm cannot be read: EIO.",
        ),
        (
            NodeError(
                WEB_SECRET_UNREADABLE, what="token", name="P", place="file:/etc/my node/key", reason="no"
            ),
            "The token that P wants cannot be read from key: no.",
        ),
        (
            NodeError(WEB_SECRET_UNREADABLE, what="token", name="P", place="credential:KEY", reason="no"),
            "The token that P wants cannot be read from credential:KEY: no.",
        ),
        (
            NodeError(
                WEB_UNREACHABLE,
                name="PACS1",
                url="https://pacs1.example/dicom-web/rs",
                error="'/etc/ssl/site/roots.pem' (file:/run/keys/a) and application/dicom+json or 1/2",
            ),
            (
                "PACS1 (https://pacs1.example/dicom-web/rs) cannot be reached: 'roots.pem' (file:a) and "
                "application/dicom+json or 1/2."
            ),
        ),
    ],
    ids=["path", "place", "credential", "words"],
)
def test_what_travels_into_results_names_no_folder_of_this_machine(error: NodeError, said: str) -> None:
    """A refusal becomes a sentence of the SR; the failure itself, for the log, says where."""
    assert error.refusal.text == said
    assert str(error).endswith(error.fault.text(**error.values))


@every_row
def test_a_missing_value_is_noticed_at_once(row: Fault) -> None:
    wanted = {name for _, name, _, _ in Formatter().parse(row.title) if name}
    values = _examples(row)
    for name in wanted:
        with pytest.raises(KeyError):
            NodeError(row, **{k: v for k, v in values.items() if k != name})


@every_row
def test_rows_are_shown_without_braces(row: Fault) -> None:
    for shown in (row.title_shown, row.remedy_shown):
        assert not re.search(r"[{}]", shown)
    assert all(f"<{name}>" in row.title_shown + row.remedy_shown for name in row.names())


def test_exit_codes_are_those_of_the_documentation() -> None:
    assert set(EXIT_MEANINGS) == {0, 1, 2, 3, 4, 10, 11, 12, 13, 130}
    assert len(set(EXIT_MEANINGS.values())) == len(EXIT_MEANINGS)


@pytest.fixture(scope="module")
def uses() -> list[tuple[str, Fault, set[str], bool]]:
    return list(_uses())


def _uses() -> Iterator[tuple[str, Fault, set[str], bool]]:
    """Place, row, names of the values, raised or not: of each use whose values stand there in full."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
                continue
            function, row = node.func, None
            raised = isinstance(function, ast.Name) and function.id == "NodeError"
            if raised and node.args:
                row = node.args[0]
            elif isinstance(function, ast.Attribute) and function.attr in ("refusal", "text"):
                row = function.value
            if isinstance(row, ast.Name) and row.id in BY_NAME:
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                yield f"{path.relative_to(_PACKAGE)}:{node.lineno} {row.id}", BY_NAME[row.id], given, raised


def test_whoever_uses_a_row_gives_all_that_it_wants(uses) -> None:
    wrong = []
    for place, row, given, raised in uses:
        # A failure also shows its remedy; a refusal travels with the title alone.
        wanted = row.names() if raised else {n for _, n, _, _ in Formatter().parse(row.title) if n}
        if wanted - given:
            wrong.append(f"{place} wants {sorted(wanted - given)}")
    assert not wrong


def test_the_search_for_uses_finds_most_of_them(uses) -> None:
    assert len({row.code for _, row, _, _ in uses}) > len(ROWS) / 2

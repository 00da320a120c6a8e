"""The same pixels with another header: the instance is corrected, and what it was is kept for ever."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.store import Adoption, SealedFile, Store, read_ids
from dicomnode.store import adoption as adopting
from dicomnode.store.history import before
from dicomnode.store.likeness import difference
from tests.unit.store.part10 import IMPLICIT, INSTANCE, NOON, SERIES, STUDY, element, meta, receive

KOS = "1.2.840.10008.5.1.4.1.1.88.59"
LATER = NOON + timedelta(hours=1)


def image(changed: dict[tuple[int, int], tuple[str, bytes]] | None = None, **more: object) -> bytes:
    """A file behind its preamble; `changed` are elements in place of, or beside, those of the first."""
    syntax = str(more.get("syntax", "1.2.840.10008.1.2.1"))
    elements: dict[tuple[int, int], tuple[str, bytes]] = {
        (0x0008, 0x0016): ("UI", str(more.get("sop_class", "1.2.840.10008.5.1.4.1.1.2")).encode()),
        (0x0008, 0x0018): ("UI", INSTANCE.encode()),
        (0x0008, 0x0050): ("SH", b"A17"),
        (0x0008, 0x103E): ("LO", b"Thorax"),
        (0x0010, 0x0010): ("PN", b"Wrong^Name"),
        (0x0010, 0x0020): ("LO", b"P1"),
        (0x0020, 0x000D): ("UI", STUDY.encode()),
        (0x0020, 0x000E): ("UI", SERIES.encode()),
        (0x0028, 0x0010): ("US", struct.pack("<H", 2)),
        (0x0028, 0x1053): ("DS", b"1"),
        (0x7FE0, 0x0010): ("OW", b"\1\2\3\4"),
    }
    if more.get("pixels") is False:
        del elements[0x7FE0, 0x0010]
    elements |= changed or {}
    content = b"".join(
        element(group, number, vr, value, syntax=syntax)
        for (group, number), (vr, value) in sorted(elements.items())
    )
    return meta(sop_class_uid=elements[0x0008, 0x0016][1].decode(), syntax=syntax) + content


NAME = {(0x0010, 0x0010): ("PN", b"Right^Name")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def adopt(store: Store, content: bytes, *, settle: bool = True) -> Adoption:
    sealed: SealedFile = receive(store, content, LATER)
    adoption = store.adopt(sealed, read_ids(sealed.path))
    if settle:
        store.settle(sealed)
    return adoption


def history(store: Store) -> list[bytes]:
    return [path.read_bytes()[128:] for path in sorted((store.root / "history").rglob("*.dcm"))]


def quarantined(store: Store) -> list[str]:
    return sorted(path.parent.name for path in (store.root / "quarantine").rglob("*.dcm"))


def test_a_corrected_name_takes_the_place_of_the_wrong_one_and_the_old_file_is_kept(store: Store) -> None:
    first = adopt(store, image())
    second = adopt(store, image(NAME))
    assert (second.outcome, second.instance.path) == ("corrected", first.instance.path)
    assert second.change is not None
    assert (second.change.keywords, second.change.is_renaming) == (("PatientName",), True)
    assert second.instance.path.read_bytes()[128:] == image(NAME)
    assert (history(store), quarantined(store)) == ([image()], [])
    assert second.instance.digest != first.instance.digest


@pytest.mark.parametrize(
    ("changed", "keywords", "is_renaming"),
    [
        ({(0x0008, 0x0050): ("SH", b"A18")}, ("AccessionNumber",), True),
        ({(0x0010, 0x0020): ("LO", b"P2")} | NAME, ("PatientID", "PatientName"), True),
        ({(0x0010, 0x0021): ("LO", b"HOSPITAL")}, ("IssuerOfPatientID",), True),
        ({(0x0010, 0x1030): ("DS", b"81")}, ("PatientWeight",), False),
        ({(0x0008, 0x103E): ("LO", b"Abdomen")}, ("SeriesDescription",), False),
        ({(0x0028, 0x1053): ("DS", b"2")}, ("RescaleSlope",), False),
        ({(0x0009, 0x0010): ("LO", b"SOMEBODY")}, ("(0009,0010)",), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_change_names_what_differs_and_whether_an_engine_can_have_seen_it(
    store: Store,
    changed: dict[tuple[int, int], tuple[str, bytes]],
    keywords: tuple[str, ...],
    is_renaming: bool,
) -> None:
    adopt(store, image())
    change = adopt(store, image(changed)).change
    assert change is not None
    assert (change.keywords, change.is_renaming) == (keywords, is_renaming)


@pytest.mark.parametrize(
    "changed",
    [
        {(0x7FE0, 0x0010): ("OW", b"\1\2\3\5")},
        {(0x7FE0, 0x0010): ("OW", b"\1\2\3\5")} | NAME,
        {(0x0028, 0x0010): ("US", struct.pack("<H", 1))},
        {(0x0028, 0x0103): ("US", struct.pack("<H", 1))},
        {(0x0020, 0x000E): ("UI", b"1.9")},
        {(0x0008, 0x0016): ("UI", b"1.2.840.10008.5.1.4.1.1.4")},
        {(0x7FE1, 0x0010): ("LO", b"SOMEBODY")},
    ],
    ids=["a pixel", "a pixel and a name", "rows", "signed", "series", "class", "private pixels"],
)
def test_other_pixels_under_a_known_uid_are_quarantined(
    store: Store, changed: dict[tuple[int, int], tuple[str, bytes]]
) -> None:
    first = adopt(store, image())
    second = adopt(store, image(changed))
    assert (second.outcome, second.instance) == ("conflict", first.instance)
    assert (history(store), quarantined(store)) == ([], ["conflict"])


def test_what_has_no_pixels_is_corrected_in_its_names_and_numbers_alone(store: Store) -> None:
    adopt(store, image(sop_class=KOS, pixels=False))
    assert adopt(store, image(NAME, sop_class=KOS, pixels=False)).outcome == "corrected"
    other = image(NAME | {(0x0008, 0x103E): ("LO", b"Abdomen")}, sop_class=KOS, pixels=False)
    assert adopt(store, other).outcome == "conflict"


def test_a_corrected_header_in_another_native_encoding_is_a_correction(store: Store) -> None:
    adopt(store, image())
    assert adopt(store, image(NAME, syntax=IMPLICIT)).outcome == "corrected"


def test_a_late_copy_of_what_was_corrected_changes_nothing(store: Store) -> None:
    adopt(store, image())
    corrected = adopt(store, image(NAME)).instance
    for late in (image(), image(syntax=IMPLICIT)):
        adoption = adopt(store, late)
        assert (adoption.outcome, adoption.instance) == ("outdated", corrected)
    assert (history(store), quarantined(store)) == ([image()], [])


def test_each_correction_keeps_what_was_before_it_in_order(store: Store) -> None:
    files = [image({(0x0008, 0x0050): ("SH", b"A%d" % number)}) for number in range(12)]
    path = adopt(store, files[0]).instance.path
    for content in files[1:]:
        assert adopt(store, content).outcome == "corrected"
    assert [kept.read_bytes()[128:] for kept in before(store.root, path)] == files[:-1]
    assert path.read_bytes()[128:] == files[-1]


def test_adopting_a_correction_again_after_a_crash_tells_of_it_again(store: Store) -> None:
    adopt(store, image())
    first = adopt(store, image(NAME), settle=False)
    (waiting,) = store.sealed()
    assert store.adopt(waiting, read_ids(waiting.path)) == first
    store.settle(waiting)
    assert adopt(store, image(NAME)).change == first.change, "the journal may not have heard of it"
    assert history(store) == [image()]


VALUES = st.sampled_from([b"", b"A", b"B"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(one=VALUES, other=VALUES, text_one=VALUES, text_other=VALUES)
def test_a_difference_is_named_the_same_from_both_sides(
    tmp_path: Path, one: bytes, other: bytes, text_one: bytes, text_other: bytes
) -> None:
    paths = []
    for name, number, text in (("one", one, text_one), ("other", other, text_other)):
        path = tmp_path / name
        changed = {(0x0010, 0x0020): ("LO", number), (0x0008, 0x103E): ("LO", text)}
        path.write_bytes(bytes(128) + image(changed))
        paths.append(path)
    forth, back = difference(*paths), difference(*reversed(paths))
    without = [one and dataclasses.replace(one, added=frozenset()) for one in (forth, back)]
    assert without[0] == without[1]
    expected = {"PatientID"} if one != other else set()
    expected |= {"SeriesDescription"} if text_one != text_other else set()
    assert set(forth.keywords if forth else ()) == expected


@pytest.mark.parametrize(
    ("then", "now", "added"),
    [
        (None, b"HOSP", {"IssuerOfPatientID"}),
        (b"", b"HOSP", {"IssuerOfPatientID"}),
        (b" ", b"HOSP", {"IssuerOfPatientID"}),
        (b"MPI ", b"HOSP", set()),
        (b"HOSP", b"", set()),
        (b"HOSP", None, set()),
    ],
)
def test_what_said_nothing_before_is_known_as_added(
    tmp_path: Path, then: bytes | None, now: bytes | None, added: set[str]
) -> None:
    paths = []
    for name, issuer in (("now", now), ("then", then)):
        paths.append(tmp_path / name)
        elements = {} if issuer is None else {(0x0010, 0x0021): ("LO", issuer)}
        paths[-1].write_bytes(bytes(128) + image(elements))
    change = difference(*paths)
    assert change is not None
    assert (set(change.keywords), change.added) == ({"IssuerOfPatientID"}, added)


ID, ACCESSION = (0x0010, 0x0020), (0x0008, 0x0050)
PATIENT_NAME, SEX, BIRTH, ISSUER = (0x0010, 0x0010), (0x0010, 0x0040), (0x0010, 0x0030), (0x0010, 0x0021)


@pytest.mark.parametrize(
    ("tag", "then", "now", "is_another"),
    [
        (ID, ("LO", b"P1"), ("LO", b"P2"), True),
        (ID, ("LO", b""), ("LO", b"P2"), False),
        (ID, ("LO", b"P1"), ("LO", b""), False),
        (ID, ("LO", b" P1"), ("LO", b"P1"), False),
        (ISSUER, ("LO", b"A"), ("LO", b"B"), False),
        (ID, ("LO", b"P 1"), ("LO", b"p1"), False),
        (ID, ("LO", b"123"), ("LO", b"000123"), False),
        (SEX, ("CS", b"M"), ("CS", b"F"), False),
        (BIRTH, ("DA", b"19700101"), ("DA", b"19700102"), False),
        (ACCESSION, ("SH", b"A1"), ("SH", b"A2"), True),
        (ACCESSION, ("SH", b""), ("SH", b"A2"), False),
        (ACCESSION, ("SH", b"A1"), ("SH", b"A 1"), False),
        (ACCESSION, ("SH", b"A1"), ("SH", b""), False),
        (PATIENT_NAME, ("PN", b"Wrong^Name"), ("PN", b"Right^Name"), False),
    ],
)
def test_what_names_another_patient_or_order_is_told_from_what_says_more(
    tmp_path: Path, tag: tuple[int, int], then: tuple[str, bytes], now: tuple[str, bytes], is_another: bool
) -> None:
    for name, value in (("then", then), ("now", now)):
        (tmp_path / name).write_bytes(bytes(128) + image({tag: value}))
    change = difference(tmp_path / "now", tmp_path / "then")
    assert change is not None
    assert change.is_correction
    assert change.of_another == (set(change.keywords) if is_another else set())


# ── what says nothing of the image ──

LATIN_1 = {(0x0008, 0x0005): ("CS", b"ISO_IR 100")}
UTF_8 = {(0x0008, 0x0005): ("CS", b"ISO_IR 192")}
MODIFIED = element(0x0400, 0x0563, "LO", b"ROUTER")


@pytest.mark.parametrize(
    "stamp",
    [
        {(0x0008, 0x0012): ("DA", b"20260302")},
        {(0x0008, 0x0013): ("TM", b"020000")},
        {(0x0008, 0x0015): ("DT", b"20260302020000")},
        {(0x0400, 0x0550): ("SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(MODIFIED)) + MODIFIED)},
        {(0x0400, 0x0561): ("SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(MODIFIED)) + MODIFIED)},
        UTF_8,
    ],
    ids=["created", "created at", "coerced", "modified", "original", "character set"],
)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", IMPLICIT])
def test_a_copy_with_the_stamp_of_who_passed_it_on_is_the_same(
    store: Store, stamp: dict, syntax: str
) -> None:
    adopt(store, image())
    assert adopt(store, image(stamp, syntax=syntax)).outcome == "same"
    assert (history(store), quarantined(store)) == ([], [])


def test_a_stamped_copy_of_what_was_corrected_does_not_undo_that(store: Store) -> None:
    adopt(store, image())
    adopt(store, image(NAME))
    assert adopt(store, image({(0x0008, 0x0013): ("TM", b"020000")})).outcome == "outdated"


def test_a_correction_with_a_stamp_is_a_correction(store: Store) -> None:
    adopt(store, image())
    assert adopt(store, image(NAME | {(0x0008, 0x0013): ("TM", b"020000")})).outcome == "corrected"


@pytest.mark.parametrize(
    ("character_set", "name", "outcome"),
    [
        (b"ISO_IR 192", "Müller".encode(), "same"),
        (b"ISO_IR 101", "Müller".encode("iso8859_2"), "same"),
        (b"ISO_IR 101", b"Mu\xe8ller", "corrected"),
        (b"ISO_IR 192", "Möller".encode(), "corrected"),
    ],
)
def test_a_name_in_another_character_set_is_the_same_where_it_reads_the_same(
    store: Store, character_set: bytes, name: bytes, outcome: str
) -> None:
    before = b"M\xfcller" if outcome == "same" else b"Mu\xe8ller"
    adopt(store, image(LATIN_1 | {(0x0010, 0x0010): ("PN", before)}))
    other = {(0x0008, 0x0005): ("CS", character_set), (0x0010, 0x0010): ("PN", name)}
    came = adopt(store, image(other))
    assert came.outcome == outcome
    if came.change is not None:
        assert "PatientName" in came.change.keywords


def test_an_instance_that_is_new_at_each_transfer_is_not_corrected_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopting, "_MOST_BEFORE", 2)
    outcomes = [adopt(store, image({(0x0010, 0x0020): ("LO", b"P%d" % n)})).outcome for n in range(5)]
    assert outcomes == ["new", "corrected", "corrected", "conflict", "conflict"]
    assert len(history(store)) == 2
    assert adopt(store, image({(0x0010, 0x0020): ("LO", b"P0")})).outcome == "outdated"

"""Whose studies are: found by keys that tell nothing, and only said to be known when they were read."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread

from dicomnode.faults import FILE_UNREADABLE, IDENTITY_UNREADABLE, NodeError
from dicomnode.receive.hl7_message import parse, read_changes
from dicomnode.serve.identity import patient_header
from dicomnode.serve.identity import patients as patients_room
from dicomnode.serve.identity.patients import Patients
from dicomnode.serve.identity.whose import renaming_of, who_and_when
from dicomnode.serve.intake import ingest as ingest_room
from dicomnode.serve.intake.corrections import corrections_of
from dicomnode.serve.intake.ingest import ingest
from dicomnode.store import load_former, load_identity
from tests.unit.receive.test_hl7_message import message
from tests.unit.serve.test_corrections import changed
from tests.unit.store.part10 import NOON, receive
from tests.wire.plain_engines import series


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One image of each of three studies of one patient."""
    (first, *_) = series(tmp_path / "ct", 1)
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(
            changed(first, StudyInstanceUID=f"1.2.{number}", PatientID="P0", PatientName="Wrong^Name")
        )
        found.append(path)
    return found


@pytest.fixture
def patients(store, journal, files) -> Patients:
    for number, path in enumerate(files):
        receive(store, path.read_bytes()[128:], NOON + timedelta(seconds=number))
    ingest(store, journal, datetime.now(UTC))
    return Patients(store, journal)


def apply(patients: Patients, *segments: str, kind: str = "ADT^A08^ADT_A01", minutes: float = 0) -> int:
    """A message that comes so many minutes after the first."""
    told = message(*(segments or ("PID|||P0||Right^Name",)), kind=kind)
    changes = read_changes(parse(told, "8859/1", "10.0.0.1"), "10.0.0.1")
    return patients.apply(changes, "ADT^A08 of 10.0.0.1", NOON + timedelta(minutes=minutes))


def merge(patients: Patients, new: str, old: str, *, minutes: float = 0) -> int:
    return apply(patients, f"PID|||{new}", f"MRG|{old}", kind="ADT^A40^ADT_A39", minutes=minutes)


@pytest.fixture
def bad_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Path]]:
    """Paths of files that the disk does not give."""
    bad: set[Path] = set()

    def failing(path: Path, **more: object) -> pydicom.Dataset:
        if path in bad:
            raise OSError(errno.EIO, "Input/output error")
        return dcmread(path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(patient_header, "dcmread", failing)
        yield bad


def told_of(journal, uid: str) -> list[str]:
    return [event.text for event in journal.events(uid) if event.what == "study.patient_unread"]


def test_a_study_that_the_disk_does_not_give_is_not_taken_for_nobodys(patients, journal, bad_disk):
    bad_disk.add(journal.instances("1.2.1")[0].path)
    with pytest.raises(NodeError) as caught:
        apply(patients)
    assert caught.value.fault is FILE_UNREADABLE
    assert "1.2.1" in journal.without_patient_key()
    assert journal.identity("1.2.0", 1) is not None, "what was read was not corrected"
    bad_disk.clear()
    assert apply(patients) == 1
    assert journal.identity("1.2.1", 1) is not None


def test_a_study_that_stays_unreadable_is_told_of_once_and_refuses_no_more_messages(
    patients, journal, bad_disk, logged
):
    bad_disk.add(journal.instances("1.2.1")[0].path)
    for minutes in (0, 1, 2, 9.9):
        with pytest.raises(NodeError):
            apply(patients, minutes=minutes)
    assert told_of(journal, "1.2.1") == []
    for name, minutes in (("Second^Name", 10), ("Third^Name", 30)):
        assert apply(patients, f"PID|||P0||{name}", minutes=minutes) == 2
    (text,) = told_of(journal, "1.2.1")
    assert "whose study 1.2.1 is" in text
    assert [line["code"] for line in logged if line["event"] == "hl7.study_left_out"] == ["DN-2533"]
    bad_disk.clear()
    assert apply(patients, minutes=40) == 3, "it is readable again"
    bad_disk.add(journal.instances("1.2.1")[0].path)
    for minutes in (60, 69):
        with pytest.raises(NodeError):
            apply(patients, "PID|||P0||Fourth^Name", minutes=minutes)
    apply(patients, "PID|||P0||Fifth^Name", minutes=70)
    assert len([line for line in logged if line["event"] == "hl7.study_left_out"]) == 2, "it is told anew"


def test_messages_of_others_use_up_nothing_of_the_time_that_an_unreadable_study_is_waited_for(
    patients, journal, bad_disk
):
    bad_disk.add(journal.instances("1.2.1")[0].path)
    for name in ("A", "B", "C"):
        with pytest.raises(NodeError):
            apply(patients, f"PID|||OTHER||{name}")
    with pytest.raises(NodeError):
        merge(patients, "P1", "P0", minutes=1)
    bad_disk.clear()
    assert merge(patients, "P1", "P0", minutes=2) == 1, "its sender says it again, as it got AR"
    assert load_identity(journal.identity("1.2.1", 1).path) == {"PatientID": "P1"}


def test_a_study_whose_files_are_gone_refuses_no_message(patients, journal):
    journal.instances("1.2.1")[0].path.unlink()
    assert merge(patients, "P1", "P0") == 2
    assert merge(patients, "P1", "NOBODY") == 0
    assert len(told_of(journal, "1.2.1")) == 1


def test_a_store_that_is_gone_refuses_all_messages(patients, store, journal):
    (store.root / "studies").rename(store.root / "elsewhere")
    for minutes in (0, 5, 10, 60):
        with pytest.raises(NodeError) as caught:
            apply(patients, minutes=minutes)
        assert caught.value.fault is FILE_UNREADABLE
    assert told_of(journal, "1.2.1") == []


def test_a_damaged_record_of_one_study_keeps_the_message_from_no_other(patients, journal):
    apply(patients)
    journal.identity("1.2.0", 1).path.write_text("{")
    for minutes in (0, 5):
        with pytest.raises(NodeError) as caught:
            apply(patients, "PID|||P0||Third^Name", minutes=minutes)
        assert caught.value.fault is IDENTITY_UNREADABLE
    assert [journal.newest_correction(uid) > 3 for uid in ("1.2.0", "1.2.1", "1.2.2")] == [False, True, True]
    assert apply(patients, "PID|||P0||Fourth^Name", minutes=10) == 2
    assert len(told_of(journal, "1.2.0")) == 1


def told_and_former(journal, uid: str) -> tuple[str, list[str]]:
    """The Patient ID that a study has by messages, and those that it had before."""
    renaming = renaming_of(uid, journal.study(uid).version, journal)
    return renaming.told.get("PatientID", ""), [one["PatientID"] for one in renaming.former]


def test_who_the_patient_was_is_kept_from_merge_to_merge(patients, journal):
    assert told_and_former(journal, "1.2.0") == ("", [])
    merge(patients, "P1", "P0")
    assert told_and_former(journal, "1.2.0") == ("P1", ["P0"])
    merge(patients, "P2", "P1", minutes=1)
    assert told_and_former(journal, "1.2.0") == ("P2", ["P0", "P1"])
    merge(patients, "P1", "P2", minutes=2)
    assert told_and_former(journal, "1.2.0") == ("P1", ["P0", "P1", "P2"])


def test_who_the_patient_was_ends_with_another_patient_id_in_the_headers(patients, store, journal, files):
    merge(patients, "P1", "P0")
    send(store, journal, files[0], PatientID="P5")
    assert ids_of(journal, "1.2.0") == ("P5",)
    merge(patients, "P6", "P5", minutes=20)
    assert told_and_former(journal, "1.2.0") == ("P6", ["P5"])


def test_a_record_without_who_the_patient_was_joins_nobody(patients, journal):
    merge(patients, "P1", "P0")
    path = journal.identity("1.2.0", 1).path
    tree = json.loads(path.read_text())
    del tree["former"]  # of an earlier version of the node
    path.write_text(json.dumps(tree))
    assert told_and_former(journal, "1.2.0") == ("P1", [])


def send(store, journal, path: Path, **values: str) -> None:
    """An image comes again with another header."""
    receive(store, changed(path, **values)[128:], NOON + timedelta(minutes=5))
    ingest(store, journal, datetime.now(UTC))


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Lets something happen once, right after the header of a study was read."""
    read = patient_header.read_patient_header

    def meanwhile(happens: Callable[[], None]) -> None:
        once = [happens]

        def reading(path: Path) -> dict[str, str] | None:
            found = read(path)
            while once:
                once.pop()()
            return found

        monkeypatch.setattr(patients_room, "read_patient_header", reading)

    return meanwhile


def test_a_correction_that_comes_while_keys_are_made_is_not_lost(patients, store, journal, files, meanwhile):
    meanwhile(lambda: send(store, journal, files[0], PatientID="P2"))
    (batch,) = patients.without_key()
    patients.make_keys(batch)
    assert journal.without_patient_key() == ["1.2.0"]
    assert merge(patients, "P3", "P2") == 1


def test_a_correction_that_comes_while_a_message_asks_for_keys_is_not_lost(
    patients, store, journal, files, meanwhile
):
    meanwhile(lambda: send(store, journal, files[0], PatientID="P2"))
    assert merge(patients, "P3", "P2") == 1


def test_a_correction_that_comes_while_a_message_is_applied_makes_it_the_other_patients(
    patients, store, journal, files, meanwhile
):
    (batch,) = patients.without_key()
    patients.make_keys(batch)
    meanwhile(lambda: send(store, journal, files[0], PatientID="P2"))
    assert apply(patients) == 2
    assert journal.identity("1.2.0", 1) is None


def test_a_corrected_patient_id_is_found_by_the_next_message(patients, store, journal, files):
    assert apply(patients, "PID|||NOBODY||Right^Name") == 0
    assert journal.without_patient_key() == []
    send(store, journal, files[0], PatientID="P2")
    assert merge(patients, "P3", "P2") == 1
    assert load_identity(journal.identity("1.2.0", 1).path) == {"PatientID": "P3"}


@pytest.fixture
def as_told(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """Of each corrected image that the journal hears of: what it says as a message had told it."""
    found: list[frozenset[str]] = []

    def watched(*arguments):
        corrections, notes = corrections_of(*arguments)
        found.extend(one.as_told for one in corrections)
        return corrections, notes

    monkeypatch.setattr(ingest_room, "corrections_of", watched)
    return found


def test_an_archive_that_follows_a_merge_image_by_image_says_what_was_told(
    patients, store, journal, files, as_told
):
    other = files[0].with_name("other.dcm")
    uid = str(dcmread(files[0]).SOPInstanceUID)
    another = f"{uid[:-1]}{(int(uid[-1]) + 1) % 9 + 1}"  # of the same length, in the file meta too
    other.write_bytes(files[0].read_bytes().replace(uid.encode(), another.encode()))
    receive(store, other.read_bytes()[128:], NOON)
    ingest(store, journal, NOON)
    assert merge(patients, "P1", "P0", minutes=1) == 3
    send(store, journal, files[0], PatientID="P1")
    send(store, journal, other, PatientID="P1", PatientSex="O")
    send(store, journal, files[1], PatientID="P2")
    assert as_told == [{"PatientID"}, {"PatientID"}, frozenset()]
    send(store, journal, files[1], PatientID="P1")
    assert as_told[3] == frozenset(), "the message was not told of a study of P2"


def test_images_that_come_again_under_a_replaced_id_change_nothing_and_are_told_of_once_a_message(
    patients, store, journal, files
):
    def told() -> list[str]:
        return [one.text for one in journal.events("1.2.0") if one.what == "instance.replaced_id"]

    send(store, journal, files[0])
    assert told() == []
    merge(patients, "P1", "P0", minutes=1)
    for _ in range(2):
        send(store, journal, files[0])
    (text,) = told()
    assert "ADT^A40 from the new ID to the old one" in text
    assert ids_of(journal, "1.2.0") == ("P1", "P0")
    merge(patients, "P0", "P1", minutes=2)
    send(store, journal, files[0])
    assert len(told()) == 1, "it was undone"
    assert ids_of(journal, "1.2.0") == ("P0",)


def test_an_image_that_was_corrected_before_a_merge_and_comes_again_is_told_of_too(
    patients, store, journal, files
):
    send(store, journal, files[0], PatientName="Right^Name")
    merge(patients, "P1", "P0", minutes=1)
    send(store, journal, files[0], PatientName="Right^Name")
    assert [one.what for one in journal.events("1.2.0")].count("instance.replaced_id") == 1


def after_a_merge(store, journal, files) -> Path:
    """An image that comes first after the message was applied, under the replaced ID."""
    late = files[0].with_name("late.dcm")
    late.write_bytes(changed(files[0], PatientID="P0"))
    header = dcmread(late)
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.0.99"
    header.save_as(late)
    receive(store, late.read_bytes()[128:], NOON + timedelta(minutes=3))
    ingest(store, journal, datetime.now(UTC))
    return late


def test_a_message_says_nothing_of_images_that_came_first_after_it(patients, store, journal, files, as_told):
    merge(patients, "P1", "P0", minutes=1)
    late = after_a_merge(store, journal, files)
    send(store, journal, late)
    assert [one.what for one in journal.events("1.2.0")].count("instance.replaced_id") == 0
    send(store, journal, late, PatientID="P1")
    assert as_told == [frozenset()], "what it says now is its own word"


@pytest.mark.parametrize("spelt", ["P1", "p1", "0P1", " P1"])
def test_a_merge_that_was_followed_in_another_spelling_is_undone_all_the_same(
    patients, store, journal, files, spelt
):
    merge(patients, "P1", "P0", minutes=1)
    send(store, journal, files[0], PatientID=spelt)
    for _ in range(2):
        send(store, journal, files[0], PatientID="P0", PatientComments="undone")
    assert journal.identity("1.2.0", 1) is None
    assert [one.what for one in journal.events("1.2.0")].count("instance.replaced_id") == 0


SPELLINGS = ("RIGHT^NAME", "Right^Name=X", "Right^Name^^", "Right^Name^M")


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_name_that_was_told_is_so_in_every_spelling_and_in_a_second_correction_too(
    patients, store, journal, files, as_told, name
):
    assert apply(patients, "PID|||P1||Right^Name", "MRG|P0", kind="ADT^A40^ADT_A39", minutes=1) == 3
    send(store, journal, files[0], PatientID="P1")
    send(store, journal, files[0], PatientID="P1", PatientName=name)
    assert as_told == [{"PatientID"}, {"PatientID", "PatientName"}]
    assert told_and_former(journal, "1.2.0") == ("P1", ["P0"]), "nothing that was told has ended"
    assert renaming_of("1.2.0", 1, journal).corrected == frozenset()


def test_an_archive_that_follows_one_merge_of_two_follows(patients, store, journal, files, as_told):
    merge(patients, "P1", "P0", minutes=1)
    merge(patients, "P2", "P1", minutes=2)
    send(store, journal, files[0], PatientID="P1")
    assert as_told == [{"PatientID"}]
    assert ids_of(journal, "1.2.0") == ("P2", "P1")


def ids_of(journal, uid: str) -> tuple[str, ...]:
    """The Patient ID of a study now, and the one of its header."""
    (image,) = journal.instances(uid)
    read = who_and_when(image, journal)
    assert read is not None
    return read.patient.ids


def test_an_archive_that_undoes_a_merge_has_the_last_word(patients, store, journal, files, as_told):
    merge(patients, "P1", "P0", minutes=1)
    send(store, journal, files[0], PatientID="P1")
    send(store, journal, files[0], PatientID="P0", PatientComments="undone")
    assert as_told == [{"PatientID"}, frozenset()]
    assert ids_of(journal, "1.2.0") == ("P0",)


def test_where_the_record_of_a_message_is_damaged_nothing_was_told(
    patients, store, journal, files, as_told, logged
):
    merge(patients, "P1", "P0", minutes=1)
    journal.identity("1.2.0", 1).path.write_text("{")
    send(store, journal, files[0], PatientID="P1")
    assert as_told == [frozenset()]
    assert [line["study"] for line in logged if line["event"] == "hl7.record_unread"] == ["1.2.0"]


@pytest.mark.parametrize(
    ("mine", "pid", "mrg", "becomes"),
    [
        ({}, "7561234567897^^^AHV^SS~NEW^^^HOSP^MR", "P0^^^^MR", "NEW"),
        ({"IssuerOfPatientID": "HOSP"}, "NEW^^^HOSP^MR", "P0", "NEW"),
        ({"IssuerOfPatientID": "HOSP"}, "NEW^^^ELSEWHERE^MR", "P0", None),
        ({"IssuerOfPatientID": "HOSP"}, "NEW^^^ELSEWHERE", "P0^^^ELSEWHERE", None),
    ],
    ids=["another type", "its issuer", "of another issuer by the new ID", "of another issuer"],
)
def test_a_merged_patient_gets_the_id_that_follows_its_own(
    patients, store, journal, files, mine, pid, mrg, becomes
):
    if mine:
        send(store, journal, files[0], **mine)
    merge(patients, pid, mrg)
    told = journal.identity("1.2.0", 1)
    assert (told and load_identity(told.path)["PatientID"]) == becomes


def test_an_account_number_that_is_like_an_id_writes_no_name_on_anothers_results(patients, journal):
    assert apply(patients, "PID|||X^^^HOSP^MR~P0^^^BILLING^AN||Other^Patient") == 0
    assert journal.identity("1.2.0", 1) is None


def test_keys_are_kept_batch_by_batch(patients, journal, monkeypatch):
    monkeypatch.setattr("dicomnode.serve.identity.patients._BATCH", 2)
    first, second = patients.without_key()
    patients.make_keys(first)
    assert journal.without_patient_key() == second == ["1.2.2"]
    patients.make_keys(second)
    assert patients.without_key() == []


def test_an_old_id_without_a_successor_is_told_to_its_studies_and_changes_nothing_of_them(
    patients, store, journal, files, logged
):
    send(store, journal, files[1], PatientID="Q0", IssuerOfPatientID="MPI")
    send(store, journal, files[2], PatientID="Q0", IssuerOfPatientID="ELSEWHERE")
    for minutes in (0, 1):
        count = merge(patients, "P1^^^HOSP^MR", "P0^^^HOSP^MR~Q0^^^MPI^PI", minutes=minutes)
        assert count == (1 if minutes == 0 else 0)
    assert load_identity(journal.identity("1.2.0", 1).path)["PatientID"] == "P1"
    assert journal.identity("1.2.1", 1) is None
    told = {
        uid: [event.text for event in journal.events(uid) if event.what == "study.id_left_out"]
        for uid in ("1.2.0", "1.2.1", "1.2.2")
    }
    assert [len(texts) for texts in told.values()] == [0, 1, 0], "once, and not that of another issuer"
    assert "Q0" not in told["1.2.1"][0]
    assert {line["study"] for line in logged if line["event"] == "hl7.id_left_out"} == {"1.2.1"}


def test_the_name_of_a_record_tells_nothing_without_the_salt(tmp_path, store, patients, journal):
    apply(patients)
    path = journal.identity("1.2.0", 1).path
    other = type(store).open(tmp_path / "other")
    values, former = {"PatientName": "Right^Name"}, load_former(path)
    again = store.put_identity("1.2.0", values, former)
    elsewhere = other.put_identity("1.2.0", values, former)
    assert again == path
    assert elsewhere.name != again.name
    other.close()

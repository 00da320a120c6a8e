"""From a received file to an instance of its study: once, durable, and never overwritten."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.store import Adoption, Disk, SealedFile, Store, read_ids
from dicomnode.store.likeness import difference
from tests.unit.store.part10 import (
    BIG_ENDIAN,
    CT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    NOON,
    SENDER,
    SERIES,
    STUDY,
    behind_preamble,
    data_set,
    element,
    meta,
    receive,
    write_and_seal,
)
from tests.wire.small_objects import write_object

RLE = "1.2.840.10008.1.2.5"
PIXELS = {EXPLICIT: bytes(32), IMPLICIT: bytes(32), RLE: encapsulate([bytes(64)])}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def adopt(store: Store, sealed: SealedFile) -> Adoption:
    return store.adopt(sealed, read_ids(sealed.path))


def instances(store: Store) -> list[Path]:
    return sorted((store.root / "studies").rglob("*.dcm"))


def quarantined(store: Store) -> list[str]:
    return sorted(path.parent.name for path in (store.root / "quarantine").rglob("*.dcm"))


def test_a_new_file_becomes_an_instance(store: Store) -> None:
    sealed = receive(store, behind_preamble())
    adoption = adopt(store, sealed)
    instance = adoption.instance
    assert adoption.outcome == "new"
    assert (instance.sop_instance_uid, instance.study_instance_uid) == (INSTANCE, STUDY)
    assert (instance.size, instance.digest) == (sealed.size, sealed.digest)
    assert (instance.received_at, instance.sender) == (NOON, SENDER)
    assert instance.path.read_bytes()[128:] == behind_preamble()
    assert instances(store) == [instance.path]


def test_it_waits_until_it_is_settled(store: Store) -> None:
    sealed = receive(store, behind_preamble())
    adopt(store, sealed)
    assert store.sealed() == [sealed]
    store.settle(sealed)
    store.settle(sealed)
    assert store.sealed() == []
    assert len(instances(store)) == 1


def test_no_name_below_the_studies_is_of_the_peer(store: Store) -> None:
    adopt(store, receive(store, behind_preamble()))
    for path in (store.root / "studies").rglob("*"):
        assert set(path.stem) <= set("0123456789abcdef")
        assert INSTANCE not in path.name
        assert STUDY not in path.name


def test_instances_of_one_study_lie_in_one_folder_and_studies_apart(store: Store) -> None:
    one = adopt(store, receive(store, behind_preamble("1.1"))).instance.path
    two = adopt(store, receive(store, behind_preamble("1.2"))).instance.path
    other = adopt(store, receive(store, behind_preamble("1.1", study="1.9"))).instance.path
    assert one.parent == two.parent != other.parent
    assert len({one, two, other}) == 3


def test_the_same_again_is_kept_once(store: Store) -> None:
    first = adopt(store, receive(store, behind_preamble()))
    again = receive(store, behind_preamble(), NOON + timedelta(hours=1))
    second = adopt(store, again)
    store.settle(again)
    assert second.outcome == "same"
    assert second.instance == first.instance
    assert len(instances(store)) == 1
    assert quarantined(store) == []


def test_the_same_data_set_with_another_file_meta_is_the_same(store: Store) -> None:
    adopt(store, receive(store, meta(writer="ONE") + data_set()))
    assert adopt(store, receive(store, meta(writer="ANOTHER ONE") + data_set())).outcome == "same"


@pytest.mark.parametrize(
    "other",
    [
        meta() + data_set(pixels=b"\1\2\3\5"),
        meta() + data_set(pixels=b"\1\2\3\4\0\0"),
        meta() + data_set(series="1.9"),
        meta(syntax=IMPLICIT) + data_set(syntax=IMPLICIT, pixels=b"\1\2\3\5"),
        meta(syntax=RLE) + data_set(accession="A18"),
    ],
    ids=["a pixel", "longer", "another series", "a pixel, implicit", "a number, RLE"],
)
def test_another_content_under_the_same_uid_is_quarantined_and_the_first_is_kept(
    store: Store, other: bytes
) -> None:
    first = adopt(store, receive(store, behind_preamble()))
    second = receive(store, other, NOON + timedelta(hours=1))
    adoption = adopt(store, second)
    assert adoption.outcome == "conflict"
    assert adoption.instance == first.instance
    assert first.instance.path.read_bytes()[128:] == behind_preamble()
    assert quarantined(store) == ["conflict"]
    assert adoption.quarantined is not None
    assert adoption.quarantined.read_bytes()[128:] == other
    assert second in store.sealed(), "it waits until the journal has told of it"
    assert adopt(store, second) == adoption
    store.settle(second)
    assert second not in store.sealed()
    assert quarantined(store) == ["conflict"]


@pytest.mark.parametrize(
    "other",
    [
        meta(syntax=IMPLICIT) + data_set(syntax=IMPLICIT),
        meta(syntax=RLE) + data_set(pixels=b"\0\0"),
        meta() + element(8, 0, "UL", b"\1\0\0\0") + data_set(),
        meta() + data_set() + element(0xFFFC, 0xFFFC, "OB", b"\0\0"),
    ],
    ids=["implicit", "compressed", "with a group length", "with padding behind it"],
)
def test_the_same_instance_in_another_encoding_is_the_same_and_the_first_is_kept(
    store: Store, other: bytes
) -> None:
    first = adopt(store, receive(store, behind_preamble()))
    again = receive(store, other, NOON + timedelta(hours=1))
    assert adopt(store, again) == Adoption(instance=first.instance, outcome="same")
    store.settle(again)
    assert first.instance.path.read_bytes()[128:] == behind_preamble()
    assert quarantined(store) == []


def test_sequences_are_compared_by_their_items_however_they_are_delimited(
    store: Store, tmp_path: Path
) -> None:
    def file(syntax: str, meaning: str, *, undefined: bool) -> bytes:
        path = write_object(tmp_path / "a.dcm", 1, syntax=syntax, pixels=PIXELS[syntax])
        data = dcmread(path)
        data.AnatomicRegionSequence[0].CodeMeaning = meaning
        data["AnatomicRegionSequence"].is_undefined_length = undefined
        data.add_new(0x00090010, "LO", "SOMEBODY")
        data.add_new(0x00091001, "SQ", [data.AnatomicRegionSequence[0]])
        data.add_new(0x00091002, "DS", "1.5")
        data.save_as(path)
        return path.read_bytes()[128:]

    first = receive(store, file(EXPLICIT, "Lung", undefined=False)).path
    for syntax in (EXPLICIT, IMPLICIT, RLE):
        again = receive(store, file(syntax, "Lung", undefined=True)).path
        assert difference(again, first) is None, syntax
        other = difference(receive(store, file(syntax, "Liver", undefined=True)).path, first)
        assert other is not None, syntax
        assert other.keywords == ("(0009,1001)", "AnatomicRegionSequence")
        assert other.is_correction == (syntax != RLE), "compressed pixels are not decoded here"


def test_what_no_library_can_parse_is_a_conflict_and_no_failure(store: Store) -> None:
    adopt(store, receive(store, behind_preamble()))
    for tail in (element(0x7FE1, 1, "SQ", b"\xff" * 12), element(0x7FE1, 1, "FD", b"123")):
        assert adopt(store, receive(store, behind_preamble() + tail)).outcome == "conflict"


def test_an_endless_header_is_not_compared_by_its_values(store: Store) -> None:
    adopt(store, receive(store, behind_preamble()))
    many = data_set().removesuffix(element(0x7FE0, 0x0010, "OW", b"\1\2\3\4")) + b"".join(
        element(0x0029 + 2 * (n >> 14), n & 0x3FFF, "LO", b"") for n in range(60_000)
    )
    assert adopt(store, receive(store, meta() + many)).outcome == "conflict"


def test_big_endian_words_are_the_same_words(store: Store) -> None:
    def file(syntax: str, order: str) -> bytes:
        fields = (
            (0x0008, 0x0016, "UI", CT.encode()),
            (0x0008, 0x0018, "UI", INSTANCE.encode()),
            (0x0020, 0x000D, "UI", STUDY.encode()),
            (0x0020, 0x000E, "UI", SERIES.encode()),
            (0x0028, 0x0010, "US", struct.pack(order + "H", 2)),
            (0x7FE0, 0x0010, "OW", struct.pack(order + "HH", 258, 3)),
        )
        return meta(syntax=syntax) + b"".join(element(*of, syntax=syntax) for of in fields)

    adopt(store, receive(store, file(EXPLICIT, "<")))
    assert adopt(store, receive(store, file(BIG_ENDIAN, ">"))).outcome == "same"
    assert adopt(store, receive(store, file(BIG_ENDIAN, "<"))).outcome == "conflict"


def test_the_same_conflict_again_and_again_is_quarantined_once(store: Store) -> None:
    adopt(store, receive(store, behind_preamble()))
    paths = set()
    for writer in ("ONE", "ONE", "ANOTHER"):
        sealed = receive(store, meta(writer=writer) + data_set(pixels=b"\7\7"))
        paths.add(adopt(store, sealed).quarantined)
        store.settle(sealed)
    assert len(paths) == 1
    assert quarantined(store) == ["conflict"]


def test_a_second_conflict_does_not_overwrite_the_first(store: Store) -> None:
    adopt(store, receive(store, behind_preamble()))
    for value in (b"\7\7", b"\x08\x08"):
        assert adopt(store, receive(store, behind_preamble(pixels=value))).outcome == "conflict"
    assert len(quarantined(store)) == 2


def test_adopting_again_after_a_crash_gives_the_same(store: Store) -> None:
    sealed = receive(store, behind_preamble())
    first = adopt(store, sealed)
    assert adopt(store, sealed) == first  # the journal may not know of it: it is new again
    store.settle(sealed)
    late = store.adopt(sealed, read_ids(first.instance.path))
    assert late == Adoption(instance=first.instance, outcome="same")


def test_a_file_that_is_nowhere_is_a_fault(store: Store) -> None:
    sealed = receive(store, behind_preamble())
    ids = read_ids(sealed.path)
    sealed.path.unlink()
    with pytest.raises(NodeError) as caught:
        store.adopt(sealed, ids)
    assert caught.value.fault is STORE_WRITE_FAILED


def test_a_group_costs_one_flush_a_study(tmp_path: Path) -> None:
    class Counting(Disk):
        flushed: list[str] = []  # noqa: RUF012

        def fsync_dir(self, path: Path) -> None:
            super().fsync_dir(path)
            self.flushed.append(path.name)

    with Store.open(tmp_path / "store", disk=Counting()) as store:
        sealed = [
            receive(store, behind_preamble(f"1.{n}.{m}", study=f"1.{n}")) for n in (1, 2) for m in range(9)
        ]
        Counting.flushed.clear()
        adoptions = store.adopt_all([(file, read_ids(file.path)) for file in sealed])
        assert [adoption.outcome for adoption in adoptions] == ["new"] * 18
        assert sum(name != "incoming" for name in Counting.flushed) == 3  # names are made in the background
        assert store.adopt_all([]) == []


def test_one_group_may_hold_the_same_instance_twice(store: Store) -> None:
    sealed = [receive(store, behind_preamble()) for _ in range(2)]
    sealed.append(receive(store, behind_preamble(pixels=b"\7\7")))
    adoptions = store.adopt_all([(file, read_ids(file.path)) for file in sealed])
    assert [adoption.outcome for adoption in adoptions] == ["new", "same", "conflict"]
    store.settle(*sealed)
    assert store.sealed() == []


def test_a_damaged_seal_is_not_handed_out(store: Store) -> None:
    sealed = receive(store, behind_preamble())
    content = bytearray(sealed.path.read_bytes())
    content[20] ^= 1
    sealed.path.write_bytes(content)
    assert store.sealed() == []
    assert quarantined(store) == ["damaged"]


@pytest.mark.parametrize("place", [3, -1], ids=["in the seal", "in the pixels"])
def test_an_instance_that_the_disk_has_damaged_makes_room_for_a_whole_one(store: Store, place: int) -> None:
    first = adopt(store, receive(store, behind_preamble()))
    damaged = bytearray(first.instance.path.read_bytes())
    damaged[place] ^= 1
    first.instance.path.unlink()
    first.instance.path.write_bytes(damaged)
    again = receive(store, behind_preamble(), NOON + timedelta(hours=1))
    adoption = adopt(store, again)
    assert (adoption.outcome, adoption.instance.path) == ("new", first.instance.path)
    assert first.instance.path.read_bytes()[128:] == behind_preamble()
    assert quarantined(store) == ["damaged"]
    assert adopt(store, again) == adoption


def test_a_part_that_another_thread_still_writes_is_not_adopted(store: Store) -> None:
    with store.new_part() as part:
        part.write(behind_preamble())
        assert store.sealed() == []
        write_and_seal(part, b"")
    assert len(store.sealed()) == 1

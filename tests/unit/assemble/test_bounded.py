"""Small files that stand for much: none of them costs more time or memory than an image."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)

from dicomnode.assemble import bounded, functional_groups, read_studies
from dicomnode.assemble.bounded import TooMuchError
from dicomnode.assemble.decoders import file as decoder_file
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.faults import HEADER_DAMAGED
from dicomnode.store.foreign import quiet
from dicomnode.values import SetAside
from tests.unit.assemble.multi_frame import ENHANCED_MR, NM, enhanced
from tests.unit.assemble.series import CT, Series, write_all
from tests.unit.assemble.test_nuclear import recon

EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
END = b"\xfe\xff\xdd\xe0\0\0\0\0"
ITEMS = 100_000
LITTLE_MEMORY = 16 * 2**20  # bytes


def element(tag: int, vr: str, value: bytes, *, undefined: bool = False) -> bytes:
    """Write an element, Explicit VR Little Endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    value += b"\0" * (len(value) % 2)
    if vr in ("OB", "OW", "UN", "SQ"):
        return head + struct.pack("<2xL", 0xFFFFFFFF if undefined else len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def part10(syntax: str, data_set: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Write a file; before, after: elements beside the transfer syntax."""
    group = element(0x00020001, "OB", b"\0\1") + before + element(0x00020010, "UI", syntax.encode()) + after
    length = element(0x00020000, "UL", struct.pack("<L", len(group)))
    return b"\0" * 128 + b"DICM" + length + group + data_set


def data_set(sop_class: str = CT, more: bytes = b"", pixels: bytes | None = b"\0\0") -> bytes:
    """Write a data set with its UIDs, one row and column, two frames."""
    uids = zip(
        (0x00080016, 0x00080018, 0x0020000D, 0x0020000E), (sop_class, "1.2", "1.3", "1.4"), strict=True
    )
    return b"".join(
        (
            *(element(tag, "UI", uid.encode()) for tag, uid in uids),
            element(0x00280008, "IS", b"2"),
            more,
            b"" if pixels is None else element(0x7FE00010, "OW", pixels),
        )
    )


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def read(path: Path) -> tuple[Header, ...] | SetAside:
    with quiet():
        return read_headers(path)


@pytest.fixture
def peak():
    """Tell how much memory was allocated at most since the test began, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


HIDDEN = {
    "plainly": {},
    "behind a long private element": {"before": element(0x00020102, "OB", b"x" * 2000)},
    "by the second of two transfer syntaxes": {
        "before": element(0x00020010, "UI", ExplicitVRLittleEndian.encode())
    },
    "behind an element of no known VR": {"before": struct.pack("<HH2sHL", 2, 0x0102, b"ZZ", 0, 0)[:8]},
}


@pytest.mark.parametrize("where", list(HIDDEN))
def test_a_deflated_bomb_is_set_aside_however_its_transfer_syntax_is_hidden(
    tmp_path, monkeypatch, peak, where
):
    """A valid data set of 24 MB in 24 kB, where one may have 8 MB."""
    monkeypatch.setattr(bounded, "INFLATED_MAX", 2**23)
    bomb = deflated(data_set(pixels=b"\0" * (24 * 2**20)))
    path = tmp_path / "bomb.dcm"
    path.write_bytes(part10(DeflatedExplicitVRLittleEndian, bomb, **HIDDEN[where]))
    before = peak()
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert aside.code == HEADER_DAMAGED.code
    assert peak() - before < LITTLE_MEMORY


@pytest.mark.parametrize("where", list(HIDDEN)[:3])
def test_a_deflated_image_within_the_bound_is_read_however_its_transfer_syntax_is_written(tmp_path, where):
    path = tmp_path / "image.dcm"
    path.write_bytes(part10(DeflatedExplicitVRLittleEndian, deflated(data_set()), **HIDDEN[where]))
    (header,) = read(path)
    assert (header.sop_instance_uid, header.transfer_syntax_uid) == ("1.2", DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("more", [5, 100, 195])
def test_a_deflated_file_is_whole_although_its_last_bytes_stand_for_more_than_is_inflated_at_once(
    tmp_path, more
):
    """Its last bytes are taken with the first MiB: the rest comes of no bytes at all."""
    path = tmp_path / "zeros.dcm"
    path.write_bytes(part10(DeflatedExplicitVRLittleEndian, deflated(bytes(2**20 + more))))
    with path.open("rb") as file:
        content = bounded.inflated(file)
    assert content.getvalue().endswith(bytes(2**20 + more))


def test_a_deflated_image_that_is_cut_off_is_set_aside(tmp_path):
    content = part10(DeflatedExplicitVRLittleEndian, deflated(data_set(pixels=bytes(range(256)) * 20)))
    path = tmp_path / "cut.dcm"
    path.write_bytes(content[:-20])
    assert isinstance(read(path), SetAside)


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
def test_functional_groups_of_empty_items_are_not_taken_apart(tmp_path, peak, undefined):
    value = EMPTY_ITEM * ITEMS + (END if undefined else b"")
    groups = element(0x52009230, "SQ", value, undefined=undefined)
    path = tmp_path / "items.dcm"
    path.write_bytes(part10(ExplicitVRLittleEndian, data_set(ENHANCED_MR, groups)))
    before = peak()
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert aside.code == HEADER_DAMAGED.code
    assert "items for 2 frame(s)" in aside.text
    assert peak() - before < LITTLE_MEMORY


def test_long_functional_groups_of_empty_items_are_not_taken_apart_in_big_endian(tmp_path, peak):
    path = write_all([enhanced([float(z) for z in range(2)], syntax=ExplicitVRBigEndian)], tmp_path)[0]
    content = path.read_bytes()
    at = content.index(b"\x52\x00\x92\x30SQ") + 8
    length = int.from_bytes(content[at : at + 4], "big")
    items = b"\xff\xfe\xe0\x00\0\0\0\0" * ITEMS
    path.write_bytes(content[:at] + struct.pack(">L", len(items)) + items + content[at + 4 + length :])
    before = peak()
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert "items for 2 frame(s)" in aside.text
    assert peak() - before < LITTLE_MEMORY


def groups_of(frames: int, items: int, *, undefined: bool) -> bytes:
    """Write the value of functional groups: in each frame so many items, each with an element."""

    def within(content: bytes, tag: bytes, end: bytes) -> bytes:
        if undefined:
            return tag + b"\xff\xff\xff\xff" + content + end
        return tag + struct.pack("<L", len(content)) + content

    item_end = b"\xfe\xff\x0d\xe0\0\0\0\0"
    inner = within(element(0x00189087, "FD", bytes(8)), EMPTY_ITEM[:4], item_end)
    macro = within(inner, struct.pack("<HH2s2x", 0x0018, 0x9117, b"SQ"), END)
    return within(macro * (items - 1), EMPTY_ITEM[:4], item_end) * frames


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
def test_functional_groups_of_12000_frames_of_40_items_are_within_the_bounds(monkeypatch, undefined):
    """Of frames that are all alike a hundred tell what each costs, and twice as many cost twice as much."""
    monkeypatch.setattr(functional_groups, "_UNCOUNTED", 0)

    def cost(frames: int) -> tuple[int, int]:
        value = groups_of(frames, 40, undefined=undefined)
        raw = RawDataElement(BaseTag(0x52009230), "SQ", len(value), value, 0, False, True)
        functional_groups._bound(raw, frames)
        return value.count(EMPTY_ITEM[:4]), sum(1 for _ in functional_groups._heads(raw, value))

    items, heads = cost(100)
    assert cost(200) == (2 * items, 2 * heads)
    assert 120 * items < bounded.most_items(12_000)
    assert 120 * heads < bounded.most_elements(12_000)


def test_more_items_than_the_frames_need_are_told_by_their_number():
    value = groups_of(12_000, 40, undefined=False)
    raw = RawDataElement(BaseTag(0x52009230), "SQ", len(value), value, 0, False, True)
    with pytest.raises(TooMuchError, match=r"480000 items for 20 frame\(s\)"):
        functional_groups._bound(raw, 20)


def test_functional_groups_that_are_damaged_are_not_called_too_many(monkeypatch):
    monkeypatch.setattr(functional_groups, "_UNCOUNTED", 100)
    value = groups_of(20, 3, undefined=False)[:-4]
    raw = RawDataElement(BaseTag(0x52009230), "SQ", len(value), value, 0, False, True)
    with pytest.raises(TooMuchError, match=r"^its functional groups are damaged$"):
        functional_groups._bound(raw, 20)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=["scanned", "pydicom"])
def test_a_header_may_have_the_more_elements_and_items_the_more_frames_it_has(tmp_path, monkeypatch, syntax):
    monkeypatch.setattr(bounded, "_ITEMS_ELSEWHERE", 100)
    monkeypatch.setattr(bounded, "_ITEMS_BESIDE", 10)
    monkeypatch.setattr(bounded, "_ELEMENTS_BESIDE", 300)
    ds = enhanced([float(z) for z in range(60)], syntax=syntax)
    ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.is_undefined_length_sequence_item = True
    path = write_all([ds], tmp_path)[0]
    assert len(read(path)) == 60
    monkeypatch.setattr(bounded, "_ITEMS_A_FRAME", 1)
    monkeypatch.setattr(bounded, "_ELEMENTS_A_FRAME", 0)
    assert isinstance(read(path), SetAside)


def test_functional_groups_of_empty_elements_are_not_taken_apart(tmp_path, monkeypatch, peak):
    monkeypatch.setattr(functional_groups, "_UNCOUNTED", 2**17)
    monkeypatch.setattr(bounded, "_MOST_ELEMENTS", 20_000)
    elements = b"".join(element(0x00090000 + n, "LO", b"") for n in range(25_000))
    inner = element(0x00189226, "SQ", EMPTY_ITEM[:4] + struct.pack("<L", len(elements)) + elements)
    item = EMPTY_ITEM[:4] + struct.pack("<L", len(inner)) + inner
    path = tmp_path / "elements.dcm"
    groups = element(0x52009230, "SQ", item + EMPTY_ITEM)
    path.write_bytes(part10(ExplicitVRLittleEndian, data_set(ENHANCED_MR, groups)))
    before = peak()
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert "too many elements" in aside.text
    assert peak() - before < LITTLE_MEMORY


def test_large_functional_groups_that_hold_what_their_frames_need_are_taken_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(functional_groups, "_UNCOUNTED", 1000)
    for n, syntax in enumerate((ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)):
        path = write_all([enhanced([float(z) for z in range(12)], syntax=syntax)], tmp_path / str(n))[0]
        assert len(read(path)) == 12


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, "1.2.840.113619.5.2"], ids=["scanned", "pydicom"])
@pytest.mark.parametrize("tag", [0x00540220, 0x00409096], ids=["view", "mapping"])
def test_a_sequence_whose_end_is_only_marked_is_no_longer_than_others(
    tmp_path, monkeypatch, peak, tag, syntax
):
    monkeypatch.setattr(bounded, "MOST_ITEMS", 1000)
    sequence = element(tag, "SQ", EMPTY_ITEM * ITEMS + END, undefined=True)
    path = tmp_path / "endless.dcm"
    path.write_bytes(part10(syntax, data_set(CT, sequence)))
    before = peak()
    assert isinstance(read(path), SetAside) == (syntax != ExplicitVRLittleEndian)
    assert peak() - before < LITTLE_MEMORY


def test_fragments_of_nothing_are_not_listed_to_compare_two_images(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder_file, "_MOST_FRAGMENTS", 100)
    datasets = Series().datasets()
    datasets.append(Series().datasets()[0])
    for n, ds in enumerate(datasets):
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{n + 1}"
        ds.PixelData = EMPTY_ITEM * (1000 if n in (0, 6) else 3)
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    write_all(datasets, tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert [stack.facts.refusal.code for stack in series.stacks] == ["DN-3008"]


def test_frames_at_one_place_that_are_all_different_are_compared_with_few(tmp_path, monkeypatch):
    """Every frame of an NM object is called slice 1: no two are compared more often than that is of use."""
    asked = []
    compare = "dicomnode.assemble.decoders.compare.PixelComparison.__call__"
    monkeypatch.setattr(compare, lambda self, one, other: asked.append((one, other)))
    ds = recon(frames=4, SliceVector=[1] * 400)
    ds.NumberOfFrames, ds.Rows, ds.Columns = 400, 1, 1
    ds.PixelData = b"".join(n.to_bytes(2, "little") for n in range(400))
    write_all([ds], tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert series.stacks[0].headers[0].sop_class_uid == NM
    assert all(stack.facts.refusal is not None for stack in series.stacks)
    assert len(asked) < 400 * 20

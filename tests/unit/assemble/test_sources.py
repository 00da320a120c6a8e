"""Headers for `report`: nothing lost that it needs, nothing kept that it must not have."""

from __future__ import annotations

import io

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.assemble import load_volume, read_studies, source_of
from dicomnode.assemble.sources import encode_header
from dicomnode.store.foreign import quiet
from tests.unit.assemble.series import Series, header_of, write_all

SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def encoded(path) -> bytes:
    with quiet():
        return encode_header(dcmread(path), header_of(path))


def read(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


def rich() -> Dataset:
    """A slice with everything that may stand in a header."""
    ds = Series(tags={"PixelPaddingValue": -2000, "KVP": "120.0", "SmallestImagePixelValue": -5}).datasets()[
        0
    ]
    ds.AccessionNumber = "A1"
    ds.DataCollectionCenterPatient = [1.5, -2.25, 3.125]  # FD
    ds.InstanceCreatorUID = "1.2.3"
    ds.FrameIncrementPointer = 0x00181063  # AT
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Grün"
    code.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "nested secret")
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2", "1.2.9"
    item.PurposeOfReferenceCodeSequence = [code]
    ds.ReferencedImageSequence = [item]
    ds.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "secret")
    ds.add_new(0x60000010, "US", 9)  # overlay
    ds.add_new(0x60003000, "OW", b"\0" * 16)
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.BitsAllocated, icon.PixelRepresentation = 8, 0
    icon.PixelData = b"\0\0\0\0"
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = [icon]
    return ds


@pytest.mark.parametrize("name", list(SYNTAXES))
def test_all_that_is_kept_is_equal_whatever_the_source_was_written_in(tmp_path, name):
    ds = rich()
    ds.file_meta.TransferSyntaxUID = SYNTAXES[name]
    path = write_all([ds], tmp_path)[0]
    copy, source = read(encoded(path)), dcmread(path)
    assert copy.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert copy.file_meta.MediaStorageSOPInstanceUID == source.SOPInstanceUID
    for element in source:
        if element.tag.is_private or element.tag.group >= 0x6000 or element.keyword == "IconImageSequence":
            assert element.tag not in copy
        elif element.VR != "SQ":
            assert copy[element.tag] == element, element.keyword
    nested = copy.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0]
    assert nested.CodeMeaning == "Grün"
    assert len(nested) == 3
    assert b"secret" not in encoded(path)


def test_names_keep_their_bytes_and_their_character_set(tmp_path):
    """ISO 2022 with escapes, as Japanese sites write it, and bytes that fit no declared set."""
    path = write_all(Series().datasets()[:1], tmp_path)[0]
    japanese = (
        b"Yamada^Tarou=\x1b\x24\x42\x3b\x33\x45\x44\x1b\x28\x42^\x1b\x24\x42\x42\x40\x4f\x3a\x1b\x28\x42="
        b"\x1b\x24\x42\x24\x64\x24\x5e\x24\x40\x1b\x28\x42^\x1b\x24\x42\x24\x3f\x24\x6d\x24\x26\x1b\x28\x42"
    )
    content = path.read_bytes()
    for head, value in (
        (b"\x08\x00\x05\x00CS", b"\\ISO 2022 IR 87"),
        (b"\x10\x00\x10\x00PN", japanese),
        (b"\x10\x00\x20\x00LO", b"K\xf6ln \xff 1"),
    ):
        even = value + b" " * (len(value) % 2)
        at = content.index(head) + 6
        length = int.from_bytes(content[at : at + 2], "little")
        content = content[:at] + len(even).to_bytes(2, "little") + even + content[at + 2 + length :]
    path.write_bytes(content)
    copy = encoded(path)
    assert japanese in copy
    assert b"K\xf6ln \xff 1" in copy
    assert b"\\ISO 2022 IR 87" in copy
    assert str(read(copy).PatientName).startswith("Yamada^Tarou=山田^太郎=やまだ^たろう")


def test_known_attributes_with_unknown_vr_get_their_vr_back(tmp_path):
    path = write_all(Series().datasets()[:1], tmp_path)[0]
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x30\x00DS")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    unknown = (
        content[at : at + 4] + b"UN\0\0" + length.to_bytes(4, "little") + content[at + 8 : at + 8 + length]
    )
    path.write_bytes(content[:at] + unknown + content[at + 8 + length :])
    assert b"\x28\x00\x30\x00DS" in encoded(path)
    assert read(encoded(path)).PixelSpacing == pytest.approx([0.7, 0.9])


def test_tables_of_more_than_64_kb_are_left_out(tmp_path):
    ds = rich()
    ds.RedPaletteColorLookupTableData = b"\1" * 70_000
    path = write_all([ds], tmp_path)[0]
    assert len(encoded(path)) < 4000


def test_a_refused_stack_has_a_source_without_a_grid(tmp_path):
    datasets = Series().datasets()
    del datasets[3]
    write_all(datasets, tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is not None
    source = source_of(stack, "ct")
    assert (source.name, source.grid) == ("ct", None)
    assert source.series_instance_uid == stack.facts.series_instance_uid
    uids = [read(content).SOPInstanceUID for content in source.headers.encoded]
    assert uids == [frame.sop_instance_uid for frame in source.frames]
    assert len(uids) == 5


def test_a_volume_carries_the_headers_of_its_slices_in_their_order(tmp_path):
    Series().write(tmp_path, order=[3, 0, 5, 1, 4, 2])
    volume = load_volume(read_studies([tmp_path]).studies[0].series[0].stacks[0])
    headers = [read(content) for content in volume.headers.encoded]
    assert [ds.SOPInstanceUID for ds in headers] == [frame.sop_instance_uid for frame in volume.frames]
    assert [ds.InstanceNumber for ds in headers] == [1, 2, 3, 4, 5, 6]
    assert not any("PixelData" in ds for ds in headers)

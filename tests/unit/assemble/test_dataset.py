"""Headers are found by a scanner of our own, with the same result as by pydicom, whatever the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.assemble import headers as module
from dicomnode.assemble.dataset import UpToPixels, read_by_pydicom, scanned
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.assemble.sources import encode_header
from dicomnode.store.foreign import UNREADABLE, quiet
from dicomnode.values import SetAside
from tests.unit.assemble.series import Series, write_all
from tests.unit.assemble.test_sources import rich

EXPLICIT = "1.2.840.10008.1.2.1"


def written(folder: Path, syntax: str, *, undefined: bool = False, frames: int = 1) -> Path:
    ds = rich()
    ds.NumberOfFrames = frames
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SeriesDescription = "Лёгкие"
    ds.file_meta.TransferSyntaxUID = syntax
    for element in ds.iterall() if undefined else ():
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
    return write_all([ds], folder)[0]


def by_pydicom(path: Path) -> tuple[Header, ...] | SetAside:
    """Read the headers of a file without the scanner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "scanned", lambda *_: None)
        return read_headers(path)


def everything(path: Path) -> tuple[UpToPixels, Dataset, bytes]:
    """What the scanner finds: where the pixels are, all elements, and the header as it is kept."""
    (header, *_) = read_headers(path)
    with path.open("rb") as file:
        read = scanned(file, whole=True)
        assert read is not None
        return read, read.everything(), encode_header(read, header)


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [EXPLICIT, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_the_scanner_finds_what_pydicom_finds(tmp_path, syntax, undefined):
    path = written(tmp_path, syntax, undefined=undefined)
    with quiet():
        read, dataset, encoded = everything(path)
        with path.open("rb") as file:
            expected = read_by_pydicom(file)
        assert (read.pixels, read.size, read.transfer_syntax_uid) == (
            expected.pixels,
            expected.size,
            expected.transfer_syntax_uid,
        )
        assert [element.tag for element in dataset] == [element.tag for element in expected.dataset]
        for element in expected.dataset:
            assert dataset[element.tag] == element, element.keyword
        assert encoded == encode_header(dcmread(path, stop_before_pixels=True), read_headers(path)[0])
        assert read_headers(path) == by_pydicom(path)
        assert read_headers(path)[0].tags["SeriesDescription"] == "Лёгкие"


@pytest.mark.parametrize(
    "syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=["big", "deflated"]
)
def test_what_is_not_plain_is_left_to_pydicom(tmp_path, syntax):
    path = written(tmp_path, syntax)
    with path.open("rb") as file, quiet():
        assert scanned(file) is None
        assert isinstance(read_headers(path), tuple)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00ZZ"),  # a VR that there is not
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0"),  # a maker's own transfer syntax
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"),  # implicit, it says
    ],
    ids=["VR", "private syntax", "another syntax"],
)
def test_an_odd_file_gives_what_pydicom_makes_of_it(tmp_path, old, new):
    path = Series().write(tmp_path)[0]
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with quiet():
        with path.open("rb") as file:
            assert scanned(file) is None
        assert read_headers(path) == by_pydicom(path)


def test_the_patient_is_not_remembered(tmp_path):
    """Values are kept between files, for most are the same in all slices; none of a patient is."""
    from dicomnode.assemble import attributes

    path = written(tmp_path, EXPLICIT)
    attributes._converted.cache_clear()
    read_headers(path)
    seen = []
    original = attributes.convert_raw_data_element
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            attributes,
            "convert_raw_data_element",
            lambda raw, **more: seen.append(raw.tag.group) or original(raw, **more),
        )
        attributes._converted.cache_clear()
        read_headers(path)
        assert seen
        assert 0x0010 not in seen
        seen.clear()
        read_headers(path)
        assert seen == []


@settings(max_examples=150, deadline=None)
@given(data=st.data(), syntax=st.sampled_from([EXPLICIT, ImplicitVRLittleEndian]))
def test_a_damaged_file_is_read_as_pydicom_reads_it_or_by_the_scanner_alone(tmp_path_factory, data, syntax):
    """The scanner passes over what it is not asked for, where pydicom may stumble: never the other way."""
    path = written(tmp_path_factory.mktemp("damaged"), syntax, undefined=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(133, len(content))) :]
    path.write_bytes(content)
    with quiet():
        found, expected = read_headers(path), by_pydicom(path)
    assert found == expected or (isinstance(expected, SetAside) and isinstance(found, tuple))


FOLDERS = ("charsets-fo-dicom", "codecs-wg04", "odd-pydicom-data", "pet-qin-headneck", "seg-sr-pm-dcmqi")


@pytest.mark.real_data
@pytest.mark.parametrize("name", FOLDERS)
def test_files_of_many_makers_give_the_same_headers_and_the_same_bytes_for_reports(real_data, name):
    plain = 0
    for path in sorted(one for one in real_data(name).rglob("*") if one.is_file()):
        with quiet(), path.open("rb") as file:
            found = read_headers(path)
            assert found == by_pydicom(path), path.name
            try:
                read = scanned(file, whole=True)
            except UNREADABLE:
                continue
            if read is None or isinstance(found, SetAside):
                continue
            expected = encode_header(dcmread(path, stop_before_pixels=True), found[0])
            assert encode_header(read, found[0]) == expected, path.name
            plain += 1
    assert plain > 3

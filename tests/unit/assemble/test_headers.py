"""Reading one header: bounded, quiet, every problem a value."""

from __future__ import annotations

import logging
import random
import struct
import warnings
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.assemble import headers as module
from dicomnode.assemble import load_volume, read_studies
from dicomnode.assemble.dataset import scanned
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.faults import NodeError
from dicomnode.store.foreign import quiet
from dicomnode.values import SetAside
from tests.unit.assemble.series import Series, write_all


def first(folder: Path, series: Series | None = None, **tags) -> Path:
    """Write one slice and return its path."""
    ds = (series or Series()).datasets()[0]
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return write_all([ds], folder)[0]


def read(path: Path) -> Header | SetAside:
    with quiet():
        read = read_headers(path)
    return read if isinstance(read, SetAside) else read[0]


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_a_header_is_read_from_every_way_to_write_a_data_set(tmp_path, syntax):
    series = Series(tags={"PixelPaddingValue": -2000, "KVP": "120"})
    header = read(first(tmp_path, series.with_(syntax=syntax)))
    assert isinstance(header, Header)
    assert header.transfer_syntax_uid == syntax
    assert (header.rows, header.columns) == (9, 7)
    assert header.spacing_ji_mm == pytest.approx((0.7, 0.9))
    assert header.position_lps_mm == pytest.approx((-123.4, 56.7, -890.1))
    assert header.orientation == (1, 0, 0, 0, 1, 0)
    assert header.rescale == (1.0, -24.0)
    assert header.padding == (-2000, -2000)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header.tags["KVP"] == 120.0
    assert header.damage is None


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 200, b"\0" * 131], ids=["empty", "text", "zeros", "short"]
)
def test_a_file_that_is_not_dicom_is_set_aside(tmp_path, content):
    path = tmp_path / "note.txt"
    path.write_bytes(content)
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert (aside.code, aside.file) == ("DN-3001", str(path))
    assert "no DICM mark" in aside.text


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_header_without_one_of_its_uids_is_set_aside(tmp_path, keyword):
    ds = Series().datasets()[0]
    del ds[keyword]
    ds.file_meta.MediaStorageSOPClassUID = "1.2"
    path = tmp_path / "x.dcm"
    ds.save_as(path, enforce_file_format=False)
    path.write_bytes(b"\0" * 128 + b"DICM" + path.read_bytes().split(b"DICM", 1)[-1])
    aside = read(path)
    assert isinstance(aside, SetAside)
    assert aside.code == "DN-3016"
    assert keyword in aside.text


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", ["0.000", "0.000"]),
        ("PixelSpacing", ["0.7", "-0.7"]),
        ("PixelSpacing", "0.7"),
        ("ImagePositionPatient", ["1", "2"]),
        ("ImagePositionPatient", ["1", "2", "1e300"]),
        ("RescaleSlope", "0"),
    ],
)
def test_a_number_that_is_no_use_counts_as_missing(tmp_path, keyword, value):
    header = read(first(tmp_path, **{keyword: value}))
    names = {
        "PixelSpacing": "spacing_ji_mm",
        "ImagePositionPatient": "position_lps_mm",
        "RescaleSlope": "rescale",
    }
    assert getattr(header, names[keyword]) is None


def raw(tag: int, vr: str, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def replace_element(path: Path, tag: int, vr: str, value: bytes) -> None:
    """Overwrite the value of an element in a file with bytes that pydicom would not write."""
    content = path.read_bytes()
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    at = content.index(head)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    path.write_bytes(content[:at] + raw(tag, vr, value) + content[at + 8 + length :])


@pytest.mark.parametrize("value", [b"nan\\nan\\nan ", b"1,5\\2,5\\3,5 ", b"SECRET\\2\\3 ", b"1e999\\0\\0 "])
def test_text_where_numbers_should_be_counts_as_missing_and_is_told_to_nobody(tmp_path, value, caplog, capfd):
    path = first(tmp_path)
    replace_element(path, 0x00200032, "DS", value)
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        read_studies([path])
    assert read(path).position_lps_mm is None
    assert heard == []
    out, err = capfd.readouterr()
    assert "SECRET" not in caplog.text + out + err


def test_pydicoms_warnings_and_log_lines_about_patients_do_not_leave_the_room(tmp_path, caplog, capfd):
    paths = Series().write(tmp_path)
    for path in paths:
        replace_element(path, 0x00100020, "LO", b"SECRET\xff\xfe^NAME ")
        replace_element(path, 0x00080005, "CS", b"NO SUCH SET ")
        replace_element(path, 0x00200052, "UI", b"SECRETUID ")  # pydicom warns of it, with the value
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        load_volume(read_studies([tmp_path]).studies[0].series[0].stacks[0])
    assert heard == []
    out, err = capfd.readouterr()
    assert "SECRET" not in caplog.text + out + err


def test_damage_to_the_pixels_shows_in_the_header(tmp_path):
    path = first(tmp_path)
    content = path.read_bytes()
    assert read(path).damage is None
    path.write_bytes(content[:-1])
    assert read(path).damage == "its Pixel Data end after 125 of 126 bytes"
    path.write_bytes(content[: content.rindex(b"\xe0\x7f\x10\x00")])
    header = read(path)
    assert header.damage == "it has no Pixel Data"
    assert not header.has_pixels


def test_a_large_private_element_is_not_loaded(tmp_path, monkeypatch):
    ds = Series().datasets()[0]
    ds.private_block(0x0029, "MAKER", create=True).add_new(1, "OB", b"\1" * 5_000_000)
    path = write_all([ds], tmp_path)[0]
    sizes = []

    def spy(file, wanted):
        read = scanned(file, wanted)
        sizes.append(sum(len(element.value or b"") for element in read.dataset.values()))
        return read

    monkeypatch.setattr(module, "scanned", spy)
    assert isinstance(read(path), Header)
    assert sizes[0] < 2000


def test_an_attribute_that_is_far_too_long_is_not_loaded(tmp_path):
    ds = Series().datasets()[0]
    ds.SeriesDescription = ["x" * 60] * 200
    header = read(write_all([ds], tmp_path)[0])
    assert "SeriesDescription" not in header.tags
    assert header.rows == 9


def test_a_file_that_the_disk_does_not_give_is_a_failure_of_the_machine(tmp_path):
    with pytest.raises(NodeError) as caught:
        read(tmp_path / "gone.dcm")
    assert caught.value.fault.code == "DN-1030"


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=["explicit", "implicit", "big"],
)
def test_damaged_files_end_in_values_never_in_another_exception(tmp_path, syntax):
    """150 files a syntax, each with some bytes changed or cut off: read, and decoded where that is tried."""
    series = Series(syntax=syntax, tags={"ReferencedImageSequence": [], "ImageComments": "x" * 50})
    ds = series.datasets()[:3]
    for one in ds:
        one.ReferencedImageSequence = [Series(number=3).datasets()[0]]
        del one.ReferencedImageSequence[0].PixelData
        del one.ReferencedImageSequence[0].file_meta
    good = [path.read_bytes() for path in write_all(ds, tmp_path)]
    rng = random.Random(7)
    outcomes = set()
    for _ in range(150):
        content = bytearray(good[1])
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(132, len(content))] = rng.randrange(256)
        if rng.random() < 0.2:
            del content[rng.randrange(132, len(content)) :]
        (tmp_path / "0001.dcm").write_bytes(content)
        reading = read_studies([tmp_path])
        assert (
            sum(s.instances for study in reading.studies for s in study.series)
            + sum(aside.code in {"DN-3001", "DN-3016"} for aside in reading.set_aside)
            == 3
        )
        for study in reading.studies:
            for one in study.series:
                for stack in one.stacks:
                    if stack.placement is None:
                        outcomes.add(stack.facts.refusal.code)
                        continue
                    try:
                        load_volume(stack)
                        outcomes.add("volume")
                    except NodeError as error:
                        outcomes.add(error.fault.code)
    assert "volume" in outcomes
    assert len(outcomes) > 4

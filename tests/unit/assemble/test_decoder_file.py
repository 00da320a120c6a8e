"""Frames are found in their file: by their fragments, by offset tables, by length; none is guessed."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames, itemize_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.assemble.decode import read_frame
from dicomnode.assemble.decoders.file import UndecodableError, open_image
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import quiet
from tests.unit.assemble.series import Series, write_all

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCAPSULATED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
STORED = np.random.default_rng(5).integers(-1024, 3071, (5, 65, 33)).astype(np.int16)


def dataset_of(syntax, stored=STORED):
    """One object with all frames, native."""
    (ds,) = Series(syntax=syntax, stored=stored[:1]).datasets()
    ds.NumberOfFrames = len(stored)
    ds.BitsAllocated = ds.BitsStored = 8 * stored.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    pixels = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OW"
    return ds


def compressed(syntax):
    ds = dataset_of(ExplicitVRLittleEndian)
    ds.compress(syntax, generate_instance_uid=False)
    return ds


def headers_of(ds, path):
    """One header a frame of a file that is written to `path`."""
    (file,) = write_all([ds], path)
    return [
        Header(
            path=file,
            sop_instance_uid=ds.SOPInstanceUID,
            sop_class_uid=ds.SOPClassUID,
            study_instance_uid=ds.StudyInstanceUID,
            series_instance_uid=ds.SeriesInstanceUID,
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            rows=ds.Rows,
            columns=ds.Columns,
            frames=ds.NumberOfFrames,
            frame_number=number + 1,
        )
        for number in range(ds.NumberOfFrames)
    ]


def stored_of(headers):
    with quiet():
        return [read_frame(header).stored for header in headers]


@pytest.mark.parametrize("syntax", [*NATIVE, *ENCAPSULATED], ids=lambda uid: uid.name[:20])
def test_each_frame_is_its_own_in_whatever_order_it_is_asked_for(tmp_path, syntax):
    ds = compressed(syntax) if syntax in ENCAPSULATED else dataset_of(syntax)
    headers = headers_of(ds, tmp_path)
    for number in (4, 0, 3, 2, 1):
        (stored,) = stored_of([headers[number]])
        assert np.array_equal(stored, STORED[number])
        assert stored.dtype == np.int16


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name[:20])
def test_frames_of_an_odd_number_of_bytes_lie_one_behind_the_other(tmp_path, syntax):
    """Big endian words of two pixels change places across the border of two frames (PS3.5 7.3)."""
    stored = (STORED & 0xFF).astype(np.uint8)
    assert stored[0].size % 2 == 1
    ds = dataset_of(syntax, stored)
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    for found, expected in zip(stored_of(headers_of(ds, tmp_path)), stored, strict=True):
        assert np.array_equal(found, expected)


def streams_of(syntax=JPEGLSLossless):
    ds = compressed(syntax)
    return ds, list(generate_frames(ds.PixelData, number_of_frames=len(STORED)))


def in_pieces(streams, table):
    """Each frame in three fragments; table: offsets to write, or None for an empty Basic Offset Table."""
    items, offsets, at = [], [], 0
    for stream in streams:
        pieces = b"".join(itemize_frame(stream, 3))
        offsets.append(at)
        items.append(pieces)
        at += len(pieces)
    content = struct.pack(f"<{len(offsets)}L", *(table(offsets) if table else [])) if table else b""
    head = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content
    return head + b"".join(items) + b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(list, id="a right table"),
        pytest.param(None, id="an empty table"),
        pytest.param(lambda offsets: [offset + 2 for offset in offsets], id="a table that points beside"),
        pytest.param(lambda offsets: [0] * len(offsets), id="a table of zeros"),
        pytest.param(lambda offsets: list(reversed(offsets)), id="a table backwards"),
    ],
)
def test_frames_of_several_fragments_are_found_with_and_without_a_right_offset_table(tmp_path, table):
    ds, streams = streams_of()
    ds.PixelData = in_pieces(streams, table)
    for found, expected in zip(stored_of(headers_of(ds, tmp_path)), STORED, strict=True):
        assert np.array_equal(found, expected)


def test_an_extended_offset_table_is_read(tmp_path):
    ds, streams = streams_of()
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    for found, expected in zip(stored_of(headers_of(ds, tmp_path)), STORED, strict=True):
        assert np.array_equal(found, expected)


def test_one_frame_may_have_many_fragments(tmp_path):
    ds, streams = streams_of()
    ds.NumberOfFrames = 1
    ds.PixelData = encapsulate(streams[:1], fragments_per_frame=7, has_bot=False)
    (stored,) = stored_of(headers_of(ds, tmp_path))
    assert np.array_equal(stored, STORED[0])


def test_a_frame_costs_its_own_bytes_and_no_others(tmp_path, monkeypatch):
    """Nothing of the other frames is read, but for the heads of their fragments."""
    ds, streams = streams_of()
    headers = headers_of(ds, tmp_path)
    read = []
    with quiet(), open_image(headers[3]) as image:
        plain = type(image)._read
        monkeypatch.setattr(
            type(image), "_read", lambda self, at, length: read.append(length) or plain(self, at, length)
        )
        image.codestream(3)
    assert sum(read) <= len(streams[3]) + 8 * (len(STORED) + 2) + 1


def refused(headers, number, words):
    with quiet(), pytest.raises(UndecodableError, match=words):
        read_frame(headers[number])


def test_fragments_that_belong_to_no_frame_for_certain_are_refused(tmp_path):
    ds, streams = streams_of()
    ds.PixelData = in_pieces([stream.rstrip(b"\0")[:-2] + b"\0\0" for stream in streams], None)
    refused(headers_of(ds, tmp_path), 0, "which of its 15 fragments make its 5 frames")


def test_fewer_fragments_than_frames_are_refused(tmp_path):
    ds, streams = streams_of()
    ds.PixelData = encapsulate(streams[:4])
    refused(headers_of(ds, tmp_path), 0, "it has 5 frames, and 4 fragments")


def test_rle_frames_have_one_fragment_each(tmp_path):
    ds, streams = streams_of(RLELossless)
    ds.PixelData = in_pieces(streams, None)
    refused(headers_of(ds, tmp_path), 0, "it has 5 frames, and 15 fragments")


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda uid: uid.name[:20])
def test_a_file_that_ends_within_a_later_frame_is_refused_as_a_whole(tmp_path, syntax):
    """Which fragments make a frame is not certain where some are missing."""
    headers = headers_of(compressed(syntax), tmp_path)
    headers[0].path.write_bytes(headers[0].path.read_bytes()[:-40])
    refused(headers, 0, "cut off within fragment 5")


def test_a_file_that_ends_without_the_delimiter_is_refused(tmp_path):
    headers = headers_of(compressed(JPEGLSLossless), tmp_path)
    headers[0].path.write_bytes(headers[0].path.read_bytes()[:-8])
    refused(headers, 0, "cut off after 6 fragments")


@pytest.mark.parametrize("number", [0, 4])
def test_a_native_file_that_is_too_short_loses_the_frames_that_are_not_there(tmp_path, number):
    headers = headers_of(dataset_of(ExplicitVRLittleEndian), tmp_path)
    headers[0].path.write_bytes(headers[0].path.read_bytes()[:-10])
    if number == 4:
        refused(headers, 4, "its Pixel Data end after")
    else:
        assert np.array_equal(stored_of(headers[:1])[0], STORED[0])


def test_native_pixels_of_an_encapsulated_syntax_are_refused(tmp_path):
    ds = dataset_of(ExplicitVRLittleEndian)
    ds.compress(RLELossless, generate_instance_uid=False)
    headers = headers_of(ds, tmp_path)
    content = headers[0].path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\0OB")
    headers[0].path.write_bytes(content[: at + 8] + struct.pack("<L", 40) + content[at + 12 :])
    refused(headers, 0, "not encapsulated")


def test_pixels_of_one_bit_are_no_image_of_values(tmp_path):
    ds = dataset_of(ExplicitVRLittleEndian, (STORED & 1).astype(np.uint8))
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = 0
    refused(headers_of(ds, tmp_path), 0, "1 bits stored of 1 allocated")


def test_a_frame_that_is_not_there_is_refused(tmp_path):
    headers = headers_of(compressed(JPEGLSLossless), tmp_path)
    one = headers_of(compressed(JPEGLSLossless), tmp_path)[-1]
    beyond = Header(**{name: getattr(one, name) for name in HEADER_NAMES} | {"frame_number": 6})
    refused([*headers, beyond], 5, "it has 5 frames, not 6")


HEADER_NAMES = (
    "path",
    "sop_instance_uid",
    "sop_class_uid",
    "study_instance_uid",
    "series_instance_uid",
    "transfer_syntax_uid",
    "rows",
    "columns",
    "frames",
)


@pytest.mark.parametrize("missing", ["Rows", "SamplesPerPixel", "BitsStored", "PixelRepresentation"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless], ids=lambda uid: uid.name[:12])
def test_an_image_that_does_not_say_what_its_pixels_are_is_refused(tmp_path, syntax, missing):
    ds = compressed(syntax) if syntax in ENCAPSULATED else dataset_of(syntax)
    headers = headers_of(ds, tmp_path / "whole")
    delattr(ds, missing)
    (path,) = write_all([ds], tmp_path / "less")
    refused([replace(headers[0], path=path)], 0, "its Image Pixel module is not whole")

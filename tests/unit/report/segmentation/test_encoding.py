"""Elements encoded by ourselves are those that pydicom writes, and are written behind all others."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.report.segmentation.encoding import LongDataset, element, element_head, encoded, sequence

_UIDS = st.from_regex(r"[1-9](\.[1-9][0-9]{0,5}){1,8}", fullmatch=True)
_NUMBERS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4)


@given(
    uid=_UIDS, frame=st.integers(1, 99999), position=st.text("0123456789.-", max_size=16), numbers=_NUMBERS
)
def test_elements_and_sequences_are_those_that_pydicom_writes(
    uid: str, frame: int, position: str, numbers: list[int]
) -> None:
    inner, outer, whole = Dataset(), Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID, inner.ReferencedFrameNumber = uid, frame
    outer.SourceImageSequence = [inner, Dataset()]
    outer.DimensionIndexValues = numbers
    whole.DerivationImageSequence = [outer]
    image = element(0x00081155, "UI", uid.encode()) + element(0x00081160, "IS", str(frame).encode())
    values = element(0x00209157, "UL", struct.pack(f"<{len(numbers)}L", *numbers))
    ours = sequence(0x00089124, sequence(0x00082112, image, b"") + values)
    assert ours == encoded(whole)
    assert len(element(0x00200032, "DS", position.encode())) % 2 == 0


def _long() -> LongDataset:
    head = Dataset()
    head.PatientID, head.NumberOfFrames = "PAT-7", 2
    head.PixelData = b"\1\2"
    head.file_meta = FileMetaDataset()
    head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head.file_meta.MediaStorageSOPClassUID = head.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    return LongDataset.of(head, without=("PixelData",))


def test_the_tail_is_written_behind_all_other_elements_and_read_as_one_of_them() -> None:
    long = _long()
    long.tail = (element_head(0x7FE00010, "OB", 4), b"\1\2", memoryview(b"\3\4"))
    assert "PixelData" not in long
    buffer = BytesIO()
    long.save_as(buffer, enforce_file_format=True)
    read = dcmread(BytesIO(buffer.getvalue()))
    assert (read.PatientID, read.NumberOfFrames, read.PixelData) == ("PAT-7", 2, b"\1\2\3\4")


def test_without_a_tail_it_is_a_data_set_like_any_other() -> None:
    buffer = BytesIO()
    _long().save_as(buffer, enforce_file_format=True)
    assert dcmread(BytesIO(buffer.getvalue())).PatientID == "PAT-7"


def test_an_element_that_would_stand_behind_the_tail_is_refused() -> None:
    long = _long()
    long.tail = (element(0x52009230, "SQ", b""),)
    long.PixelData = b"\1\2"
    with pytest.raises(ValueError, match="7FE00010"):
        long.save_as(BytesIO(), enforce_file_format=True)

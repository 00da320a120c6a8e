"""From Explicit to Implicit VR and back: the values stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from dicomnode.deliver import differing_tags
from dicomnode.deliver.convert import converted
from dicomnode.deliver.proposal import EXPLICIT_LE, IMPLICIT_LE, read_header
from dicomnode.faults import NodeError
from tests.wire.small_objects import write_object


def part_10(data_set: bytes, syntax: str, like: Path, path: Path) -> Path:
    """Put File Meta Information before an encoded data set."""
    meta = dcmread(like, stop_before_pixels=True).file_meta
    meta.TransferSyntaxUID = UID(syntax)
    empty = dcmread(like, stop_before_pixels=True)
    empty.clear()
    empty.file_meta = meta
    dcmwrite(path, empty, implicit_vr=syntax == IMPLICIT_LE, little_endian=True)
    path.write_bytes(path.read_bytes() + data_set)
    return path


def there_and_back(file: Path, folder: Path) -> tuple[Path, Path]:
    own = str(dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    other = IMPLICIT_LE if own == EXPLICIT_LE else EXPLICIT_LE
    there = part_10(converted(read_header(file), other).getvalue(), other, file, folder / "there.dcm")
    back = part_10(converted(read_header(there), own).getvalue(), own, file, folder / "back.dcm")
    return there, back


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_the_other_encoding_has_the_same_values_and_the_way_back_the_same_bytes(
    tmp_path: Path, syntax: str
) -> None:
    file = write_object(tmp_path / "a.dcm", 1, syntax=syntax, ImageComments="x" * 5000)
    there, back = there_and_back(file, tmp_path)
    assert differing_tags(file, there) == ()
    assert back.read_bytes()[read_header(back).offset :] == file.read_bytes()[read_header(file).offset :]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "folder", ["pet-qin-headneck", "brain-mr-ge-oblique", "seg-sr-pm-dcmqi", "charsets-fo-dicom"]
)
def test_real_objects_keep_their_values(
    real_data: Callable[[str], Path], tmp_path: Path, folder: str
) -> None:
    files = []
    for path in sorted(p for p in real_data(folder).rglob("*") if p.is_file()):
        try:
            if read_header(path).transfer_syntax_uid in {EXPLICIT_LE, IMPLICIT_LE}:
                files.append(path)
        except NodeError:
            continue
    assert files
    for path in files[:: max(1, len(files) // 4)]:
        there, _ = there_and_back(path, tmp_path)
        assert differing_tags(path, there) == (), path.name


def test_an_object_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path) -> None:
    whole = write_object(tmp_path / "a.dcm", 1)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(NodeError) as failure:
        converted(read_header(cut), IMPLICIT_LE)
    assert failure.value.fault.code == "DN-2008"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5", EXPLICIT_LE])
def test_no_other_conversion_is_ever_made(tmp_path: Path, syntax: str) -> None:
    header = read_header(write_object(tmp_path / "a.dcm", 1))
    with pytest.raises(ValueError, match="never converted"):
        converted(header, syntax)

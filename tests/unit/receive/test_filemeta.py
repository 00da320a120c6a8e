"""File meta information of received instances."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from dicomnode import __version__
from dicomnode.receive.filemeta import file_meta
from dicomnode.values import Sender, is_valid_uid
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@pytest.mark.parametrize(("calling", "called"), [("CT1", "DICOMNODE"), ("SIXTEEN_CHARS_AE", "ODD")])
def test_it_is_what_pydicom_reads(calling: str, called: str) -> None:
    sender = Sender(calling_ae=calling, called_ae=called, address="10.0.0.1")
    encoded = file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.34", "1.2.840.10008.1.2.4.80", sender)
    assert len(encoded) % 2 == 0
    meta = pydicom.dcmread(BytesIO(bytes(128) + encoded)).file_meta
    assert meta.FileMetaInformationGroupLength == len(encoded) - 4 - 12
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert meta.MediaStorageSOPInstanceUID == "1.2.34"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == calling
    assert meta.SendingApplicationEntityTitle == calling
    assert meta.ReceivingApplicationEntityTitle == called


def test_our_implementation_is_named_as_the_standard_allows() -> None:
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)
    assert IMPLEMENTATION_CLASS_UID.startswith("2.25.")
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16
    assert IMPLEMENTATION_VERSION_NAME.endswith(__version__)

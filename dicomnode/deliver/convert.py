"""The same data set in the other uncompressed little endian encoding, for a peer that takes no other."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from dicomnode.deliver.proposal import CONVERTIBLE, ObjectHeader
from dicomnode.faults import SEND_UNREADABLE, NodeError
from dicomnode.store.foreign import quiet

_UNDEFINED: Final = 0xFFFFFFFF  # length


def converted(header: ObjectHeader, transfer_syntax_uid: str) -> BytesIO:
    """Encode the object's data set, without File Meta Information, in `transfer_syntax_uid`.

    Only between Explicit and Implicit VR Little Endian: the values stay, their headers change (PS3.5 7.1).
    Raises NodeError(SEND_UNREADABLE) when the data set cannot be read or written so.
    """
    if CONVERTIBLE.get(header.transfer_syntax_uid) != transfer_syntax_uid:
        raise ValueError(f"{header.transfer_syntax_uid} is never converted to {transfer_syntax_uid}")
    target = DicomBytesIO()
    target.is_implicit_VR = UID(transfer_syntax_uid).is_implicit_VR
    target.is_little_endian = True
    try:
        with quiet():  # of a value that is not as it should be: it is the source's, and stays
            source = dcmread(header.path)
            _check_whole(source)
            write_dataset(target, source)
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        text = f"it cannot be encoded as {UID(transfer_syntax_uid).name} ({error})"
        raise NodeError(SEND_UNREADABLE, path=header.path, error=text) from error
    return BytesIO(target.getvalue())


def _check_whole(source: Dataset) -> None:
    """Raise EOFError where an element is shorter than its length says: pydicom takes what there is."""
    element: object
    for element in source.values():
        if isinstance(element, RawDataElement) and element.length != _UNDEFINED:
            found = len(element.value) if element.value is not None else 0
            if found != element.length:
                raise EOFError(f"element {element.tag} ends after {found} of {element.length} bytes")

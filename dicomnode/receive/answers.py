"""What a sender is told: the status of each fault, and a comment that fits its log (64 characters)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dicomnode.faults import (
    BUG,
    CONTEXT_MISMATCH,
    DATASET_UNREADABLE,
    GROUPING_UID_WRONG,
    NOTICE_ACTION_UNKNOWN,
    NOTICE_LACKS,
    NOTICE_UNREADABLE,
    OBJECT_TOO_LARGE,
    OPERATION_UNKNOWN,
    STORE_FULL,
    STORE_WRITE_FAILED,
    UID_INVALID,
    UID_MISMATCH,
    UID_MISSING,
    Fault,
)
from dicomnode.receive.command import Answer

SUCCESS: Final = Answer(status=0x0000)

# PS3.7 C.5.20: Processing failure; for what has no status of its own in the table of faults
_PROCESSING_FAILURE: Final = 0x0110

# No warning status is ever given: PS3.4 table B.2-1 lets a sender take it for "stored"
_COMMENTS: Final[Mapping[str, str]] = {
    STORE_FULL.code: "the disk is below its reserve, send again later",
    STORE_WRITE_FAILED.code: "the disk failed, nothing was stored",
    UID_MISSING.code: "Affected SOP Class or Instance UID is missing",
    UID_INVALID.code: "Affected SOP Class or Instance UID is no UID",
    UID_MISMATCH.code: "UIDs of command and data set differ",
    CONTEXT_MISMATCH.code: "SOP Class is not that of the context",
    DATASET_UNREADABLE.code: "the data set cannot be read or is cut",
    OBJECT_TOO_LARGE.code: "the object is larger than allowed",
    GROUPING_UID_WRONG.code: "Study or Series Instance UID is wrong",
    OPERATION_UNKNOWN.code: "this operation is not served",
    NOTICE_UNREADABLE.code: "the notice cannot be read",
    NOTICE_LACKS.code: "an attribute of the notice is missing",
    NOTICE_ACTION_UNKNOWN.code: "there is no such action",
    BUG.code: "internal error, nothing was stored",
}


def answer_for(fault: Fault, offending: tuple[int, ...] = ()) -> Answer:
    """Make the response that refuses a request for a fault: its status, its code and a few words."""
    comment = f"{fault.code} {_COMMENTS.get(fault.code, '')}".strip()
    status = _PROCESSING_FAILURE if fault.dimse_status is None else fault.dimse_status
    return Answer(status=status, comment=comment, offending=offending)

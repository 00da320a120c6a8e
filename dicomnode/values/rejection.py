"""Why an object is rejected: the titles of rejection notes (PS3.16 CID 7010, IHE IOCM)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Code value of the scheme DCM → its meaning
REJECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "113001": "Rejected for Quality Reasons",
        "113037": "Rejected for Patient Safety Reasons",
        "113038": "Incorrect Modality Worklist Entry",
        "113039": "Data Retention Policy Expired",
    }
)

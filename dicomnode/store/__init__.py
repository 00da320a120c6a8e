"""The store: the bytes on disk. What it has acknowledged survives a power cut at any instant.

Layout below the root: `incoming/` (sealed files as they came), `studies/` (instances, by hashed names),
`findings/`, `outbox/` (result objects), `notices/` (what others say of studies), `quarantine/`,
`history/` (what instances were before they were corrected, and whose studies are by HL7).
Nothing here builds a path from what a peer sent.
Loading this room loads neither numpy nor pydicom: the receiver lives on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.store.adoption import Adoption
from dicomnode.store.disk import Disk
from dicomnode.store.identity_file import load_identity
from dicomnode.store.ids import InstanceIds, read_ids
from dicomnode.store.local import require_local
from dicomnode.store.part import PartFile
from dicomnode.store.recovery import Recovery
from dicomnode.store.seal import SealedFile, verify
from dicomnode.store.store import Store
from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.store.findings_file import load_findings

__all__ = [
    "Adoption",
    "Disk",
    "InstanceIds",
    "PartFile",
    "Recovery",
    "SealedFile",
    "Store",
    "load_findings",
    "load_identity",
    "read_ids",
    "require_local",
    "verify",
]

__getattr__ = lazy_face(__name__, {"findings_file": ("load_findings",)})

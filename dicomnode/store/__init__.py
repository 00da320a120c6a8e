"""The store: the bytes on disk. What it has acknowledged survives a power cut at any instant.

Layout below the root: `incoming/` (sealed files as they came), `studies/` (instances, by hashed names),
`findings/`, `outbox/` (result objects), `quarantine/`. Nothing here builds a path from what a peer sent.
Loading this room loads neither numpy nor pydicom: the receiver lives on it.
"""

from __future__ import annotations

from dicomnode.store.adoption import Adoption
from dicomnode.store.disk import Disk
from dicomnode.store.ids import InstanceIds, read_ids
from dicomnode.store.local import require_local
from dicomnode.store.part import PartFile
from dicomnode.store.recovery import Recovery
from dicomnode.store.seal import SealedFile
from dicomnode.store.store import Store

__all__ = [
    "Adoption",
    "Disk",
    "InstanceIds",
    "PartFile",
    "Recovery",
    "SealedFile",
    "Store",
    "read_ids",
    "require_local",
]

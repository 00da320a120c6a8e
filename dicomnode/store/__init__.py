"""The store: the bytes on disk. What it has acknowledged survives a power cut at any instant.

Layout below the root: `incoming/` (sealed files as they came), `studies/` (instances, by hashed names),
`findings/`, `outbox/` (result objects), `notices/` (what others say of studies), `quarantine/`,
`history/` (what instances were before they were corrected, and whose studies are by HL7), `arriving/`
(what open associations bring).
Nothing here builds a path from what a peer sent.
Names are loaded when first used: the receiver lives on this room and loads neither numpy nor pydicom with it,
and a decoder process, which wants `elements` alone, loads none of the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.store.adoption import Adoption
    from dicomnode.store.arriving import Arriving, arriving_studies
    from dicomnode.store.disk import Disk, SharedDisk
    from dicomnode.store.findings_file import load_findings, read_provenance, read_remarks
    from dicomnode.store.identity_file import load_former, load_identity
    from dicomnode.store.ids import InstanceIds, read_ids
    from dicomnode.store.labels import LabelsKept, labels_kept
    from dicomnode.store.local import require_local
    from dicomnode.store.part import PartFile
    from dicomnode.store.recovery import Recovery
    from dicomnode.store.seal import SealedFile, verify
    from dicomnode.store.store import Store
    from dicomnode.store.whole import TEMPORARY_SUFFIX, write_whole

_HOMES = {
    "adoption": ("Adoption",),
    "arriving": (
        "Arriving",
        "arriving_studies",
    ),
    "disk": (
        "Disk",
        "SharedDisk",
    ),
    "findings_file": ("load_findings", "read_provenance", "read_remarks"),
    "identity_file": ("load_former", "load_identity"),
    "ids": (
        "InstanceIds",
        "read_ids",
    ),
    "labels": ("LabelsKept", "labels_kept"),
    "local": ("require_local",),
    "part": ("PartFile",),
    "recovery": ("Recovery",),
    "seal": (
        "SealedFile",
        "verify",
    ),
    "store": ("Store",),
    "whole": (
        "TEMPORARY_SUFFIX",
        "write_whole",
    ),
}

__all__ = [
    "TEMPORARY_SUFFIX",
    "Adoption",
    "Arriving",
    "Disk",
    "InstanceIds",
    "LabelsKept",
    "PartFile",
    "Recovery",
    "SealedFile",
    "SharedDisk",
    "Store",
    "arriving_studies",
    "labels_kept",
    "load_findings",
    "load_former",
    "load_identity",
    "read_ids",
    "read_provenance",
    "read_remarks",
    "require_local",
    "verify",
    "write_whole",
]

__getattr__ = lazy_face(__name__, _HOMES)

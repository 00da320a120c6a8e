"""UIDs of results: derived, never drawn, so that making an object twice gives the same object once.

They depend on what shapes the bytes: the installation's salt, the study and its version, the inputs, the
engine and its digest, the kind of object and how it is written. All are below 2.25 (PS3.5 B.2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dicomnode.values import Findings, Outcome, derive_uid

_WRITING = "3"  # raised whenever the same Findings would be written as other bytes


@dataclass(frozen=True, slots=True)
class ResultUids:
    """The UIDs of one kind of result object of some Findings."""

    salt: bytes
    origin: tuple[str, ...]

    @classmethod
    def of(cls, findings: Findings, salt: bytes, kind: str, encoding: str) -> ResultUids:
        """The UIDs of a `kind` ("SEG", "SR") written as `encoding` (what of the profile shapes its bytes)."""
        inputs = hashlib.sha256()
        for source in findings.sources:
            for frame in source.frames:
                inputs.update(f"{frame.sop_instance_uid}:{frame.frame_number};".encode())
        for prior in findings.earlier:
            for one in prior.instances:
                inputs.update(f"{prior.name}:{one.sop_instance_uid};".encode())
        made_by = findings.provenance
        # What says that an analysis failed is another object than what it finds when it works
        mark = (str(findings.outcome),) if findings.outcome is Outcome.FAILED else ()
        return cls(
            salt,
            (
                findings.sources[0].study_instance_uid,
                str(findings.study_version),
                inputs.hexdigest(),
                made_by.engine,
                made_by.version,
                made_by.engine_digest,
                kind,
                encoding,
                _WRITING,
                *mark,
            ),
        )

    @property
    def instance(self) -> str:
        """SOP Instance UID."""
        return derive_uid(self.salt, *self.origin, "instance")

    @property
    def series(self) -> str:
        """Series Instance UID: each kind of object has a series of its own."""
        return derive_uid(self.salt, *self.origin, "series")

    def inside(self, what: str) -> str:
        """A UID inside the object: of a dimension organisation, of something that is tracked."""
        return derive_uid(self.salt, *self.origin, what)


def device_uid(salt: bytes) -> str:
    """Device Observer UID (TID 1004): one an installation, the same in all its reports."""
    return derive_uid(salt, "device observer")


def device_serial(salt: bytes) -> str:
    """Device Serial Number (0018,1000): sixteen hex digits that name the installation, not its salt."""
    return hashlib.sha256(b"device serial number" + salt).hexdigest()[:16]

"""What a result is made for, as far as its tracking depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.values import derive_uid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occasion:
    """What tracking UIDs are derived from: the same engine on the same study version gives the same ones."""

    salt: bytes
    study_version: int
    engine_digest: str
    study_instance_uid: str

    def tracking_uid(self, label: str) -> str:
        """Return the Tracking Unique Identifier (0062,0021) of a finding."""
        version = str(self.study_version)
        return derive_uid(self.salt, self.study_instance_uid, version, self.engine_digest, "tracking", label)

"""What a result is made for, as far as its tracking depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.values import derive_uid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occasion:
    """What tracking UIDs are derived from: the same engine on the same volume gives the same ones.

    first_slice: SOP Instance UID and frame of the volume's first slice, which tells series of a study apart.
    """

    salt: bytes
    study_version: int
    engine_digest: str
    study_instance_uid: str
    first_slice: str

    def tracking_uid(self, label: str) -> str:
        """Return the Tracking Unique Identifier (0062,0021) of a finding."""
        study = (self.study_instance_uid, str(self.study_version))
        return derive_uid(self.salt, *study, self.first_slice, self.engine_digest, "tracking", label)

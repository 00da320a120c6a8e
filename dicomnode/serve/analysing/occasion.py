"""What a result is made for: its own file, as who only tells of an analysis loads none of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dicomnode.store.persons import NO_RENAMING, Renaming


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a result is made for.

    made_at: the moment that its dates name, in the zone that they are written in (PS3.3 C.12.1.1.7: without
    a Timezone Offset From UTC, times are those of the site). salt: of its UIDs. renaming: what messages said
    of the patient.
    """

    study_version: int
    made_at: datetime
    salt: bytes
    renaming: Renaming = NO_RENAMING

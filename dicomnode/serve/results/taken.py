"""What a destination gets, by what it wants and what SOP Classes it refused of late.

The clerk who makes the objects and the one who sends them ask the same question of the same memory, so that
what is refused goes back to be made otherwise only where something else would come of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydicom.uid import Comprehensive3DSRStorage

from dicomnode.journal import Journal, ObjectRecord
from dicomnode.report import Choice, choose
from dicomnode.report.choice import SOP_CLASSES
from dicomnode.report.objects import Kind
from dicomnode.settings import DestinationSettings

# What a destination refused is asked for again after so long: somebody may have allowed it there
_HOLDS: Final = timedelta(hours=24)
# Where it refused all that it could get: it may have been in trouble, and nothing at all is worse than to ask
NEWS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Gets:
    """What a destination gets.

    choice: kinds of objects. in_space: its reports have coordinates in space. refused: kinds that it does not
    take, wanted or not.
    """

    choice: Choice
    in_space: bool
    refused: frozenset[Kind]

    def holds(self, one: ObjectRecord) -> bool:
        """Whether an object that stands in the outbox would be made like that now."""
        in_space = one.sop_class_uid == Comprehensive3DSRStorage
        return one.kind in self.choice.kinds and (self.in_space or not in_space)


def class_of_images(objects: Iterable[ObjectRecord]) -> str | None:
    """SOP Class of the derived images among result objects; None without any."""
    return next((one.sop_class_uid for one in objects if one.kind == "IMAGES"), None)


def what_it_gets(
    journal: Journal, to: DestinationSettings, place: str, images: str | None, now: datetime
) -> Gets:
    """Decide it. place: who the destination is (`place_of`). images: SOP Class of derived images, if any.

    No kind at all: all were refused within the hour.
    """
    for holds in (_HOLDS, NEWS):
        refused = journal.refused_classes(place, now - holds)
        in_space = to.coordinates == "3d" and Comprehensive3DSRStorage not in refused
        classes = dict(SOP_CLASSES)
        if in_space:
            classes["SR"] = Comprehensive3DSRStorage
        if images is not None:
            classes["IMAGES"] = images
        choice = choose(to.objects, refused, fallback=to.fallback, classes=classes)
        if choice.kinds:
            break
    return Gets(choice, in_space, frozenset(kind for kind, uid in classes.items() if uid in refused))

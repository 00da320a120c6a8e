"""A first look at the training part: what its grids and values are, before anything is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.plan import Look, look_at
from dicomnode.values import Progress, Volume

STAGE: Final = "looking at studies"


def look_at_all(cases: Sequence[Case], progress: Progress) -> tuple[list[Case], list[Look]]:
    """Look at each case; one that cannot be decoded is passed over here, and told when it is prepared.

    Raises NodeError(NOTHING_TO_LEARN) when none can.
    """
    looked, looks = [], []
    last: NodeError | None = None
    for done, case in enumerate(cases):
        progress(STAGE, done, len(cases))
        try:
            images = case.load()
        except NodeError as error:
            last = error
            continue
        if isinstance(images, Volume):
            looked.append(case)
            looks.append(look_at(case, images))
    progress(STAGE, len(cases), len(cases))
    if not looks:
        reason = "no study of the training part can be decoded" + (f": {last}".rstrip(".") if last else "")
        raise NodeError(
            NOTHING_TO_LEARN, task="anything", reason=reason, advice="See why with `dicomnode try`."
        )
    return looked, looks

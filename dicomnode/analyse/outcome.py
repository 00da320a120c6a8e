"""How an analysis ended: with findings, with none, or with nothing that could be said."""

from __future__ import annotations

from typing import Final

from dicomnode.analyse.ran import Ran
from dicomnode.engine import Manifest
from dicomnode.values import FindingKind, Outcome, RemarkKind

_LESION: Final = "lesion"
_SOUGHT: Final = ("region", "classification")  # an engine that gives such a thing looks for something


def outcome_of(manifest: Manifest, ran: Ran) -> Outcome:
    """Tell how it ended: an engine that looks for something has found something when it has found one.

    Where it found nothing and did not look for all that it should, nobody may read that nothing is there.
    """
    placed, numbers = ran.placed, ran.numbers
    seeks = any(one.kind == _LESION or one.what in _SOUGHT for one in manifest.output)
    lesions = any(segment.kind == FindingKind.LESION for segment in placed.segments)
    found = bool(lesions or placed.regions or any(one.present for one in numbers.classifications))
    if not seeks:
        found = bool(
            placed.segments or numbers.measurements or numbers.maps or numbers.images or numbers.features
        )
    if found:
        return Outcome.FINDINGS
    remarks = (*placed.remarks, *numbers.remarks)
    unseen = any(remark.kind == RemarkKind.NOT_ANALYSED for remark in remarks)
    unseen = unseen or ran.refusal is not None
    return Outcome.NOT_ANALYSED if unseen else Outcome.NO_FINDINGS

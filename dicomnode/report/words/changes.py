"""What became of lesions since an earlier study: a sentence on all, one on each, a word for a table.

Of the earlier study they say how many days before it was, and never its date, which is of the patient.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from dicomnode.report.words.sentences import site_text
from dicomnode.report.words.wording import place_text, sentence, size_text, volume_text
from dicomnode.values import LEAST_CHANGE_PERCENT, Change, ChangeKind, Findings, Region, Segment
from dicomnode.values.codes import DAY

_GROWN: Final = "grown"
_SHRUNK: Final = "shrunk"
_NO_SURE_CHANGE: Final = "without sure change"
_NEW: Final = "new"
_NOT_FOUND: Final = "not found now"
_NOT_COMPARED: Final = "not compared"
_WORDS: Final = (_GROWN, _NEW, _NOT_FOUND, _SHRUNK, _NO_SURE_CHANGE, _NOT_COMPARED)
_NOT_SURE: Final = (
    f"no sure change, as the same volume measured twice may differ by {LEAST_CHANGE_PERCENT:g} %"
)


def change_summary(findings: Findings) -> list[str]:
    """Count what became of the lesions, in a sentence; none where nothing was compared."""
    if not findings.changes:
        return []
    counts = Counter(_became(one) for one in findings.changes)
    parts = [f"{counts[word]} {word}" for word in _WORDS if counts[word]]
    days = findings.changes[0].days
    study = f"{_days(days)} before" if days else "the earlier study"
    return [f"Lesions, compared with {study}: {', '.join(parts)}."]


def change_sentences(findings: Findings) -> list[str]:
    """Say of each lesion how it changed: first what was found now, then what was found only then."""
    return [sentence(_said(one, findings)) for one in findings.changes]


def change_word(found: Segment | Region, findings: Findings) -> str:
    """How a lesion changed, in a word: "+27 %", "new"; nothing where it is not known."""
    change = next((one for one in findings.changes if one.label == found.label), None)
    if change is None:
        return ""
    if change.percent is not None:
        return _percent(change.percent)
    return _NEW if change.kind is ChangeKind.NEW else ""


def _became(one: Change) -> str:
    if one.kind is ChangeKind.MEASURED:
        grew = (one.percent or 0.0) > 0.0
        return _NO_SURE_CHANGE if not one.is_sure else _GROWN if grew else _SHRUNK
    return {ChangeKind.NEW: _NEW, ChangeKind.NOT_FOUND_NOW: _NOT_FOUND}.get(one.kind, _NOT_COMPARED)


def _said(one: Change, findings: Findings) -> str:
    before = _before(one)
    if one.kind is ChangeKind.MEASURED:
        return f"{one.label}: {_size_now(one, findings)}, was {_size_then(one)} {before}: {_growth(one)}"
    if one.kind is ChangeKind.FOUND_IN_BOTH:
        return f"{one.label}: was there {before}; one of the two has no outline, so no change is measured"
    if one.kind is ChangeKind.NEW:
        return f"{one.label}: new, not found {before}"
    if one.kind is ChangeKind.NOT_IMAGED_THEN:
        return f"{one.label}: not compared, as its place was not imaged {before}"
    imaged = _NOT_FOUND if one.kind is ChangeKind.NOT_FOUND_NOW else "its place is not imaged now"
    size = f", {_size_then(one)}" if one.earlier_volume_mm3 is not None else ""
    place = place_text(one.centre_lps_mm, findings)
    return f"{one.type.meaning}{site_text(one)}{size}, found {before}: {imaged} ({place})"


def _growth(one: Change) -> str:
    percent = _percent(one.percent or 0.0)
    if not one.is_sure:
        return f"{percent}, {_NOT_SURE}"
    if one.doubling_days is not None:
        return f"{percent}, doubling in {_days(one.doubling_days)}"
    return percent if one.days else f"{percent}, over what time is not known"


def _percent(percent: float) -> str:
    return f"{round(percent):+d} %"


def _before(one: Change) -> str:
    return f"{_days(one.days)} before" if one.days else "in the earlier study"


def _days(days: float) -> str:
    return f"{round(days)} {DAY.meaning if round(days) == 1 else f'{DAY.meaning}s'}"


def _size_now(one: Change, findings: Findings) -> str:
    return next((size_text(found, findings) for found in findings.segments if found.label == one.label), "")


def _size_then(one: Change) -> str:
    return volume_text(one.earlier_volume_mm3 or 0.0)

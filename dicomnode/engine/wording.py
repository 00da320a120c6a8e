"""Rules and values of engine.toml in words that need no look at engine.toml.

`dicomnode why` and `dicomnode try` print them to people who never read the code: "spacing between slices at
most 5 mm", "7 mm", not `spacing_k_mm at_most 5.0`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dicomnode.engine.manifest.tree import Preference, Requirement, Scalar
from dicomnode.values import Fact

COMPARISONS: Final = (
    "equals",
    "one_of",
    "matches",
    "present",
    "absent",
    "at_least",
    "at_most",
    "contains",
)
PREFERENCES: Final = ("smaller", "larger", "equals", "matches")

_COMPARED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "equals": "is",
        "one_of": "is one of",
        "matches": "fits the pattern",
        "present": "is given",
        "absent": "is not given",
        "at_least": "at least",
        "at_most": "at most",
        "contains": "include",
    }
)
_ALONE: Final = ("present", "absent")

ABSENT: Final = "not given"
UNKNOWN: Final = "not known"
UNKNOWN_TAKEN: Final = "not known, taken for now"


@dataclass(frozen=True, slots=True)
class FactWords:
    """How people call a fact. unit: behind its numbers. yes, no: how they say that it is true, false."""

    name: str
    unit: str = ""
    yes: str = "yes"
    no: str = "no"


# All facts that `SeriesFacts` documents; a rule on another one can never hold.
FACTS: Final[Mapping[str, FactWords]] = MappingProxyType(
    {
        "kind": FactWords("kind of images"),
        "instances": FactWords("number of images"),
        "frames": FactWords("number of frames"),
        "frames_per_s": FactWords("frames a second"),
        "view": FactWords("view"),
        "laterality": FactWords("side"),
        "intent": FactWords("meant for presentation or processing"),
        "colour": FactWords("pixels", yes="in colour", no="in grey"),
        "capture": FactWords("images", yes="captures of a screen", no="no captures of a screen"),
        "extent_k_mm": FactWords("length that the slices cover", "mm"),
        "spacing_k_mm": FactWords("spacing between slices", "mm"),
        "spacing_j_mm": FactWords("spacing between rows of an image", "mm"),
        "spacing_i_mm": FactWords("spacing between columns of an image", "mm"),
        "rows": FactWords("rows of an image"),
        "columns": FactWords("columns of an image"),
        "plane": FactWords("plane of the slices"),
        "covers": FactWords("body parts shown"),
        "contrast": FactWords("contrast phase"),
        "phase": FactWords("what tells it from the other stacks of its series"),
        "block": FactWords("which part of an uneven series"),
        "tilt_degrees": FactWords("tilt of the gantry", "degrees"),
        "lossy": FactWords("images", yes="compressed with loss", no="never compressed with loss"),
        "unit": FactWords("unit of the values"),
    }
)
# Of attributes whose number has a unit (PS3.6 does not say it; PS3.3 does)
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "EchoTime": "ms",
        "InversionTime": "ms",
        "RepetitionTime": "ms",
        "FlipAngle": "degrees",
        "KVP": "kV",
        "XRayTubeCurrent": "mA",
        "MagneticFieldStrength": "T",
        "ReconstructionDiameter": "mm",
        "SliceThickness": "mm",
        "SpacingBetweenSlices": "mm",
        "DiffusionBValue": "s/mm²",
    }
)
# Between a small letter and a capital, and before the last of several capitals: "MR Acquisition Type"
_WORD_STARTS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UID: Final = re.compile(r"1\.2\.840\.10008(\.\d+)+")


def comparison(rule: Requirement) -> str:
    """Return the name of the one comparison that a rule makes."""
    return next(name for name in COMPARISONS if getattr(rule, name) is not None)


def subject(rule: Requirement | Preference) -> str:
    """Say what a rule speaks of: a fact by what people call it, an attribute by its name in DICOM."""
    if rule.fact is not None:
        known = FACTS.get(rule.fact)
        return known.name if known is not None else rule.fact
    return _WORD_STARTS.sub(" ", rule.tag or "")


def words(rule: Requirement) -> str:
    """Say a rule: "Modality is CT", "spacing between slices at most 5 mm"."""
    what, name = subject(rule), comparison(rule)
    if isinstance(rule.equals, bool):
        return f"{what} {shown(rule, rule.equals)}"
    return f"{what} {_COMPARED[name]} {'' if name in _ALONE else shown(rule, getattr(rule, name))}".rstrip()


def shown(rule: Requirement | Preference, value: Fact | tuple[Scalar, ...]) -> str:
    """Write a value of what the rule speaks of, with its unit: "7 mm", "CT Image Storage", "not given"."""
    known = FACTS.get(rule.fact or "")
    if isinstance(value, bool) and known is not None:
        return known.yes if value else known.no
    if value in (None, (), "") and rule.fact is not None:
        return UNKNOWN
    text = _shorter(rule, value) if isinstance(value, float) else text_of(value)
    unit = known.unit if known is not None else _UNITS.get(rule.tag or "", "")
    is_one = value is not None and not isinstance(value, tuple)
    return f"{text} {unit}" if unit and is_one and text != ABSENT else text


def text_of(value: Fact | tuple[Scalar, ...]) -> str:
    """Write a value as people read it: several with commas, a UID by its name, no value as "not given"."""
    if value in (None, (), ""):
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, tuple):
        return ", ".join(text_of(one) for one in value)
    return _uid_name(value) if isinstance(value, str) and _UID.fullmatch(value) else str(value)


def _shorter(rule: Requirement | Preference, number: float) -> str:
    """Write a number with four digits, with more where it would look like the limit that it misses."""
    text = f"{number:.4g}"
    limits = (getattr(rule, "at_least", None), getattr(rule, "at_most", None))
    return text_of(number) if not math.isfinite(number) or float(text) in limits else text


def _uid_name(uid: str) -> str:
    # A table of 2,000 lines: loaded only where a rule on a UID is told
    from pydicom.uid import UID  # noqa: PLC0415

    return UID(uid).name

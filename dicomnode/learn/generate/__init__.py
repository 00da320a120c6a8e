"""Generate: phantom studies with known truth, as valid DICOM, for training, teaching and tests.

Plainly nobody's: every header says so. Loads no torch. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.generate.plan import KINDS, Case, Kind, SynthPlan, planned_cases
    from dicomnode.learn.generate.synth import SynthCase, SynthSet, synth_cases

_HOMES = {
    "plan": ("KINDS", "Case", "Kind", "SynthPlan", "planned_cases"),
    "synth": ("SynthCase", "SynthSet", "synth_cases"),
}

__all__ = ["KINDS", "Case", "Kind", "SynthCase", "SynthPlan", "SynthSet", "planned_cases", "synth_cases"]

__getattr__ = lazy_face(__name__, _HOMES)

"""From a volume to findings: prepare it, run the steps of an engine, measure what they found.

Names are loaded when first used: they need numpy, scipy and a runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.analyse.algorithms import ALGORITHMS
    from dicomnode.analyse.analysis import Analysis
    from dicomnode.analyse.analyst import Analyst
    from dicomnode.analyse.covered import covered_by
    from dicomnode.analyse.deformable import Deformation, lay_over, registered
    from dicomnode.analyse.interpret import INTERPRETATIONS

_HOMES = {
    "algorithms": ("ALGORITHMS",),
    "analysis": ("Analysis",),
    "analyst": ("Analyst",),
    "covered": ("covered_by",),
    "deformable": ("Deformation", "lay_over", "registered"),
    "interpret": ("INTERPRETATIONS",),
}

__all__ = [
    "ALGORITHMS",
    "INTERPRETATIONS",
    "Analysis",
    "Analyst",
    "Deformation",
    "covered_by",
    "lay_over",
    "registered",
]

__getattr__ = lazy_face(__name__, _HOMES)

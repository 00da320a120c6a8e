"""Studies with known truth as valid DICOM: the demonstration, the self-test and the fixtures of all tests.

Names are loaded when first used: they need numpy, scipy and pydicom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.phantom.acquire import Scanner
    from dicomnode.phantom.anatomy import Thorax, thorax
    from dicomnode.phantom.demo import DEMO_SEED, DemoStudy, demo_study
    from dicomnode.phantom.enhanced import write_enhanced
    from dicomnode.phantom.header import PHANTOM_VERSION, SeriesForm, series_uid, study_uid
    from dicomnode.phantom.nodules import PlantedNodule
    from dicomnode.phantom.series import write_series
    from dicomnode.phantom.truth import Truth, load_truth, save_truth

_HOMES = {
    "acquire": ("Scanner",),
    "anatomy": ("Thorax", "thorax"),
    "demo": ("DEMO_SEED", "DemoStudy", "demo_study"),
    "enhanced": ("write_enhanced",),
    "header": ("PHANTOM_VERSION", "SeriesForm", "series_uid", "study_uid"),
    "nodules": ("PlantedNodule",),
    "series": ("write_series",),
    "truth": ("Truth", "load_truth", "save_truth"),
}

__all__ = [
    "DEMO_SEED",
    "PHANTOM_VERSION",
    "DemoStudy",
    "PlantedNodule",
    "Scanner",
    "SeriesForm",
    "Thorax",
    "Truth",
    "demo_study",
    "load_truth",
    "save_truth",
    "series_uid",
    "study_uid",
    "thorax",
    "write_enhanced",
    "write_series",
]

__getattr__ = lazy_face(__name__, _HOMES)

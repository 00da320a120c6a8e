"""Studies with known truth as valid DICOM: the demonstration, the self-test and the fixtures of all tests.

Names are loaded when first used: they need numpy, scipy and pydicom.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.phantom.acquire import Scanner
    from dicomnode.phantom.anatomy import Thorax, thorax
    from dicomnode.phantom.demo import DEMO_SEED, DemoStudy, demo_study
    from dicomnode.phantom.header import PHANTOM_VERSION, SeriesForm, series_uid, study_uid
    from dicomnode.phantom.nodules import PlantedNodule
    from dicomnode.phantom.series import write_series
    from dicomnode.phantom.truth import Truth, load_truth, save_truth

_HOMES = {
    "acquire": ("Scanner",),
    "anatomy": ("Thorax", "thorax"),
    "demo": ("DEMO_SEED", "DemoStudy", "demo_study"),
    "header": ("PHANTOM_VERSION", "SeriesForm", "series_uid", "study_uid"),
    "nodules": ("PlantedNodule",),
    "series": ("write_series",),
    "truth": ("Truth", "load_truth", "save_truth"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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
    "write_series",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)

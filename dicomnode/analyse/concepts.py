"""What each word of `measure` in an engine.toml stands for: concept, unit and derivation.

DICOM has no code for those that this node defines itself (scheme 99DICOMNODE, PS3.16 section 8.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dicomnode.values import Code
from dicomnode.values.codes import CUBIC_MILLIMETRE, DAY, HOUNSFIELD, MILLILITRE, MILLIMETRE, PERCENT

_VOLUME: Final = Code("118565006", "SCT", "Volume")
_LONG_AXIS: Final = Code("103339001", "SCT", "Long axis")
_SHORT_AXIS: Final = Code("103340004", "SCT", "Short axis")
_ATTENUATION: Final = Code("112031", "DCM", "Attenuation Coefficient")
_MEAN: Final = Code("373098007", "SCT", "Mean")
_STANDARD_DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")
_LAA_950: Final = Code("LAA950", "99DICOMNODE", "Low attenuation area below -950 HU")
_PERCENTILE_15: Final = Code("PERC15", "99DICOMNODE", "15th percentile of attenuation")
_EQUIVALENT_DIAMETER: Final = Code("EQDIAM", "99DICOMNODE", "Diameter of sphere of equal volume")
_EARLIER_VOLUME: Final = Code("EARLIERVOLUME", "99DICOMNODE", "Volume in earlier study")
_GROWTH: Final = Code("GROWTH", "99DICOMNODE", "Growth of volume since earlier study")
_INTERVAL: Final = Code("SINCEEARLIER", "99DICOMNODE", "Time since earlier study")
_DOUBLING_TIME: Final = Code("VOLUMEDOUBLING", "99DICOMNODE", "Volume doubling time")


@dataclass(frozen=True, slots=True)
class Concept:
    """Concept name, UCUM unit and derivation (CID 7464) of a measurement."""

    code: Code
    unit: Code
    derivation: Code | None = None


CONCEPTS: Final[Mapping[str, Concept]] = MappingProxyType(
    {
        "volume_ml": Concept(_VOLUME, MILLILITRE),
        "volume_mm3": Concept(_VOLUME, CUBIC_MILLIMETRE),
        "mean_hu": Concept(_ATTENUATION, HOUNSFIELD, _MEAN),
        "sd_hu": Concept(_ATTENUATION, HOUNSFIELD, _STANDARD_DEVIATION),
        "laa950_percent": Concept(_LAA_950, PERCENT),
        "perc15_hu": Concept(_PERCENTILE_15, HOUNSFIELD),
        "long_axis_mm": Concept(_LONG_AXIS, MILLIMETRE),
        "short_axis_mm": Concept(_SHORT_AXIS, MILLIMETRE),
        "equivalent_diameter_mm": Concept(_EQUIVALENT_DIAMETER, MILLIMETRE),
    }
)

# What a comparison with an earlier study adds to a lesion; `measure` in an engine.toml asks for none of it
OF_CHANGES: Final[Mapping[str, Concept]] = MappingProxyType(
    {
        "earlier_volume_ml": Concept(_EARLIER_VOLUME, MILLILITRE),
        "earlier_volume_mm3": Concept(_EARLIER_VOLUME, CUBIC_MILLIMETRE),
        "growth_percent": Concept(_GROWTH, PERCENT),
        "interval_days": Concept(_INTERVAL, DAY),
        "doubling_time_days": Concept(_DOUBLING_TIME, DAY),
    }
)

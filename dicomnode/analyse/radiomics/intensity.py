"""Features of the values of a region, wherever they lie: IBSI's statistics (UHIW) and histogram (ZVCW)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.radiomics.sampled import Sampled
from dicomnode.values import Float64

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "intensity_mean": "{unit}",  # Q4LE
        "intensity_variance": "{unit}2",  # ECT3
        "intensity_skewness": "1",  # KE2A
        "intensity_kurtosis": "1",  # IPH6, of which 3 is taken: 0 of a normal distribution
        "intensity_median": "{unit}",  # Y12H
        "intensity_minimum": "{unit}",  # 1GSF
        "intensity_p10": "{unit}",  # QG58
        "intensity_p90": "{unit}",  # 8DWT
        "intensity_maximum": "{unit}",  # 84IY
        "intensity_interquartile_range": "{unit}",  # SALO
        "intensity_range": "{unit}",  # 2OJQ
        "intensity_mean_absolute_deviation": "{unit}",  # 4FUA
        "intensity_robust_mean_absolute_deviation": "{unit}",  # 1128
        "intensity_root_mean_square": "{unit}",  # 5ZWQ
        "histogram_entropy": "bit",  # TLU2
        "histogram_uniformity": "1",  # BJ5W
    }
)
"""Names of the features, in their order, with their units; {unit} is the image's. IBSI's code beside."""


def intensity(region: Sampled) -> dict[str, float]:
    """Measure the values. Of a region of one value skewness and kurtosis are 0, as IBSI has it."""
    values = region.values
    low, p10, p25, p75, p90, high = (
        float(one) for one in np.percentile(values, [0, 10, 25, 75, 90, 100], method="inverted_cdf")
    )
    mean = float(values.mean())
    apart = values - mean
    variance = float((apart**2).mean())
    within = values[(values >= p10) & (values <= p90)]
    share = np.bincount(region.levels[region.mask]) / values.size
    skewness, kurtosis = _moments(apart, variance)
    return {
        "intensity_mean": mean,
        "intensity_variance": variance,
        "intensity_skewness": skewness,
        "intensity_kurtosis": kurtosis,
        "intensity_median": float(np.median(values)),
        "intensity_minimum": low,
        "intensity_p10": p10,
        "intensity_p90": p90,
        "intensity_maximum": high,
        "intensity_interquartile_range": p75 - p25,
        "intensity_range": high - low,
        "intensity_mean_absolute_deviation": float(np.abs(apart).mean()),
        "intensity_robust_mean_absolute_deviation": float(np.abs(within - within.mean()).mean()),
        "intensity_root_mean_square": float(np.sqrt((values**2).mean())),
        "histogram_entropy": entropy_bits(share),
        "histogram_uniformity": float((share**2).sum()),
    }


def entropy_bits(share: Float64) -> float:
    """Return -Σ p·log2 p of shares of any shape; what is 0 adds nothing."""
    some = share[share > 0]
    return max(0.0, -float((some * np.log2(some)).sum()))  # -0.0 is no entropy either


def _moments(apart: Float64, variance: float) -> tuple[float, float]:
    # Of equal values the mean may be off by its last digit: what is left is rounding, not spread
    if variance <= (1e-9 * float(np.abs(apart).max() + 1.0)) ** 2:
        return 0.0, 0.0
    return float((apart**3).mean()) / variance**1.5, float((apart**4).mean()) / variance**2 - 3.0

"""How far a grey level goes on in a line: IBSI's run length matrix (TP0I), 13 directions merged (IAZD)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.radiomics.intensity import entropy_bits
from dicomnode.analyse.radiomics.sampled import Levels, Sampled, directions

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "glrlm_short_runs_emphasis": "1",  # 22OV
        "glrlm_long_runs_emphasis": "1",  # W4KF
        "glrlm_low_grey_level_emphasis": "1",  # V3SW
        "glrlm_high_grey_level_emphasis": "1",  # G3QZ
        "glrlm_short_run_low_grey_level_emphasis": "1",  # HTZT
        "glrlm_short_run_high_grey_level_emphasis": "1",  # GD3A
        "glrlm_long_run_low_grey_level_emphasis": "1",  # IVPO
        "glrlm_long_run_high_grey_level_emphasis": "1",  # 3KUM
        "glrlm_grey_level_non_uniformity": "1",  # R5YN
        "glrlm_grey_level_non_uniformity_normalised": "1",  # OVBL
        "glrlm_run_length_non_uniformity": "1",  # W92Y
        "glrlm_run_length_non_uniformity_normalised": "1",  # IC23
        "glrlm_run_percentage": "1",  # 9ZK5
        "glrlm_grey_level_variance": "1",  # 8CE5
        "glrlm_run_length_variance": "1",  # SXLW
        "glrlm_run_entropy": "bit",  # HJ9O
    }
)


def run_lengths(levels: Levels) -> Levels:
    """Count the runs of each level and length, in all 13 directions: int64 (levels, longest).

    levels: (k, j, i), 0 outside of the region.
    """
    wide = np.pad(levels, 1)
    flat = wide.ravel()
    j, i = wide.shape[1] * wide.shape[2], wide.shape[2]
    inside = np.flatnonzero(flat)
    many, longest = int(levels.max()) + 1, max(levels.shape) + 1
    counts = np.zeros(many * longest, dtype=np.int64)
    for step in directions():
        stride = step[0] * j + step[1] * i + step[2]
        at = inside[flat[inside - stride] != flat[inside]]  # where a run begins
        grey, length = flat[at], np.ones(at.size, dtype=np.int64)
        goes_on = np.arange(at.size)
        while goes_on.size:
            at[goes_on] += stride
            goes_on = goes_on[flat[at[goes_on]] == grey[goes_on]]
            length[goes_on] += 1
        counts += np.bincount(grey * longest + length, minlength=many * longest)
    return counts.reshape(many, longest)[1:, 1:]


def runs(region: Sampled) -> dict[str, float]:
    """Measure the runs of grey levels in a region."""
    table = run_lengths(region.levels).astype(np.float64)
    total = float(table.sum())
    p = table / total
    grey = np.arange(1, table.shape[0] + 1, dtype=np.float64)[:, None]
    length = np.arange(1, table.shape[1] + 1, dtype=np.float64)[None, :]
    of_grey, of_length = table.sum(axis=1), table.sum(axis=0)
    mean_grey, mean_length = float((grey * p).sum()), float((length * p).sum())
    grey2, length2 = grey**2, length**2
    return {
        "glrlm_short_runs_emphasis": float((p / length2).sum()),
        "glrlm_long_runs_emphasis": float((p * length2).sum()),
        "glrlm_low_grey_level_emphasis": float((p / grey2).sum()),
        "glrlm_high_grey_level_emphasis": float((p * grey2).sum()),
        "glrlm_short_run_low_grey_level_emphasis": float((p / (grey2 * length2)).sum()),
        "glrlm_short_run_high_grey_level_emphasis": float((p * grey2 / length2).sum()),
        "glrlm_long_run_low_grey_level_emphasis": float((p * length2 / grey2).sum()),
        "glrlm_long_run_high_grey_level_emphasis": float((p * grey2 * length2).sum()),
        "glrlm_grey_level_non_uniformity": float((of_grey**2).sum()) / total,
        "glrlm_grey_level_non_uniformity_normalised": float((of_grey**2).sum()) / total**2,
        "glrlm_run_length_non_uniformity": float((of_length**2).sum()) / total,
        "glrlm_run_length_non_uniformity_normalised": float((of_length**2).sum()) / total**2,
        "glrlm_run_percentage": total / (len(directions()) * region.count),
        "glrlm_grey_level_variance": float(((grey - mean_grey) ** 2 * p).sum()),
        "glrlm_run_length_variance": float(((length - mean_length) ** 2 * p).sum()),
        "glrlm_run_entropy": entropy_bits(p),
    }

"""Which grey levels lie beside which: IBSI's co-occurrence matrix (LFYI), all 13 directions merged (IAZD)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.radiomics.intensity import entropy_bits
from dicomnode.analyse.radiomics.sampled import Levels, Sampled, directions
from dicomnode.values import Float64

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "glcm_joint_maximum": "1",  # GYBY
        "glcm_joint_average": "1",  # 60VM
        "glcm_joint_variance": "1",  # UR99
        "glcm_joint_entropy": "bit",  # TU9B
        "glcm_difference_variance": "1",  # D3YU
        "glcm_difference_entropy": "bit",  # NTRS
        "glcm_sum_variance": "1",  # OEEB
        "glcm_sum_entropy": "bit",  # P6QZ
        "glcm_angular_second_moment": "1",  # 8ZQL
        "glcm_contrast": "1",  # ACUI
        "glcm_dissimilarity": "1",  # 8S9J
        "glcm_inverse_difference": "1",  # IB1Z
        "glcm_inverse_difference_moment": "1",  # WF0Z
        "glcm_inverse_variance": "1",  # E8JP
        "glcm_correlation": "1",  # NI2N
        "glcm_autocorrelation": "1",  # QWB0
        "glcm_cluster_shade": "1",  # 7NFM
        "glcm_cluster_prominence": "1",  # AE86
        "glcm_information_correlation_1": "1",  # R8DG
        "glcm_information_correlation_2": "1",  # JN9H
    }
)


def neighbours(levels: Levels) -> Float64:
    """Count neighbouring levels in all 13 directions, both ways round: float64 (levels, levels), sum 1.

    levels: (k, j, i), 0 outside of the region. Raises ValueError where no two voxels of it touch.
    """
    many = int(levels.max()) + 1
    counts = np.zeros(many * many, dtype=np.int64)
    for step in directions():
        here, there = _pairs(levels, step)
        both = (here > 0) & (there > 0)
        counts += np.bincount(here[both] * many + there[both], minlength=many * many)
    table = counts.reshape(many, many)[1:, 1:]
    if not table.any():
        raise ValueError("no two of its voxels touch")
    table = table + table.T
    share: Float64 = table / table.sum()
    return share


def _pairs(levels: Levels, step: tuple[int, int, int]) -> tuple[Levels, Levels]:
    """Return all voxels that have a neighbour at `step` in the array, and those neighbours."""
    here = tuple(slice(max(-d, 0), n - max(d, 0)) for d, n in zip(step, levels.shape, strict=True))
    there = tuple(slice(max(d, 0), n - max(-d, 0)) for d, n in zip(step, levels.shape, strict=True))
    return levels[here], levels[there]


def texture(region: Sampled) -> dict[str, float]:
    """Measure how grey levels lie beside each other. Raises ValueError where no two voxels touch."""
    p = neighbours(region.levels)
    grey = np.arange(1, len(p) + 1, dtype=np.float64)
    i, j = grey[:, None], grey[None, :]
    along: Float64 = p.sum(axis=1)  # of both axes alike: the matrix is symmetric
    mean = float((grey * along).sum())
    variance = float(((grey - mean) ** 2 * along).sum())
    differ, total = np.abs(i - j), i + j
    of_difference, of_sum = _by(differ, p), _by(total, p)
    difference = float((differ * p).sum())
    around = total - 2.0 * mean
    first, second = _information(p, along)
    other = differ > 0
    return {
        "glcm_joint_maximum": float(p.max()),
        "glcm_joint_average": mean,
        "glcm_joint_variance": variance,
        "glcm_joint_entropy": entropy_bits(p),
        "glcm_difference_variance": float(((differ - difference) ** 2 * p).sum()),
        "glcm_difference_entropy": entropy_bits(of_difference),
        "glcm_sum_variance": float((around**2 * p).sum()),
        "glcm_sum_entropy": entropy_bits(of_sum),
        "glcm_angular_second_moment": float((p**2).sum()),
        "glcm_contrast": float((differ**2 * p).sum()),
        "glcm_dissimilarity": difference,
        "glcm_inverse_difference": float((p / (1.0 + differ)).sum()),
        "glcm_inverse_difference_moment": float((p / (1.0 + differ**2)).sum()),
        "glcm_inverse_variance": float((p[other] / differ[other] ** 2).sum()),
        "glcm_correlation": _correlation(p, (i - mean) * (j - mean), variance),
        "glcm_autocorrelation": float((i * j * p).sum()),
        "glcm_cluster_shade": float((around**3 * p).sum()),
        "glcm_cluster_prominence": float((around**4 * p).sum()),
        "glcm_information_correlation_1": first,
        "glcm_information_correlation_2": second,
    }


def _by(what: Float64, p: Float64) -> Float64:
    """Sum the matrix over cells of equal difference, or sum, of their levels."""
    return np.asarray(np.bincount(what.astype(np.int64).ravel(), weights=p.ravel()), dtype=np.float64)


def _correlation(p: Float64, product: Float64, variance: float) -> float:
    """One level beside itself is as correlated as can be: 1 where there is no variance."""
    return float((product * p).sum()) / variance if variance > 1e-12 else 1.0


def _information(p: Float64, along: Float64) -> tuple[float, float]:
    """The two information correlations; 0 where there is one level only."""
    hx, hxy = entropy_bits(along), entropy_bits(p)
    if hx == 0.0:
        return 0.0, 0.0
    logs = np.log2(along, out=np.zeros_like(along), where=along > 0)
    # -Σ p·log2(px·py), and -Σ px·py·log2(px·py), which is 2·HX
    cross = -float((p * (logs[:, None] + logs[None, :])).sum())
    return (hxy - cross) / hx, float(np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (2.0 * hx - hxy)))))

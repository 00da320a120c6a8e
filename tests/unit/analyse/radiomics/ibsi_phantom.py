"""The digital phantom of the Image Biomarker Standardisation Initiative, and what its teams agree on.

Zwanenburg and others, Radiology 295 (2020) 328; reference manual of the IBSI, chapters 3 and 5 (CC BY 4.0).
5 × 4 × 4 voxels of 2 mm, 74 of them in the region; levels 1, 3, 4, 6, in bins of width 1.
"""

from __future__ import annotations

import numpy as np

from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid

_OUT = 0  # not in the region

VOXELS = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [_OUT, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, _OUT, _OUT], [1, 1, 1, 1, 1], [1, 1, _OUT, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, _OUT, _OUT], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    dtype=np.float32,
)
MASK = VOXELS != _OUT
SPACING_MM = 2.0

# Value and tolerance. Where the IBSI gives no tolerance: half of the last digit that is printed.
REFERENCE: dict[str, tuple[float, float]] = {
    "shape_volume": (556, 4),
    "shape_voxel_volume": (592, 4),
    "shape_surface_area": (388, 3),
    "shape_surface_to_volume": (0.698, 0.004),
    "shape_compactness": (0.599, 0.004),
    "shape_sphericity": (0.843, 0.005),
    "shape_maximum_diameter": (13.1, 0.1),
    "shape_major_axis": (11.4, 0.1),
    "shape_minor_axis": (9.31, 0.06),
    "shape_least_axis": (8.54, 0.05),
    "shape_elongation": (0.816, 0.005),
    "shape_flatness": (0.749, 0.005),
    "intensity_mean": (2.15, 0.005),
    "intensity_variance": (3.05, 0.005),
    "intensity_skewness": (1.08, 0.005),
    "intensity_kurtosis": (-0.355, 0.0005),
    "intensity_median": (1, 0),
    "intensity_minimum": (1, 0),
    "intensity_p10": (1, 0),
    "intensity_p90": (4, 0),
    "intensity_maximum": (6, 0),
    "intensity_interquartile_range": (3, 0),
    "intensity_range": (5, 0),
    "intensity_mean_absolute_deviation": (1.55, 0.005),
    "intensity_robust_mean_absolute_deviation": (1.11, 0.005),
    "intensity_root_mean_square": (2.77, 0.005),
    "histogram_entropy": (1.27, 0.005),
    "histogram_uniformity": (0.512, 0.0005),
    "glcm_joint_maximum": (0.509, 0.0005),
    "glcm_joint_average": (2.15, 0.005),
    "glcm_joint_variance": (3.13, 0.005),
    "glcm_joint_entropy": (2.57, 0.005),
    "glcm_difference_variance": (3.21, 0.005),
    "glcm_difference_entropy": (1.64, 0.005),
    "glcm_sum_variance": (7.41, 0.005),
    "glcm_sum_entropy": (2.11, 0.005),
    "glcm_angular_second_moment": (0.291, 0.0005),
    "glcm_contrast": (5.12, 0.005),
    "glcm_dissimilarity": (1.38, 0.005),
    "glcm_inverse_difference": (0.688, 0.0005),
    "glcm_inverse_difference_moment": (0.631, 0.0005),
    "glcm_inverse_variance": (0.0574, 0.00005),
    "glcm_correlation": (0.183, 0.0005),
    "glcm_autocorrelation": (5.19, 0.005),
    "glcm_cluster_shade": (17.4, 0.05),
    "glcm_cluster_prominence": (147, 0.5),
    "glcm_information_correlation_1": (-0.0288, 0.00005),
    "glcm_information_correlation_2": (0.269, 0.0005),
    "glrlm_short_runs_emphasis": (0.729, 0.0005),
    "glrlm_long_runs_emphasis": (2.76, 0.005),
    "glrlm_low_grey_level_emphasis": (0.607, 0.0005),
    "glrlm_high_grey_level_emphasis": (9.64, 0.005),
    "glrlm_short_run_low_grey_level_emphasis": (0.372, 0.0005),
    "glrlm_short_run_high_grey_level_emphasis": (8.67, 0.005),
    "glrlm_long_run_low_grey_level_emphasis": (2.16, 0.005),
    "glrlm_long_run_high_grey_level_emphasis": (15.6, 0.05),
    "glrlm_grey_level_non_uniformity": (281, 0.5),
    "glrlm_grey_level_non_uniformity_normalised": (0.430, 0.0005),
    "glrlm_run_length_non_uniformity": (328, 0.5),
    "glrlm_run_length_non_uniformity_normalised": (0.501, 0.0005),
    "glrlm_run_percentage": (0.680, 0.0005),
    "glrlm_grey_level_variance": (3.48, 0.005),
    "glrlm_run_length_variance": (0.598, 0.0005),
    "glrlm_run_entropy": (2.62, 0.005),
}


def image(voxels: np.ndarray = VOXELS) -> Prepared:
    """The phantom on its grid: slices run along k, the lowest first."""
    grid = Grid(VOXELS.shape, np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]), "1.2.3")
    return Prepared(voxels.astype(np.float32), grid)

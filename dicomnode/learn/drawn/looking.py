"""What the node finds in a drawn scan: the scan as a series is read, and an engine on it as in service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np

from dicomnode.analyse import Analysis, Analyst
from dicomnode.phantom.patients import ChestScan
from dicomnode.values import Findings, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD

# Nothing of the findings but numbers is kept: a moment and a salt of no installation
_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SALT: Final = b"drawn scans" * 3


def volume_of(scan: ChestScan) -> Volume:
    """Give a phantom as the volume that its DICOM series is read to: int16 HU (k, j, i)."""
    uid = f"2.25.{scan.seed}"
    return Volume(
        voxels=np.asarray(scan.voxels),
        affine_lps=scan.grid.affine_lps,
        unit=HOUNSFIELD,
        frame_of_reference_uid=scan.grid.frame_of_reference_uid,
        study_instance_uid=uid,
        series_instance_uid=f"{uid}1",
        frames=tuple(SourceFrame(f"{uid}2.{k}") for k in range(len(scan.voxels))),
        headers=SourceHeaders(()),
    )


def findings_of(analyst: Analyst, volume: Volume) -> Findings:
    """Run an engine with one input on a volume, as the node does."""
    spec = analyst.package.manifest.input[0].name
    return analyst.analyse(Analysis(volumes={spec: volume}, salt=_SALT, study_version=1, made_at=_WHEN))

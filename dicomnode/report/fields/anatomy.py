"""The region of the body that a map shows: Frame Anatomy (C.7.6.16.2.8), without which some readers fail.

dcmqi, by which 3D Slicer reads maps, ends where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom import Dataset

from dicomnode.report.concepts import ANATOMICAL_STRUCTURE, code_item
from dicomnode.values import Code

REGIONS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "ABDOMEN": Code("818981001", "SCT", "Abdomen"),
        "ABDOMENPELVIS": Code("818982008", "SCT", "Abdomen and Pelvis"),
        "BRAIN": Code("12738006", "SCT", "Brain"),
        "CHEST": Code("816094009", "SCT", "Chest"),
        "CHESTABDOMEN": Code("416550000", "SCT", "Chest and Abdomen"),
        "CHESTABDPELVIS": Code("416775004", "SCT", "Chest, Abdomen and Pelvis"),
        "CSPINE": Code("122494005", "SCT", "Cervical spine"),
        "HEAD": Code("69536005", "SCT", "Head"),
        "HEADNECK": Code("774007", "SCT", "Head and Neck"),
        "HEART": Code("80891009", "SCT", "Heart"),
        "LIVER": Code("10200004", "SCT", "Liver"),
        "LSPINE": Code("122496007", "SCT", "Lumbar spine"),
        "NECK": Code("45048000", "SCT", "Neck"),
        "PANCREAS": Code("15776009", "SCT", "Pancreas"),
        "PELVIS": Code("816092008", "SCT", "Pelvis"),
        "PROSTATE": Code("41216001", "SCT", "Prostate"),
        "SPINE": Code("421060004", "SCT", "Spine"),
        "TSPINE": Code("122495006", "SCT", "Thoracic spine"),
        "WHOLEBODY": Code("38266002", "SCT", "Entire body"),
    }
)
"""Body Part Examined (0018,0015) → region, PS3.16 annex L; of what is not paired: there no side is asked."""


def frame_anatomy(body_part: str) -> Dataset:
    """Return the item of a Frame Anatomy Sequence. body_part: of the source, empty if it says none."""
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence = [code_item(REGIONS.get(body_part, ANATOMICAL_STRUCTURE))]
    anatomy.FrameLaterality = "U"
    return anatomy

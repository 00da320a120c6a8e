"""Colours of the segments of an engine in the making: an organ's usual one, and others that differ from it.

The colours of organs are those of 3D Slicer's table GenericAnatomyColors (Halle, Talos, Kikinis and others),
which many viewers show. Others are chosen by their distance in CIELab, where equal distances look equally
different, so that the same labels in the same order always have the same colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dicomnode.values.colours import Palette, Rgb

# SNOMED CT codes → 3D Slicer's GenericAnatomyColors
ANATOMY: Final[Mapping[str, Rgb]] = {
    "10200004": (221, 130, 101),  # liver
    "12738006": (250, 250, 225),  # brain
    "15776009": (249, 180, 111),  # pancreas
    "15825003": (224, 97, 76),  # aorta
    "2748008": (244, 214, 49),  # spinal cord
    "28231008": (139, 150, 98),  # gallbladder
    "272673000": (241, 214, 145),  # bone
    "30315005": (205, 167, 142),  # small bowel
    "32849002": (211, 171, 143),  # esophagus
    "35039007": (255, 181, 158),  # uterus
    "38848004": (255, 253, 229),  # duodenum
    "389080008": (250, 250, 210),  # white matter
    "389081007": (200, 200, 235),  # gray matter
    "39607008": (197, 165, 145),  # lung
    "41216001": (230, 158, 140),  # prostate
    "44567001": (182, 228, 255),  # trachea
    "64033007": (185, 102, 83),  # kidney
    "69695003": (216, 132, 105),  # stomach
    "69748006": (62, 162, 114),  # thyroid gland
    "71854001": (204, 168, 143),  # colon
    "78961009": (157, 108, 162),  # spleen
    "80891009": (206, 110, 84),  # heart
    "89546000": (241, 213, 144),  # skull
    "89837001": (222, 154, 132),  # urinary bladder
    "91609006": (222, 198, 101),  # mandible
    # Findings: "mass" stands for all that grows
    "108369006": (144, 238, 144),  # neoplasm
    "27925004": (144, 238, 144),  # nodule
    "4147007": (144, 238, 144),  # mass
    "52988006": (144, 238, 144),  # lesion
    "35566002": (188, 65, 28),  # hematoma
    "367643001": (205, 205, 100),  # cyst
    "50960005": (188, 65, 28),  # hemorrhage
    "55584005": (150, 98, 83),  # embolism
    "6574001": (216, 191, 216),  # necrosis
    "79654002": (140, 224, 228),  # edema
}


def coloured(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return [[output]] tables whose segments all have a colour; one that is given stays."""
    palette = Palette()
    for one in outputs:
        if "colour_rgb" in one:
            palette.take(tuple(one["colour_rgb"]))
    made = []
    for output in outputs:
        table = dict(output)
        if "segment" in table and "colour_rgb" not in table:
            table["colour_rgb"] = list(palette.next(_usual(table)))
        made.append(table)
    return made


def _usual(output: Mapping[str, Any]) -> Rgb | None:
    concept = output["type"]
    return ANATOMY.get(concept["code"]) if concept["scheme"] == "SCT" else None

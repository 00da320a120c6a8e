"""What a patient has besides nodules: which diseases, and all that they change.

Each disease has a stream of random numbers of its own: leaving one out leaves the others as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.phantom.change import Change, Disease, Site
from dicomnode.phantom.nodes import calcified_aorta, nodes
from dicomnode.phantom.parenchyma import (
    bronchiectasis,
    collapse,
    collapsing_lobe,
    consolidation,
    emphysema,
    granulomas,
    mosaic,
    paraseptal_emphysema,
    scars,
)
from dicomnode.phantom.pleura import (
    apical_caps,
    effusion,
    osteophytes,
    pleural_lumps,
    pleural_plaques,
    rib_ends,
)
from dicomnode.phantom.streams import stream

# In the order in which they are painted: first those that take from the lungs.
_EFFECTS: Final[Mapping[Disease, Callable[[Site, np.random.Generator], Change]]] = MappingProxyType(
    {
        "effusion": effusion,
        "apical caps": apical_caps,
        "pleural plaques": pleural_plaques,
        "mosaic": mosaic,
        "emphysema": emphysema,
        "paraseptal emphysema": paraseptal_emphysema,
        "consolidation": consolidation,
        "collapse": collapse,
        "bronchiectasis": bronchiectasis,
        "scars": scars,
        "granulomas": granulomas,
        "pleural lumps": pleural_lumps,
        "osteophytes": osteophytes,
        "nodes": nodes,
        "calcified aorta": calcified_aorta,
        "rib ends": rib_ends,
    }
)
OFTEN: Final[Mapping[Disease, float]] = MappingProxyType(
    {
        "effusion": 0.12,
        "apical caps": 0.25,
        "pleural plaques": 0.12,
        "mosaic": 0.15,
        "emphysema": 0.30,
        "paraseptal emphysema": 0.20,
        "consolidation": 0.15,
        "collapse": 0.06,
        "bronchiectasis": 0.15,
        "scars": 0.60,
        "granulomas": 0.40,
        "pleural lumps": 0.60,
        "osteophytes": 0.60,
        "nodes": 0.55,
        "calcified aorta": 0.45,
        "rib ends": 0.50,
    }
)
"""How often each is drawn where nobody says what a patient has."""
_RAISED_MM: Final = 18.0  # the dome of the diaphragm on the side of a collapse


def draw_diseases(seed: int) -> tuple[Disease, ...]:
    """Draw what the patient of `seed` has."""
    chances = stream(seed, "diseases").uniform(size=len(OFTEN))
    return tuple(name for (name, often), at in zip(OFTEN.items(), chances, strict=True) if at < often)


def raised_domes_mm(diseases: Sequence[Disease], seed: int) -> tuple[float, float]:
    """By how much a collapse raises the diaphragm, right and left."""
    if "collapse" not in diseases:
        return 0.0, 0.0
    right = collapsing_lobe(stream(seed, "collapse")).startswith("right")
    return (_RAISED_MM, 0.0) if right else (0.0, _RAISED_MM)


def fall_ill(site: Site, diseases: Sequence[Disease], seed: int) -> tuple[Site, Change]:
    """Let a patient have `diseases`: what is left of his lungs, and what is to be painted."""
    whole = Change()
    for name, effect in _EFFECTS.items():
        if name not in diseases:
            continue
        change = effect(site, stream(seed, name))
        lungs = site.lungs
        for shape, _ in change.taken:
            lungs = np.maximum(lungs, -shape).astype(np.float32)
        # What is taken reaches a little into the wall, so that no fat shows between them.
        reach = (site.lungs - 1.5).astype(np.float32)
        taken = tuple((np.maximum(shape, reach), hu) for shape, hu in change.taken)
        tissue = site.tissue if change.lung_hu is None else change.lung_hu
        site = replace(site, chest=replace(site.chest, lungs=lungs), tissue=tissue)
        whole = whole.and_(replace(change, taken=taken))
    return site, whole

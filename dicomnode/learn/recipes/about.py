"""What a recipe is for, in words for people: it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.settings.keys import NOT_EMPTY, needed


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The table [about] of a recipe."""

    title: str = needed("What is learned, of what.", NOT_EMPTY)
    images: str = needed("What images: modality, part of the body, view.", NOT_EMPTY)
    labels: str = needed("What labels they need.", NOT_EMPTY)
    why: str = needed("Why the settings are as they are.", NOT_EMPTY)

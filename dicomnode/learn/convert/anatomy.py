"""What names of classes mean, for the converters: see `dicomnode.engine.labelling`, where it stands."""

from __future__ import annotations

from dicomnode.engine.labelling import PRIVATE_SCHEME, Meaning, meaning_of

__all__ = ["PRIVATE_SCHEME", "Meaning", "meaning_of"]

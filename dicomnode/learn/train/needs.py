"""What the extra [train] must have installed before anything is read."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from dicomnode.faults import TRAIN_MISSING, NodeError

_PACKAGES: Final = ("torch", "monai", "sklearn")


def require_training() -> None:
    """Raise NodeError(TRAIN_MISSING) where a package that training needs cannot be imported."""
    for package in _PACKAGES:
        try:
            import_module(package)
        except ImportError as error:
            raise NodeError(TRAIN_MISSING, what="dicomnode train", package=package, error=error) from error

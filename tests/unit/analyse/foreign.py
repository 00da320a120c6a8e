"""Packages that do the same sums; a test that needs one names it when it is skipped."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import pytest


def foreign(name: str) -> ModuleType:
    """Import a module of a framework for training, which the development tools do not hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, of their own dependencies
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            pytest.skip(f"no {error.name}: pip install {error.name} compares with {name}")

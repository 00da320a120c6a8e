"""Recipes that ship: settings for parts of the body, one a task, which learn from a site's own labels.

`dicomnode train TASK --recipe NAME` takes NAME/TASK.toml of this folder. No weights come with them. The head
of each file says for whom it is, what it needs, why it is as it is, and where it fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.recipes.about import About
    from dicomnode.learn.recipes.shelf import Shelved, recipe_file, shelved

_HOMES = {"about": ("About",), "shelf": ("Shelved", "recipe_file", "shelved")}

__all__ = ["About", "Shelved", "recipe_file", "shelved"]

__getattr__ = lazy_face(__name__, _HOMES)

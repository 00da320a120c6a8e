"""Which engine a name means: that of a folder that is given, one of the configuration, or one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.cli.options import open_settings
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.settings import Settings


def usual_settings(given: Path | None) -> Settings | None:
    """The configuration that is named; else the usual one, where there is one that this user can read."""
    if given is not None:
        return open_settings(given)
    try:
        return open_settings(None)
    except NodeError:
        return None


def named_engine(name: str, path: Path | None, settings: Settings | None) -> EnginePackage:
    """Load the engine, as the service would where the configuration names it; raises NodeError as that."""
    from dicomnode.engine import configured_engine, find_engine

    if path is None and settings is not None:
        for entry in settings.engine:
            if entry.name == name:
                return configured_engine(entry)
    return find_engine(name, path)

"""Which engine a name means: that of a folder that is given, one of the configuration, or one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.cli.options import open_settings
from dicomnode.cli.output import console
from dicomnode.faults import SETTINGS_NOT_FOUND, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.settings import Settings


def usual_settings(given: Path | None) -> Settings | None:
    """The configuration that is named; else the usual one, where there is one that can be used.

    One that is there and cannot be used is told of on stderr. Raises NodeError for one that is named.
    """
    try:
        return open_settings(given)
    except NodeError as error:
        if given is not None:
            raise
        if error.fault is not SETTINGS_NOT_FOUND:
            told = f"This is done without the configuration, which cannot be used: {error} {error.remedy}"
            console.print(told, markup=False)
        return None


def named_engine(name: str, path: Path | None, settings: Settings | None) -> EnginePackage:
    """Load the engine as the service would: a site's own has the owners that it may have.

    path: of an engine that is not configured, or lies elsewhere; the owners that the configuration names for
    it hold there, too. Raises NodeError as `configured_engine`.
    """
    from dicomnode.engine import configured_engine, find_engine
    from dicomnode.settings import EngineSettings

    entries = {entry.name: entry for entry in settings.engine} if settings is not None else {}
    entry = entries.get(name)
    if path is not None:
        owners = entry.owners if entry is not None else ()
        return configured_engine(EngineSettings(name=name, path=path, owners=owners))
    return configured_engine(entry) if entry is not None else find_engine(name)

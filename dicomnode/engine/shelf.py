"""Where engine packages lie: those that ship with the node, and folders that the settings name."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from dicomnode.engine.manifest.read import MANIFEST_FILE
from dicomnode.engine.package import EnginePackage, check_owner, load_package
from dicomnode.faults import ENGINE_NOT_FOUND, NETWORK_UNSAFE, NodeError
from dicomnode.settings import EngineSettings

_PACKAGE_ROOT = Path(__file__).resolve().parent.parent


def shipped_engines_dir() -> Path:
    """Return the folder of the engines that ship: inside the wheel, else beside the package."""
    in_wheel = _PACKAGE_ROOT / "_shipped" / "engines"
    return in_wheel if in_wheel.is_dir() else _PACKAGE_ROOT.parent / "engines"


def engine_folders(extra: Sequence[Path] = ()) -> list[Path]:
    """Return the folders of engine packages: the shipped ones sorted by name, then `extra` as given.

    Nothing is read or verified here, so that one broken package does not hide the others.
    """
    shipped = shipped_engines_dir()
    own = sorted(path.parent for path in shipped.glob(f"*/{MANIFEST_FILE}"))
    return own + [folder for folder in extra if folder not in own]


def list_engines(extra: Sequence[Path] = ()) -> list[EnginePackage]:
    """Load all of `engine_folders`; raises NodeError as `load_package` does."""
    return [load_package(folder) for folder in engine_folders(extra)]


def find_engine(name: str, path: Path | None = None) -> EnginePackage:
    """Load the engine of that name: from `path` where that is given, else the shipped one.

    Raises NodeError(ENGINE_NOT_FOUND) when it is not there or the package has another name, and as
    `load_package` does.
    """
    if path is None:
        folder = shipped_engines_dir() / name
        # A name is a name, not a way to another folder.
        if folder.parent != shipped_engines_dir() or not (folder / MANIFEST_FILE).is_file():
            raise NodeError(ENGINE_NOT_FOUND, name=name, searched=shipped_engines_dir())
        return load_package(folder)
    if not (path / MANIFEST_FILE).is_file():
        raise NodeError(ENGINE_NOT_FOUND, name=name, searched=path)
    package = load_package(path)
    if package.manifest.name != name:
        raise NodeError(ENGINE_NOT_FOUND, name=name, searched=f"{path} (it holds {package.manifest.name!r})")
    return package


def configured_engine(wanted: EngineSettings) -> EnginePackage:
    """Load the engine that an [[engine]] names, as `find_engine`; one of a site's own folder has its owners.

    Raises NodeError(NETWORK_UNSAFE), too, where somebody else could change the package.
    """
    package = find_engine(wanted.name, wanted.path)
    if wanted.path is not None:
        check_owner(package, [0, os.getuid(), *(_user(name, wanted.path) for name in wanted.owners)])
    return package


def _user(name: str, path: Path) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        reason = f"[[engine]] owners names the user {name!r}, whom this machine does not know"
        raise NodeError(NETWORK_UNSAFE, path=path, reason=reason) from error

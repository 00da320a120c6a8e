"""Engines to be measured: those that are shipped, by their names, and any by its folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from dicomnode.engine import EnginePackage, find_engine, load_package

SCORES: Final = {"heat": "heat", "fused": "sqrt(heat * mask_support)"}


def package_of(name: str) -> EnginePackage:
    """Load a shipped engine by its name, or any by its folder."""
    folder = Path(name)
    return load_package(folder) if (folder / "engine.toml").is_file() else find_engine(name)


def title(package: EnginePackage) -> str:
    """Name an engine so that two of a name are told apart."""
    return f"{package.folder.name} {package.manifest.version} ({package.digest[:12]})"


def with_scores(folder: Path, into: Path) -> list[Path]:
    """Copy an engine twice, with one line changed: how candidates of its map of centres get their score."""
    text = (folder / "engine.toml").read_text(encoding="utf-8")
    line = next((one for one in text.splitlines() if one.startswith("score = ")), None)
    if line is None:
        return [folder]
    copies = []
    for name, score in SCORES.items():
        copy = into / f"{folder.name}, score {name}"
        shutil.copytree(folder, copy)
        (copy / "engine.toml").write_text(text.replace(line, f'score = "{score}"'), encoding="utf-8")
        copies.append(copy)
    return copies

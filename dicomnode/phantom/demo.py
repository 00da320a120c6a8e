"""The study of the demonstration: made once, then taken from a cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

from dicomnode.faults import PHANTOM_NOT_WRITTEN, NodeError
from dicomnode.phantom.anatomy import Size, Thorax, thorax
from dicomnode.phantom.header import PHANTOM_VERSION
from dicomnode.phantom.series import write_series
from dicomnode.phantom.truth import Truth, load_truth, read_document, save_truth

DEMO_SEED: Final = 7  # four nodules, one of them part-solid, two in each lung


@dataclass(frozen=True, eq=False)
class DemoStudy:
    """A study on disk and its truth. files: of its one series, slices from the feet to the head."""

    folder: Path
    files: tuple[Path, ...]
    truth: Truth


def demo_study(
    cache: Path, seed: int = DEMO_SEED, size: Size = "full", *, make: Callable[[int, Size], Thorax] = thorax
) -> DemoStudy:
    """Give the phantom of `seed` as a study, from the folder `cache` or, the first time, made anew.

    What lies in the cache under the same seed, size and version is used when it is whole, else made again.
    A study appears there under its name when it is complete (rename): a second process sees all or nothing.
    Raises NodeError PHANTOM_NOT_WRITTEN when the cache cannot be written.
    """
    home = cache / f"phantom-{size}-{seed}-v{PHANTOM_VERSION}"
    found = _read(home)
    if found is not None:
        return found
    building = cache / f".{home.name}.{os.getpid()}"
    try:
        shutil.rmtree(building, ignore_errors=True)  # of a process of the same number that was killed
        phantom = make(seed, size)
        files = write_series(phantom.voxels, phantom.grid, building / "dicom", seed=seed)
        save_truth(phantom, files, building)
        _put(building, home)
    except OSError as error:
        raise NodeError(PHANTOM_NOT_WRITTEN, path=cache, error=error.strerror or error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    made = _read(home)
    if made is None:
        raise NodeError(PHANTOM_NOT_WRITTEN, path=cache, error="what was written cannot be read back")
    return made


def _put(building: Path, home: Path) -> None:
    if _read(home) is not None:  # another process was faster; its study is the same
        return
    if home.exists():
        # Not whole: put it away under a name of our own first, so that nobody sees half of it go.
        ruin = home.with_name(f"{building.name}.old")
        home.rename(ruin)
        shutil.rmtree(ruin)
    building.rename(home)


def _read(home: Path) -> DemoStudy | None:
    """Read a study of the cache; None when it is not there or not whole."""
    try:
        sizes: dict[str, int] = read_document(home)["files"]
        files = tuple(home / "dicom" / name for name in sizes)
        if any(path.stat().st_size != size for path, size in zip(files, sizes.values(), strict=True)):
            return None
        return DemoStudy(home, files, load_truth(home))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None

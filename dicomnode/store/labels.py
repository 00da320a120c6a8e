"""Labels: what doctors said of our results, kept with a record of the images that it speaks of.

A label is a second name of the object in `studies/`, which costs no bytes, and a JSON file beside it. What
takes studies out of the store one day finds here which of them somebody has worked on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicomnode.store.disk import Disk
from dicomnode.store.layout import LABELS, ensure_folder, hashed
from dicomnode.store.whole import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsKept:
    """What is kept. bytes: of the objects, which are second names of files elsewhere in the store."""

    path: Path
    studies: int
    objects: int
    bytes: int


def labels_kept(root: Path) -> LabelsKept:
    """Tell how much is kept as labels in a store; nothing where there is none."""
    folder = root.absolute() / LABELS
    sizes = {path: path.stat().st_size for path in folder.glob("*/*.dcm")}
    studies = {path.parent for path in sizes}
    return LabelsKept(path=folder, studies=len(studies), objects=len(sizes), bytes=sum(sizes.values()))


def keep_label(disk: Disk, root: Path, source: Path, names: tuple[str, str], record: bytes) -> Path:
    """Keep an object and what is to be known of it; give its path. Doing it again changes nothing.

    source: its file; one that was kept before under these names, and is another file, goes. names: Study
    Instance UID and SOP Instance UID. record: JSON, of the images and of what was said. Durable when it
    returns. Raises OSError.
    """
    study_uid, sop_uid = names
    folder = root / LABELS / hashed(study_uid)
    ensure_folder(disk, folder)
    path = folder / f"{hashed(sop_uid)}.dcm"
    if path.exists() and not path.samefile(source):
        disk.unlink(path)
    if not path.exists():
        disk.link(source, path)
    write_whole(disk, path.with_suffix(".json"), record)  # flushes the folder
    disk.fsync_dir(folder.parent)
    return path

"""Labels: what doctors said of our results, kept with a record of the images that it speaks of.

A label is a second name of the object in `studies/`, which costs no bytes, and a JSON file beside it. What
takes studies out of the store one day finds here which of them somebody has worked on.
"""

from __future__ import annotations

from pathlib import Path

from dicomnode.store.disk import Disk
from dicomnode.store.layout import LABELS, ensure_folder, hashed
from dicomnode.store.whole import write_whole


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

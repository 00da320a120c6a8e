"""Records of whose a study is, as a message said after its images had come: JSON in the history.

The images are not changed. A record holds the values that results have instead of those of the headers, and
who the patient was before, so that the images of nobody else are taken for the patient's. Its name is of its
content, so that the same message twice leaves one. That name goes into the journal: without the salt of the
installation nobody can find out by trying whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from dicomnode.faults import IDENTITY_UNREADABLE, NodeError
from dicomnode.store.disk import Disk
from dicomnode.store.layout import HISTORY, ensure_folder, hashed
from dicomnode.store.whole import write_first

SCHEMA: Final = 1
# What a record may hold: keywords of attributes of the patient (PS3.3 C.7.1.1)
KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")


def save_identity(
    disk: Disk,
    root: Path,
    study_instance_uid: str,
    values: Mapping[str, str],
    salt: bytes,
    former: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Keep a record, durably; give its path. Raises OSError; ValueError for what is no attribute of it."""
    if not values or not set(KEYWORDS).issuperset({*values}.union(*former)):
        raise ValueError(f"an identity has some of {', '.join(KEYWORDS)}, got {sorted(values)}")
    record = {"schema": SCHEMA, "values": dict(values), "former": [dict(one) for one in former]}
    text = json.dumps(record, ensure_ascii=False, sort_keys=True)
    folder = root / HISTORY / hashed(study_instance_uid)
    ensure_folder(disk, folder)
    content = text.encode()
    path = folder / f"identity-{blake2b(content, key=salt, digest_size=16).hexdigest()}.json"
    if not path.exists():
        write_first(disk, path, content)
    disk.fsync_dir(folder)  # who wrote it may have died before its name was durable
    disk.fsync_dir(folder.parent)
    return path


def load_identity(path: Path) -> dict[str, str]:
    """Read a record: keyword → value, "" for one that is known to be empty.

    Raises NodeError(IDENTITY_UNREADABLE): no result is written with a doubtful name.
    """
    return _load(path)[0]


def load_former(path: Path) -> tuple[dict[str, str], ...]:
    """Read who the patient of a record was when it, and each record before it, was made; raises as that.

    None in records of earlier versions of the node.
    """
    return _load(path)[1]


def _load(path: Path) -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    try:
        tree = json.loads(path.read_bytes())
        values, *former = (
            {str(keyword): str(value) for keyword, value in one.items()}
            for one in (tree["values"], *tree.get("former", ()))
        )
        schema = tree["schema"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(IDENTITY_UNREADABLE, path=path, error=type(error).__name__) from error
    if schema != SCHEMA or not set(KEYWORDS).issuperset({*values}.union(*former)):
        raise NodeError(IDENTITY_UNREADABLE, path=path, error="it is of another version")
    return values, tuple(former)

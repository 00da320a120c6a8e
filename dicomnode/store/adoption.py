"""Adoption: a received file becomes an instance of its study.

It gets a second name in `studies/`, and keeps the first one in `incoming/` until the journal knows of it
(`Store.settle`). So a crash at any step leaves at least one durable name, and doing it again ends the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dicomnode.store.disk import Disk
from dicomnode.store.history import Mark, before, mark, replace_instance
from dicomnode.store.ids import InstanceIds, read_ids
from dicomnode.store.layout import STUDIES, ensure_folder, hashed, study_folder
from dicomnode.store.likeness import Difference, difference
from dicomnode.store.quarantine import keep_once, quarantine
from dicomnode.store.seal import SealedFile, read_seal, verify
from dicomnode.values import Instance

_CONFLICT: Final = "conflict"
# Nobody corrects an instance so often: something makes it anew at each transfer, and that is for a person
_MOST_BEFORE: Final = 20

Outcome = Literal["new", "same", "conflict", "corrected", "outdated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """The instance that the store has, and what became of the file that came.

    "new": it is the instance. "same": the store had its data set already, in this encoding or another; the
    first is kept. "conflict": the store had another data set under this UID, or has corrected it too often;
    what it had is kept, the file is quarantined, at `quarantined`: the same content has the same path there,
    however often it comes. "corrected": the file, or one of the same content before it, took the place of one
    with the same pixels and another header, which is kept in the history; `change` tells what differs from
    the last one there, of which `replaced` is the mark. "outdated": the instance was so before it was
    corrected, and stays corrected.
    What the store had and the disk has damaged since counts as not there, and is quarantined.
    """

    instance: Instance
    outcome: Outcome
    quarantined: Path | None = None
    change: Difference | None = None
    replaced: Mark | None = None


def adopt_all(disk: Disk, root: Path, entries: Sequence[tuple[SealedFile, InstanceIds]]) -> list[Adoption]:
    """Adopt a group; all names are durable when it returns, with one flush a folder. Raises OSError."""
    adoptions = [_adopt(disk, root, sealed, ids) for sealed, ids in entries]
    for folder in {adoption.instance.path.parent for adoption in adoptions}:
        disk.fsync_dir(folder)
    if adoptions:
        # Always: who made a folder may have died before its name was durable
        disk.fsync_dir(root / STUDIES)
    return adoptions


def _adopt(disk: Disk, root: Path, sealed: SealedFile, ids: InstanceIds) -> Adoption:
    folder = study_folder(root, ids.study_instance_uid)
    target = folder / f"{hashed(ids.sop_instance_uid)}.dcm"
    ensure_folder(disk, folder)
    try:
        disk.link(sealed.path, target)
    except FileExistsError:
        return _meet(disk, root, sealed, ids, target)
    except FileNotFoundError:
        # It was settled before, and whoever asks again has an old list
        if not target.exists():
            raise
        return Adoption(instance=_kept(target, ids), outcome="same")
    return Adoption(instance=_instance(target, sealed, ids), outcome="new")


def _meet(disk: Disk, root: Path, sealed: SealedFile, ids: InstanceIds, target: Path) -> Adoption:
    """There is an instance of that UID: this file itself, one of the same content, or another."""
    if not sealed.path.exists():
        return Adoption(instance=_kept(target, ids), outcome="same")
    if target.samefile(sealed.path):  # a crash came between adoption and settling
        return _as_it_is(root, _instance(target, sealed, ids), otherwise="new")
    if verify(target) is None:
        # The disk has lost what was kept, and here it comes again: damaged bytes refuse no whole ones
        quarantine(disk, root, target, "damaged")
        disk.link(sealed.path, target)
        return Adoption(instance=_instance(target, sealed, ids), outcome="new")
    return _meet_whole(disk, root, sealed, ids, target)


def _meet_whole(disk: Disk, root: Path, sealed: SealedFile, ids: InstanceIds, target: Path) -> Adoption:
    kept = _kept(target, read_ids(target))
    change = difference(sealed.path, target)
    if change is None:
        return _as_it_is(root, kept, otherwise="same")
    earlier = before(root, target)
    if _is_among(sealed, earlier):
        # A copy that somebody still had: what was corrected does not become wrong again by it
        return Adoption(instance=kept, outcome="outdated")
    if change.is_correction and len(earlier) < _MOST_BEFORE:
        replace_instance(disk, root, sealed.path, target)
        instance = _instance(target, sealed, ids)
        return Adoption(instance=instance, outcome="corrected", change=change, replaced=mark_of(kept))
    path = keep_once(disk, root, sealed.path, _CONFLICT, hashed(ids.sop_instance_uid))
    return Adoption(instance=kept, outcome="conflict", quarantined=path)


def _is_among(sealed: SealedFile, earlier: Sequence[Path]) -> bool:
    exactly = (sealed.digest, sealed.size)
    return any(mark(path) == exactly for path in earlier) or any(
        difference(sealed.path, path) is None for path in earlier
    )


def _as_it_is(root: Path, instance: Instance, *, otherwise: Literal["new", "same"]) -> Adoption:
    """What came is the instance; if it was corrected once, the journal may not have heard of that."""
    earlier = before(root, instance.path)
    change = difference(instance.path, earlier[-1]) if earlier else None
    if change is None:
        return Adoption(instance=instance, outcome=otherwise)
    return Adoption(instance=instance, outcome="corrected", change=change, replaced=mark(earlier[-1]))


def file_then(root: Path, instance: Instance, known: Mark) -> Path | None:
    """Find the file that an instance was when it had this mark; None if it never had. Raises OSError."""
    return next((path for path in before(root, instance.path) if mark(path) == known), None)


def never_before(root: Path, instance: Instance, keywords: frozenset[str], known: Mark) -> frozenset[str]:
    """Which of these name another patient or order than any file of an instance until it had this mark.

    What came after that is not known yet, and may say the same. Raises OSError.
    """
    for path in before(root, instance.path):
        change = difference(instance.path, path)
        keywords &= frozenset() if change is None else change.of_another
        if mark(path) == known:
            break
    return keywords


def mark_of(instance: Instance) -> Mark:
    """The mark of the file of an instance."""
    return instance.digest, instance.size


def _kept(target: Path, ids: InstanceIds) -> Instance:
    sealed = read_seal(target)
    if sealed is None:
        raise OSError(f"{target} has lost its seal")
    return _instance(target, sealed, ids)


def _instance(path: Path, sealed: SealedFile, ids: InstanceIds) -> Instance:
    return Instance(
        sop_instance_uid=ids.sop_instance_uid,
        sop_class_uid=ids.sop_class_uid,
        study_instance_uid=ids.study_instance_uid,
        series_instance_uid=ids.series_instance_uid,
        transfer_syntax_uid=ids.transfer_syntax_uid,
        path=path,
        size=sealed.size,
        digest=sealed.digest,
        received_at=sealed.received_at,
        sender=sealed.sender,
    )

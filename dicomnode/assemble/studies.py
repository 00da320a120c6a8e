"""From files to studies, series and stacks: headers only, each file accounted for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomnode.assemble.decoders.compare import PixelComparison
from dicomnode.assemble.facts import facts_of
from dicomnode.assemble.headers import is_part10, read_headers
from dicomnode.assemble.picture_kinds import picture_kind
from dicomnode.assemble.picture_plans import plan_pictures
from dicomnode.assemble.placing import Placement
from dicomnode.assemble.record import Header
from dicomnode.assemble.stacks import SamePixels, plan_series
from dicomnode.faults import NO_INSTANCES, NodeError
from dicomnode.store.foreign import quiet
from dicomnode.values import Progress, Repair, SeriesFacts, SetAside, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Slices of a series that belong together, or one picture or cine of it (then `kind` says so).

    headers: k ascending along the normal; of a picture the one of its instance. placement: where slices lie,
    None where `facts.refusal` says why no volume can be made of them, and of a picture. repairs: what was
    tolerated so far.
    """

    facts: SeriesFacts
    headers: tuple[Header, ...]
    placement: Placement | None
    repairs: tuple[Repair, ...] = ()

    @property
    def kind(self) -> str:
        """What can be made of it: "volume", "picture" or "cine"."""
        return str(self.facts.facts.get("kind", "volume"))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the slices, each once, in the order in which k ascending meets them."""
        return tuple(dict.fromkeys(header.path for header in self.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFiles:
    """One series; instances: all that were found of it, those that were set aside, too."""

    series_instance_uid: str
    modality: str
    instances: int
    stacks: tuple[Stack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """One study; the series are sorted by UID."""

    study_instance_uid: str
    series: tuple[SeriesFiles, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReading:
    """What files hold: studies sorted by UID, and each file and instance that no stack uses."""

    studies: tuple[StudyFiles, ...]
    set_aside: tuple[SetAside, ...]


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the DICOM Part 10 files among and below `paths`, sorted, each once; DICOMDIR is none.

    Raises NodeError(NO_INSTANCES) for a path that does not exist, NodeError(FILE_UNREADABLE).
    """
    return [path for path in _walk(paths) if path.name != "DICOMDIR" and is_part10(path)]


def read_studies(paths: Iterable[Path], progress: Progress = no_progress) -> StudyReading:
    """Read the headers of all files among and below `paths`, and group them into stacks.

    The same files give the same result in whatever order. Progress: "reading headers", files.
    Raises NodeError(NO_INSTANCES) for a path that does not exist or when there is no file at all,
    NodeError(FILE_UNREADABLE) when the disk does not give a file: a slice less would be another volume.
    """
    given = list(paths)
    files = _walk(given)
    if not files:
        raise NodeError(NO_INSTANCES, path=", ".join(str(path) for path in given) or "nothing")
    headers: list[Header] = []
    left_out: list[SetAside] = []
    with quiet():
        for done, path in enumerate(files):
            progress("reading headers", done, len(files))
            read = read_headers(path)
            if isinstance(read, SetAside):
                left_out.append(read)
            else:
                headers += read
        progress("reading headers", len(files), len(files))
        studies: list[StudyFiles] = []
        with PixelComparison() as same_pixels:
            for study_uid, of_study in _groups(headers, "study_instance_uid"):
                series = []
                for _, of_series in _groups(of_study, "series_instance_uid"):
                    one, doubles = _series(of_series, same_pixels)
                    series.append(one)
                    left_out += doubles
                studies.append(StudyFiles(study_instance_uid=study_uid, series=tuple(series)))
    return StudyReading(studies=tuple(studies), set_aside=tuple(left_out))


def _series(headers: Sequence[Header], same_pixels: SamePixels) -> tuple[SeriesFiles, Sequence[SetAside]]:
    plan = plan_series([one for one in headers if picture_kind(one) is None], same_pixels)
    pictures = plan_pictures([one for one in headers if picture_kind(one) is not None], same_pixels)
    stacks = tuple(
        Stack(
            facts=facts_of(stack, number),
            headers=stack.headers,
            placement=stack.placement,
            repairs=stack.repairs,
        )
        for number, stack in enumerate((*plan.stacks, *pictures.stacks))
    )
    first = min(headers, key=lambda header: header.order)
    instances = {(header.path, header.sop_instance_uid) for header in headers}
    series = SeriesFiles(
        series_instance_uid=first.series_instance_uid,
        modality=first.modality,
        instances=len(instances),
        stacks=stacks,
    )
    return series, (*plan.set_aside, *pictures.set_aside)


def _groups(headers: Sequence[Header], name: str) -> Iterator[tuple[str, list[Header]]]:
    groups: dict[str, list[Header]] = {}
    for header in headers:
        groups.setdefault(str(getattr(header, name)), []).append(header)
    for key in sorted(groups):
        yield key, groups[key]


def _walk(paths: Iterable[Path]) -> list[Path]:
    """Return all files among and below `paths`, sorted, each once.

    Links to folders are followed: who links a study into a data set wants it there. A folder that is reached
    in several ways, or holds itself, is entered once.
    """
    found: set[Path] = set()
    entered: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_file():
            found.add(path)
        elif path.is_dir():
            for folder, below, names in os.walk(path, followlinks=True):
                is_new = _enter(folder, entered)
                below[:] = sorted(below) if is_new else []
                if not is_new:
                    continue
                found.update(file for name in names if (file := Path(folder, name)).is_file())
        else:
            raise NodeError(NO_INSTANCES, path=path)
    return sorted(found)


def _enter(folder: str, entered: set[tuple[int, int]]) -> bool:
    """Take note of a folder; tell whether it has not been entered before."""
    try:
        facts = os.stat(folder)  # noqa: PTH116  as `os.walk` names it
    except OSError:
        return False  # gone since it was listed
    key = facts.st_dev, facts.st_ino
    is_new = key not in entered
    entered.add(key)
    return is_new

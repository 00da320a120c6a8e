"""Which study, series or image each row of a table of labels speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dicomnode.assemble import Stack, StudyFiles
from dicomnode.evaluate.data.labels import KeyKind, LabelRow, LabelTable, wrong_labels
from dicomnode.faults import LABEL_ROW_UNUSED, LABELS_OF_OTHERS, NodeError
from dicomnode.values import SetAside

_STUDY: Final = 0
_SERIES: Final = 1
_INSTANCE: Final = 2
_LEVEL_OF: Final = {KeyKind.SERIES: _SERIES, KeyKind.INSTANCE: _INSTANCE, KeyKind.FILE: _INSTANCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Labels of one series, or of one image of it. row: of the table, as a person counts."""

    series_instance_uid: str
    sop_instance_uid: str
    values: Mapping[str, str]
    row: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def speaks_of(self, stack: Stack) -> bool:
        """Tell whether these are labels of a stack: of its series, or of one of its images."""
        if self.sop_instance_uid:
            return any(header.sop_instance_uid == self.sop_instance_uid for header in stack.headers)
        return stack.facts.series_instance_uid == self.series_instance_uid


@dataclass(slots=True)
class Placed:
    """Labels by Study Instance UID, of whole studies and within them, and rows of no study."""

    of_study: dict[str, dict[str, str]] = field(default_factory=dict)
    within: dict[str, list[Told]] = field(default_factory=dict)
    unused: list[SetAside] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Target:
    study: str
    series: str = ""
    instance: str = ""


def place_rows(
    table: LabelTable,
    path: Path,
    studies: Sequence[tuple[StudyFiles, str]],
    *,
    data: Sequence[Path],
    accessions: Mapping[str, str],
) -> Placed:
    """Place each row. studies: with their folder within the data. accessions: by Study Instance UID.

    Raises NodeError: LABELS_OF_OTHERS where no row is of these studies, LABELS_WRONG where two rows say
    different things of one study or stack, or a name is that of several files.
    """
    targets = _targets(table.kind, studies, data=data, accessions=accessions)
    placed, problems = Placed(), []
    rows_of: dict[_Target, LabelRow] = {}
    for row in table.rows:
        found = targets.get(_normal(table.kind, row.key), ())
        if table.kind is KeyKind.FILE and len(found) > 1:
            problems.append(f"row {row.number}: several files have this name; write their path in the data")
            continue
        if not found:
            text = LABEL_ROW_UNUSED.text(row=row.number, file=table.name)
            placed.unused.append(
                SetAside(sop_instance_uid=None, file=table.name, code=LABEL_ROW_UNUSED.code, text=text)
            )
        for target in found:
            earlier = rows_of.setdefault(target, row)
            if earlier is not row:
                problems.append(f"row {row.number}: it speaks of the same as row {earlier.number}")
    if not rows_of and not problems:
        raise NodeError(LABELS_OF_OTHERS, path=path, rows=len(table.rows), column=table.kind)
    for target, row in rows_of.items():
        _put(placed, target, row)
    for study, _ in studies:
        problems += _contradictions(study, placed.within.get(study.study_instance_uid, ()))
    if problems:
        raise wrong_labels(path, problems)
    return placed


def _put(placed: Placed, target: _Target, row: LabelRow) -> None:
    if not target.series:
        placed.of_study[target.study] = dict(row.values)
        return
    told = Told(
        series_instance_uid=target.series,
        sop_instance_uid=target.instance,
        values=row.values,
        row=row.number,
    )
    placed.within.setdefault(target.study, []).append(told)


def _targets(
    kind: KeyKind,
    studies: Sequence[tuple[StudyFiles, str]],
    *,
    data: Sequence[Path],
    accessions: Mapping[str, str],
) -> dict[str, list[_Target]]:
    """Return what each key of the kind names in these studies."""
    found: dict[str, list[_Target]] = {}

    def add(key: str, target: _Target) -> None:
        if key and target not in found.setdefault(key, []):
            found[key].append(target)

    for study, place in studies:
        uid = study.study_instance_uid
        if kind is KeyKind.STUDY:
            add(uid, _Target(uid))
        elif kind is KeyKind.ACCESSION:
            add(accessions.get(uid, ""), _Target(uid))
        elif kind is KeyKind.FILE and place:
            add(place, _Target(uid))  # the folder of a study stands for the study
        if kind in _LEVEL_OF:
            for key, target in _within(kind, study, data):
                add(key, target)
    return found


def _within(kind: KeyKind, study: StudyFiles, data: Sequence[Path]) -> list[tuple[str, _Target]]:
    uid, found = study.study_instance_uid, []
    for series in study.series:
        if kind is KeyKind.SERIES and series.stacks:
            found.append((series.series_instance_uid, _Target(uid, series.series_instance_uid)))
        if _LEVEL_OF[kind] != _INSTANCE:
            continue
        for header in (header for stack in series.stacks for header in stack.headers):
            target = _Target(uid, series.series_instance_uid, header.sop_instance_uid)
            keys = {header.sop_instance_uid} if kind is KeyKind.INSTANCE else names_of(header.path, data)
            found += [(key, target) for key in sorted(keys)]
    return found


def names_of(path: Path, data: Sequence[Path]) -> set[str]:
    """Return what a table may call a file: its path within the data, or its name alone."""
    names = {path.name}
    for root in data:
        folder = root.absolute() if root.is_dir() else root.absolute().parent
        if path.absolute().is_relative_to(folder):
            names.add(path.absolute().relative_to(folder).as_posix())
    return names


def _normal(kind: KeyKind, key: str) -> str:
    return key.replace("\\", "/").removeprefix("./").rstrip("/") if kind is KeyKind.FILE else key


def _contradictions(study: StudyFiles, told: Sequence[Told]) -> list[str]:
    """Tell of each two rows that say different things of one stack."""
    problems = []
    of_images = [one for one in told if one.sop_instance_uid]
    if not of_images:
        return []
    for stack in (stack for series in study.series for stack in series.stacks):
        said: dict[str, Told] = {}
        for one in (one for one in of_images if one.speaks_of(stack)):
            for column, value in one.values.items():
                first = said.setdefault(column, one)
                if first.values[column] != value:
                    problems.append(
                        f"rows {first.row} and {one.row}, column {column}: different labels of images that "
                        "belong to one volume; a label is of a study, a series or a picture"
                    )
    return problems

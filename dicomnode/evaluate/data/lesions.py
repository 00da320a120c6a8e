"""Lesions of a table become what others say of a study: places on its stacks, or that there is none."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from dicomnode.assemble import Stack
from dicomnode.evaluate.data.labels import KeyKind
from dicomnode.evaluate.data.lesion_tables import LesionRow, LesionTable, read_lesions, wrong_lesions
from dicomnode.evaluate.data.placing import names_of
from dicomnode.evaluate.data.studies import LabelledData, LabelledStudy
from dicomnode.faults import LESION_ROW_UNUSED, LESIONS_OF_OTHERS, LESIONS_UNNAMED, NodeError
from dicomnode.values import (
    AnnotatedRegion,
    Annotation,
    AnnotationKind,
    Code,
    Grid,
    MadeBy,
    Measurement,
    PointLps,
    RegionKind,
    SetAside,
)

_NO: Final = Code("373067005", "SCT", "No")  # PS3.16 CID 230
_DIAMETER: Final = Code("81827009", "SCT", "Diameter")
_MM: Final = Code("mm", "UCUM", "mm")


def with_lesions(
    data: LabelledData, path: Path, labels: Sequence[str], folders: Sequence[Path] = ()
) -> LabelledData:
    """Return the data with the lesions of a table beside what else is said of them.

    A row without a place says that there is none in what its key names; of what no row names nobody has said
    anything. labels: what is looked for, by which rows are called that do not say what they are. folders: of
    the data, which names of files are within.
    Raises NodeError: LESIONS_WRONG with all problems, LESIONS_UNNAMED, LESIONS_OF_OTHERS, FILE_UNREADABLE.
    """
    table = read_lesions(path)
    if len(labels) != 1 and not all(row.label for row in table.rows):
        raise NodeError(LESIONS_UNNAMED, path=path, outputs=", ".join(labels) or "no lesions")
    placing = _Placing(table, labels[0] if labels else "", data, folders)
    studies = [replace(study, annotations=placing.annotations(study)) for study in data.studies]
    placing.tell_beside()
    if placing.problems:
        raise wrong_lesions(path, placing.problems)
    unused = [row for row in table.rows if row.number not in placing.used]
    if len(unused) == len(table.rows):
        raise NodeError(LESIONS_OF_OTHERS, path=path, rows=len(table.rows), column=table.kind)
    return replace(data, studies=tuple(studies), set_aside=(*data.set_aside, *map(placing.left, unused)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _On:
    """A row on a stack. k: the slice or frame that its key names, None where it names a series."""

    row: LesionRow
    stack: Stack
    grid: Grid
    k: int | None


class _Placing:
    """Gives each stack the rows that speak of it."""

    def __init__(self, table: LesionTable, label: str, data: LabelledData, folders: Sequence[Path]) -> None:
        self.problems: list[str] = []
        self.used: set[int] = set()
        self._named_here: set[int] = set()  # rows whose key is that of a series that is here
        self._table, self._label, self._folders = table, label, folders
        self._rows: dict[str, list[LesionRow]] = {}
        for row in table.rows:
            key = row.key.replace("\\", "/").removeprefix("./") if table.kind is KeyKind.FILE else row.key
            self._rows.setdefault(key, []).append(row)
        self._named = _counted(data, folders) if table.kind is KeyKind.FILE else {}

    def left(self, row: LesionRow) -> SetAside:
        """Say that a row is of nothing here."""
        text = LESION_ROW_UNUSED.text(row=row.number, file=self._table.path.name)
        return SetAside(
            sop_instance_uid=None, file=self._table.path.name, code=LESION_ROW_UNUSED.code, text=text
        )

    def annotations(self, study: LabelledStudy) -> tuple[Annotation, ...]:
        """Return what is said of a study, with what the table says of its stacks."""
        made = []
        for stack in study.stacks:
            grid = _grid_of(stack)
            if grid is None:
                continue
            found = list(self._rows_of(stack, grid, several=_stacks_of_series(study, stack) > 1))
            self.used |= {one.row.number for one in found}
            if found:
                made.append(self._annotation(study, stack, found))
        return (*study.annotations, *made)

    def _rows_of(self, stack: Stack, grid: Grid, *, several: bool) -> Iterator[_On]:
        if self._table.kind is KeyKind.SERIES:
            for row in self._rows.get(stack.facts.series_instance_uid, ()):
                self._named_here.add(row.number)
                on = _On(row=row, stack=stack, grid=grid, k=None)
                # Of several stacks of a series the one that holds the place is meant
                if row.is_none or not several or self._is_inside(on):
                    yield on
            return
        of_instance = Counter(header.sop_instance_uid for header in stack.headers)
        told: set[str] = set()  # objects of several frames, of which each has a header
        for k, header in enumerate(stack.headers):
            frames = of_instance[header.sop_instance_uid]
            if header.sop_instance_uid in told:
                continue
            told |= {header.sop_instance_uid} if frames > 1 else set()
            keys = {header.sop_instance_uid}
            if self._table.kind is KeyKind.FILE:
                keys = names_of(header.path, self._folders)
            for key in sorted(keys):
                for row in self._rows.get(key, ()):
                    if self._named.get(key, 1) > 1:
                        self.problems.append(f"row {row.number}: several files have this name")
                    yield _On(row=row, stack=stack, grid=grid, k=k if frames == 1 else None)

    def tell_beside(self) -> None:
        """Tell of rows of a series of several stacks whose place is on none of them."""
        beside = sorted(self._named_here - self.used)
        self.problems += [f"row {number}: its place lies outside the images" for number in beside]

    def _is_inside(self, on: _On) -> bool:
        return not isinstance(_point(on), str)

    def _annotation(self, study: LabelledStudy, stack: Stack, found: Sequence[_On]) -> Annotation:
        regions, answers = [], []
        for on in found:
            point = _point(on)
            if isinstance(point, str):
                self.problems.append(f"row {on.row.number}: {point}")
            elif point is None:
                concept = self._named_by(on.row)
                answers.append((Code(concept, "99DICOMNODE", concept), _NO))
            else:
                regions.append(self._region(on, point))
        told = {meaning.value for meaning, _ in answers}
        for on in found:
            if not on.row.is_none and self._named_by(on.row) in told:
                self.problems.append(f"row {on.row.number}: another row says that there is none")
        said = stack.facts.series_instance_uid
        said += repr([(one.label, one.points_lps_mm, one.measurements) for one in regions] + answers)
        return Annotation(
            kind=AnnotationKind.TABLE,
            sop_class_uid="",
            sop_instance_uid=hashlib.sha256(said.encode()).hexdigest(),
            series_instance_uid="",
            study_instance_uid=study.study.study_instance_uid,
            of_series=stack.facts.series_instance_uid,
            of_stack=stack.facts.stack,
            title=self._table.path.name,
            made_by=MadeBy.PERSON,
            regions=tuple(regions),
            answers=tuple(dict.fromkeys(answers)),
        )

    def _named_by(self, row: LesionRow) -> str:
        return row.label or self._label

    def _region(self, on: _On, point: PointLps) -> AnnotatedRegion:
        size = _diameter_mm(on)
        sizes = () if size is None else (_measured(size),)
        return AnnotatedRegion(
            label=self._named_by(on.row),
            kind=RegionKind.POINT,
            points_lps_mm=(point,),
            measurements=sizes,
        )


def _measured(size_mm: float) -> Measurement:
    return Measurement(name="diameter", concept=_DIAMETER, value=size_mm, unit=_MM)


def _stacks_of_series(study: LabelledStudy, stack: Stack) -> int:
    uid = stack.facts.series_instance_uid
    return sum(one.facts.series_instance_uid == uid and _grid_of(one) is not None for one in study.stacks)


def _grid_of(stack: Stack) -> Grid | None:
    """Return the grid that places lie on: of the slices, or of the pixels of a picture; None of neither."""
    if stack.facts.refusal is not None:
        return None
    if stack.placement is not None:
        return stack.placement.grid
    first = stack.headers[0]
    if first.picture is None or not first.rows or not first.columns:
        return None
    return first.picture.plane.grid((first.frames, first.rows, first.columns))


def _point(on: _On) -> PointLps | str | None:
    """Return the place in LPS mm, on a picture in its plane; None of no lesion; a text: what is wrong."""
    picture = not on.grid.frame_of_reference_uid
    if on.row.is_none:
        if on.k is not None and not picture and on.grid.shape_kji[0] > 1:
            return "that one slice has none says nothing of the others: name the series"
        return None
    if on.row.pixel is not None:
        column, row = on.row.pixel
        if on.k is None and on.grid.shape_kji[0] > 1:
            reason = "columns and rows need the slice: give its SOPInstanceUID or file"
            return f"{reason}; of an object of several frames give coordX, coordY and coordZ"
        x, y, z = on.grid.to_lps_mm([0.0 if picture else float(on.k or 0), row, column])
        point = float(x), float(y), float(z)
    else:
        assert on.row.place_mm is not None  # of a row without a place there was told that there is none
        across, down, along = on.row.place_mm
        if along is None and not picture:
            return "coordZ is missing"
        point = across, down, 0.0 if picture else float(along or 0.0)
    return _beside(on, point) or point


def _beside(on: _On, point: PointLps) -> str:
    """Say that a place lies beside the images, or off the slice that its key names; "" where it does not."""
    if not _inside(point, on.grid):
        x, y, z = point
        is_ras = bool(on.grid.frame_of_reference_uid) and _inside((-x, -y, z), on.grid)
        hint = ", but inside were x and y negated: is it RAS, and not LPS?" if is_ras else ""
        return f"its place lies outside the images{hint}"
    if on.k is not None and on.grid.frame_of_reference_uid:
        away = abs(float(on.grid.to_index_kji(point)[0]) - on.k)
        return "its place lies off the slice that its key names" if away > 1.0 else ""
    return ""


def _inside(point: PointLps, grid: Grid) -> bool:
    index = grid.to_index_kji(point)
    return bool(np.all((index >= -1.0) & (index <= grid.shape_kji)))  # a voxel more on each side


def _diameter_mm(on: _On) -> float | None:
    """Return the diameter in mm; of a picture without spacing in its pixels, as all that is on it."""
    if on.row.diameter_px is None:
        return on.row.diameter_mm
    _, row_mm, column_mm = on.grid.spacing_kji_mm
    return float(on.row.diameter_px * np.sqrt(row_mm * column_mm))


def _counted(data: LabelledData, folders: Sequence[Path]) -> dict[str, int]:
    """Return how many files each name is of."""
    named: dict[str, set[Path]] = {}
    for study in data.studies:
        for header in (header for stack in study.stacks for header in stack.headers):
            for name in names_of(header.path, folders):
                named.setdefault(name, set()).add(header.path)
    return {name: len(paths) for name, paths in named.items()}

"""Which patients teach, which tell when to stop, and which are looked at once: kept for good.

Whole patients are allotted, in the order of a hash of their keys: two studies of one patient never stand on
both sides. A split that was kept is read and extended: new patients join, none that is there ever moves, so
that no later training sees what an earlier one was tested on.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dicomnode.evaluate.data.studies import LabelledStudy
from dicomnode.faults import FILE_NOT_WRITTEN, FILE_UNREADABLE, SPLIT_WRONG, NodeError
from dicomnode.store import SharedDisk, write_whole

SCHEMA: Final = 1
SPLIT_FILE: Final = "split.json"
_MOST_STRATA: Final = 10
"""A column with more different labels is a number or a name, and stratifies nothing."""


class Part(StrEnum):
    """A part of the data."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


FRACTIONS: Final[Mapping[Part, float]] = MappingProxyType(
    {Part.TRAIN: 0.7, Part.VALIDATION: 0.15, Part.TEST: 0.15}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The part of each patient, by key. fractions: wished for; of few patients they come out rougher.

    folds: how many parts the patients that are not tested are cut into, 0 for none; fold_of: 0 to folds - 1.
    Raises ValueError on fractions that do not add up to 1, and on a fold for a patient that is tested.
    """

    seed: int
    fractions: Mapping[Part, float] = field(default_factory=lambda: FRACTIONS)
    parts: Mapping[str, Part]
    folds: int = 0
    fold_of: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fractions = {part: float(self.fractions.get(part, 0.0)) for part in Part}
        if min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1.0) > 1e-9:
            raise ValueError(f"fractions of a split add up to 1, got {fractions!r}")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds are 2 and more, got {self.folds}")
        for patient, fold in self.fold_of.items():
            if not 0 <= fold < self.folds or self.parts.get(patient) in (None, Part.TEST):
                raise ValueError(f"fold {fold} of {patient} cannot be")
        for name, value in (("fractions", fractions), ("parts", self.parts), ("fold_of", self.fold_of)):
            object.__setattr__(self, name, MappingProxyType(dict(value)))

    def patients(self, part: Part) -> tuple[str, ...]:
        """Keys of the patients of a part, sorted."""
        return tuple(sorted(patient for patient, of in self.parts.items() if of is part))

    def of(self, part: Part, studies: Sequence[LabelledStudy]) -> tuple[LabelledStudy, ...]:
        """The studies of a part."""
        return tuple(study for study in studies if self.parts.get(study.patient) is part)

    def fold(self, number: int) -> tuple[frozenset[str], frozenset[str]]:
        """Patients that teach and those that tell, of a fold from 0; tested ones are in neither."""
        if not 0 <= number < self.folds:
            raise ValueError(f"fold {number} of {self.folds}")
        tell = frozenset(patient for patient, fold in self.fold_of.items() if fold == number)
        return frozenset(self.fold_of) - tell, tell


def strata_of(studies: Sequence[LabelledStudy], column: str | None = None) -> dict[str, str]:
    """Return a stratum for each patient: what is alike shall be in all parts.

    column: of the table; a patient with several labels is of the rarest of them. Without one, or where it has
    more than ten labels, patients with and without any segment or region are told apart.
    """
    labels = {study.patient: set[str]() for study in studies}
    if column is not None:
        for study in studies:
            labels[study.patient] |= {row[column] for row in _rows(study) if column in row}
        counts = Counter(label for of_patient in labels.values() for label in of_patient)
        if 1 < len(counts) <= _MOST_STRATA:
            return {
                patient: min(of_patient, key=lambda label: (counts[label], label)) if of_patient else ""
                for patient, of_patient in labels.items()
            }
    marked = {study.patient for study in studies for one in study.annotations if one.segments or one.regions}
    return {patient: "marked" if patient in marked else "" for patient in labels}


def _rows(study: LabelledStudy) -> Iterable[Mapping[str, str]]:
    yield study.row
    for one in study.told:
        yield one.values


def draw_split(
    strata: Mapping[str, str], *, seed: int = 0, fractions: Mapping[Part, float] = FRACTIONS
) -> Split:
    """Draw a split. strata: of each patient by key, "" for none; equal arguments draw the same.

    Raises ValueError as `Split`.
    """
    return extend_split(Split(seed=seed, fractions=fractions, parts={}), strata)


def extend_split(split: Split, strata: Mapping[str, str]) -> Split:
    """Add the patients that are new, each where its stratum and the whole lack most; no other one moves.

    With folds, new patients that are not tested get one, too.
    """
    parts = dict(split.parts)
    shares = [split.fractions[part] for part in Part]
    order = list(Part)
    have = _Allotted(shares)
    for patient, part in parts.items():
        have.add(strata.get(patient, ""), order.index(part))
    for patient in _in_order(strata, split.seed):
        if patient not in parts:
            parts[patient] = order[have.next(strata[patient])]
    extended = replace(split, parts=parts)
    return draw_folds(extended, strata, split.folds) if split.folds else extended


def draw_folds(split: Split, strata: Mapping[str, str], folds: int) -> Split:
    """Cut the patients that are not tested into `folds` parts of about equal size and strata.

    Patients that have one of so many folds keep it; of another number all are drawn anew.
    """
    if folds < 2:
        raise ValueError(f"folds are 2 and more, got {folds}")
    fold_of = dict(split.fold_of) if split.folds == folds else {}
    have = _Allotted([1.0 / folds] * folds)
    for patient, fold in fold_of.items():
        have.add(strata.get(patient, ""), fold)
    for patient in _in_order(split.parts, split.seed):
        if patient not in fold_of and split.parts[patient] is not Part.TEST:
            fold_of[patient] = have.next(strata.get(patient, ""))
    return replace(split, folds=folds, fold_of=fold_of)


class _Allotted:
    """How many of each stratum, and of all, each part has; the next goes where most are lacking."""

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares = shares
        self._of_stratum: Counter[tuple[str, int]] = Counter()
        self._of_all: Counter[int] = Counter()

    def add(self, stratum: str, part: int) -> None:
        self._of_stratum[stratum, part] += 1
        self._of_all[part] += 1

    def next(self, stratum: str) -> int:
        """Allot one more of the stratum; of equal need the first part."""
        alike = 1 + sum(self._of_stratum[stratum, part] for part in range(len(self._shares)))
        total = 1 + self._of_all.total()
        lack = [
            # Rounded: what binary fractions add shall not decide
            round(share * (alike + total) - self._of_stratum[stratum, part] - self._of_all[part], 9)
            if share > 0
            else float("-inf")
            for part, share in enumerate(self._shares)
        ]
        part = lack.index(max(lack))
        self.add(stratum, part)
        return part


def _in_order(patients: Iterable[str], seed: int) -> list[str]:
    """Sort patients by a hash: an order that says nothing of when they came, or who they are."""
    return sorted(patients, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())


# ── the file ──


def save_split(path: Path, split: Split) -> None:
    """Write a split; it is there whole or not at all. Raises NodeError(FILE_NOT_WRITTEN)."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "seed": split.seed,
        "fractions": {str(part): split.fractions[part] for part in Part},
        "patients": {patient: str(split.parts[patient]) for patient in sorted(split.parts)},
        "folds": split.folds,
        "fold_of": {patient: split.fold_of[patient] for patient in sorted(split.fold_of)},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(SharedDisk(), path, (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or error) from error


def load_split(path: Path) -> Split:
    """Read a split that was kept. Raises NodeError(SPLIT_WRONG, FILE_UNREADABLE)."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error
    except ValueError as error:
        raise NodeError(SPLIT_WRONG, path=path, problem="it is no JSON") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise NodeError(SPLIT_WRONG, path=path, problem=f"it is not of schema {SCHEMA}")
    try:
        return Split(
            seed=int(document["seed"]),
            fractions={Part(part): float(share) for part, share in document["fractions"].items()},
            parts={str(patient): Part(part) for patient, part in document["patients"].items()},
            folds=int(document["folds"]),
            fold_of={str(patient): int(fold) for patient, fold in document["fold_of"].items()},
        )
    except KeyError as error:
        raise NodeError(SPLIT_WRONG, path=path, problem=f"it lacks {error.args[0]!r}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise NodeError(SPLIT_WRONG, path=path, problem=str(error)) from error


def kept_split(
    path: Path,
    strata: Mapping[str, str],
    *,
    seed: int | None = None,
    fractions: Mapping[Part, float] | None = None,
) -> Split:
    """Return the split of a file with all these patients in it; a file that is missing is made.

    seed, fractions: of a new split, 0 and `FRACTIONS` by default; a kept one must have been drawn with them.
    Raises NodeError: SPLIT_WRONG where it was not, FILE_UNREADABLE, FILE_NOT_WRITTEN.
    """
    if not path.exists():
        split = draw_split(strata, seed=seed or 0, fractions=fractions or FRACTIONS)
        save_split(path, split)
        return split
    split = load_split(path)
    if seed is not None and seed != split.seed:
        raise NodeError(SPLIT_WRONG, path=path, problem=f"it was drawn with seed {split.seed}, not {seed}")
    if fractions is not None and dict(fractions) != dict(split.fractions):
        raise NodeError(SPLIT_WRONG, path=path, problem="it was drawn with other fractions")
    extended = extend_split(split, strata)
    if dict(extended.parts) != dict(split.parts) or dict(extended.fold_of) != dict(split.fold_of):
        save_split(path, extended)
    return extended

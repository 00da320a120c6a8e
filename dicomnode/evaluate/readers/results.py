"""How far readers agree, with intervals by patient: of all of them together, and of each two."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dicomnode.evaluate.evaluation import FEW_PATIENTS, DataFacts
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.intervals import Interval, Resampling
from dicomnode.evaluate.readers.readings import AnyReadings


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOfReaders:
    """Two readers on the cases that both read. intervals: figures, the one that leads first.

    counts: of labels, how often one gave each (rows) and the other each (columns); () of others.
    """

    first: str
    second: str
    cases: int
    intervals: tuple[Interval, ...]
    counts: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersResult:
    """One thing that several people read. together: figures of all of them, what leads first.

    compared: cases with two readers and more; alone: cases with one, in no figure. patients: of the compared.
    by_all: cases that the first figure of all together is of: an ICC wants a number of each reader.
    """

    readings: AnyReadings
    compared: int
    alone: int
    patients: int
    by_all: int
    together: tuple[Interval, ...]
    pairs: tuple[PairOfReaders, ...]
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def lead(self) -> Interval:
        """The figure that is said first."""
        return self.together[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersReport:
    """The readers of one data set, thing by thing."""

    data: DataFacts
    results: tuple[ReadersResult, ...]
    remarks: tuple[str, ...] = ()
    resampling: Resampling = field(default_factory=Resampling)
    node_version: str = ""
    made_at: datetime | None = None

    @property
    def general(self) -> tuple[str, ...]:
        """What is true of all figures."""
        if self.data.patients >= FEW_PATIENTS:
            return ()
        return (f"Only {counted(self.data.patients, 'patient')}: all figures may be far off.",)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What nobody may overlook: of all, then with what it is said of."""
        each = (f"{one.readings.title}: {text}" for one in self.results for text in one.warnings)
        return (*self.general, *each)

"""Numbers of a report (NUM, TID 300): rounded to what they can carry, with the algorithm that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicomnode.report import concepts as c
from dicomnode.report.sr.measured import rounded
from dicomnode.values import Code, Measurement, Provenance, Region, Segment
from dicomnode.values.codes import PERCENT

if TYPE_CHECKING:
    from highdicom import sr


def percent(concept: Code, part: float, derivation: Code | None = None) -> Measurement:
    """Return a part of 1 in per cent."""
    return Measurement(name="score", concept=concept, value=100 * part, unit=PERCENT, derivation=derivation)


def score_of(found: Segment | Region) -> Measurement | None:
    """Return the score of a finding, as what the engine declares it to be."""
    if found.score is None:
        return None
    return percent(c.concept_of_score(calibrated=found.calibrated), found.score)


@dataclass(frozen=True, slots=True)
class NumberWriter:
    """Writes the numbers of one report."""

    made_by: Provenance

    def number(
        self, one: Measurement, algorithm: str, along: sr.CoordinatesForMeasurement | None = None
    ) -> sr.Measurement:
        """Write a measurement. along: the coordinates that it was measured along."""
        from highdicom import sr  # noqa: PLC0415  heavy

        return sr.Measurement(
            name=c.coded(one.concept),
            value=rounded(float(one.value), one.unit),
            unit=c.coded(one.unit),
            derivation=c.coded(one.derivation) if one.derivation else None,
            algorithm_id=self.algorithm(algorithm),
            referenced_coordinates=None if along is None else [along],
        )

    def numbers(self, measurements: Sequence[Measurement], algorithm: str) -> list[sr.Measurement]:
        """Write measurements."""
        return [self.number(one, algorithm) for one in measurements]

    def of_finding(
        self, found: Segment | Region, measurements: Sequence[Measurement]
    ) -> list[sr.Measurement]:
        """Write the measurements of a finding, its score, and those of its classes, by what made them."""
        score = score_of(found)
        written = self.numbers((*measurements, *([] if score is None else [score])), found.algorithm)
        for one in found.classes:
            concept = c.concept_of_class(one.type, calibrated=one.calibrated)
            written.append(self.number(percent(concept, one.probability), one.algorithm))
        return written

    def with_interval(self, one: Measurement, algorithm: str) -> list[sr.Measurement]:
        """Write a number, the ends of its interval and what part of the cases lies within, each by itself.

        TID 310 has a place for the ends below the number, where no checker of templates takes them.
        """
        ends = [
            replace(one, concept=concept, value=end, interval=None, interval_percent=None)
            for concept, end in zip((c.INTERVAL_LOW, c.INTERVAL_HIGH), one.interval or (), strict=False)
        ]
        part = [percent(c.INTERVAL_PART, (one.interval_percent or 0.0) / 100)] if ends else []
        return self.numbers((one, *ends, *part), algorithm)

    def algorithm(self, name: str) -> sr.AlgorithmIdentification:
        """Name a step of the engine, or the engine itself."""
        from highdicom import sr  # noqa: PLC0415  heavy

        engine = self.made_by.engine
        full = name if name == engine else f"{engine}: {name}"
        return sr.AlgorithmIdentification(name=full, version=self.made_by.version)

"""The units of a row that an engine gives."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.analyse.algorithms import ROW_ALGORITHMS
from dicomnode.analyse.radiomics import units_of
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.evaluate.running import Answer


def units_by(manifest: Manifest, output: OutputSpec, answer: Answer, names: Sequence[str]) -> tuple[str, ...]:
    """Return the units of what an output gave, one a name: of radiomics by the unit of the images.

    Numbers of a network have none, and other algorithms of the node tell none: theirs are "1", and what they
    are in stands in the names, or with the algorithm.
    """
    if manifest.step_named(output.step).algorithm != ROW_ALGORITHMS["radiomics"].name:
        return ("1",) * len(names)
    unit = None if answer.stack is None else answer.stack.facts.facts.get("unit")
    return units_of(names, str(unit or "1"))

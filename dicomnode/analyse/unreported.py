"""Candidates that are no findings, gathered of all outputs: for who judges an engine, never for a report."""

from __future__ import annotations

from collections.abc import Mapping

from dicomnode.analyse.steps import Result
from dicomnode.engine import Manifest
from dicomnode.values import Candidate, Unreported


def unreported(manifest: Manifest, results: Mapping[str, Result]) -> Unreported:
    """Return what the steps kept below their thresholds, by the label of the output that it would be."""
    candidates: list[Candidate] = []
    down_to: dict[str, float] = {}
    for output in manifest.output:
        if output.what not in {"segment", "region"}:
            continue
        result = results[output.step].of_head(output.head)
        below = result.reading.below
        if result.unseen is not None:  # it has not looked, so that there is no candidate at any threshold
            down_to[output.label] = 0.0
        if below is None:
            continue
        down_to[output.label] = below.down_to
        channel = manifest.channel_of(output) if output.what == "region" else 0
        candidates += [
            Candidate(label=output.label, centre_lps_mm=centre, score=score)
            for number, centre, score in below.places
            if number == channel
        ]
    return Unreported(candidates=tuple(candidates), down_to=down_to)

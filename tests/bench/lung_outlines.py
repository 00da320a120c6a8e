"""What `dense_part` of an engine does to outlines and types: python -m tests.bench.lung_outlines.

Each chest of nobody is looked at twice by the same engine, as it is and with the border where its mask ends;
of each nodule that both report, volume and Dice are compared. Chests have thirty nodules, of each type as
many, and are those that types are judged on. Phantoms: no clinical figure.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import EnginePackage
from dicomnode.evaluate import Figure, Resampling, bootstrap_interval, dice, match_candidates
from dicomnode.evaluate.cases import Rows
from dicomnode.learn.types.chests import KINDS, scan_of
from dicomnode.phantom import ChestScan, refuse_reserved
from dicomnode.values import Mask
from tests.bench.lung.answer import SALT, WHEN, volume_of
from tests.bench.lung.engines import package_of, title
from tests.bench.told import machine

FIRST: Final = 160_000
_MOST: Final = 60  # more than a chest has nodules
_SIZES_MM: Final = (3.0, 8.0, 15.0, 40.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlined:
    """A nodule that was reported. ratio: of its volume to the true one. called: its type as it is said."""

    seed: int
    label: str
    kind: str
    place: str
    diameter_mm: float
    ratio: float
    dice: float
    called: str


def with_border(package: EnginePackage, *, dense: bool) -> EnginePackage:
    """Return an engine that reports all that it finds, with its dense_part or without."""
    steps = []
    for one in package.manifest.step:
        how = one.centre_heat
        if how is not None:
            how = replace(how, at_most=_MOST, dense_part=how.dense_part if dense else None)
        steps.append(replace(one, centre_heat=how))
    return replace(package, manifest=replace(package.manifest, step=tuple(steps)))


def outlined(scan: ChestScan, analyst: Analyst) -> Iterator[Outlined]:
    """Give the nodules that count and that an engine reports."""
    analysis = Analysis(
        volumes={analyst.package.manifest.input[0].name: volume_of(scan)},
        salt=SALT,
        study_version=1,
        made_at=WHEN,
    )
    found = [one for one in analyst.analyse(analysis).segments if one.score is not None]
    matching = match_candidates([(one.centre_lps_mm, one.score or 0.0) for one in found], scan.nodules)
    for hit in matching.hits:
        segment, nodule = found[hit.found], scan.nodules[hit.truth]
        called = [one.label for one in segment.classes if one.present]
        yield Outlined(
            seed=scan.seed,
            label=nodule.label,
            kind=nodule.kind,
            place=nodule.place,
            diameter_mm=nodule.diameter_mm,
            ratio=segment.mask.count * scan.grid.voxel_mm3 / nodule.volume_mm3,
            dice=_dice(segment.mask, nodule.mask),
            called=called[0].replace("ground-glass", "ground glass") if called else "",
        )


def _dice(one: Mask, other: Mask) -> float:
    """As `dice`, within the box of both: whole scans are large."""
    boxes = zip(one.slices_kji, other.slices_kji, strict=True)
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in boxes)
    return dice(one.to_array()[box], other.to_array()[box])


Pair = tuple[Outlined, Outlined]


def pairs_of(without: Sequence[Outlined], dense: Sequence[Outlined]) -> list[Pair]:
    """Return what both report of the same nodule."""
    other = {(one.seed, one.label): one for one in dense}
    return [(one, other[one.seed, one.label]) for one in without if (one.seed, one.label) in other]


def groups() -> Mapping[str, Callable[[Outlined], bool]]:
    """Name the rows of the table."""
    rows: dict[str, Callable[[Outlined], bool]] = {"all": lambda _: True}
    for kind in KINDS:
        for low, high in pairwise(_SIZES_MM):
            rows[f"{kind}, {low:g} to {high:g} mm"] = lambda one, k=kind, a=low, b=high: (
                one.kind == k and a <= one.diameter_mm < b
            )
    rows["at the pleura"] = lambda one: one.place == "pleura"
    return rows


def page(pairs: Sequence[Pair]) -> Iterator[str]:
    """Give the table, and how often the type is right."""
    yield "| nodules | of | volume / true, mask's border | half height | error of volume | Dice | |"
    yield "| --- | ---: | --- | --- | --- | --- | --- |"
    for name, those in groups().items():
        some = [pair for pair in pairs if those(pair[0])]
        if some:
            quartiles = ["/".join(f"{x:.2f}" for x in _quartiles(some, n)) for n in (0, 1)]
            errors = " → ".join(f"{_error(some, n):.3f}" for n in (0, 1))
            means = " → ".join(f"{np.mean([pair[n].dice for pair in some]):.3f}" for n in (0, 1))
            gain = _gain(some, lambda one: one.dice)
            yield f"| {name} | {len(some)} | {' | '.join(quartiles)} | {errors} | {means} | {gain} |"
    right = " → ".join(f"{np.mean([pair[n].called == pair[n].kind for pair in pairs]):.3f}" for n in (0, 1))
    yield ""
    gain = _gain(pairs, lambda one: float(one.called == one.kind))
    yield f"Type right, of all: {right} ({gain}). Error: median of |ln (volume / true)|."


def _quartiles(pairs: Sequence[Pair], n: int) -> list[float]:
    return [float(x) for x in np.percentile([pair[n].ratio for pair in pairs], (25, 50, 75))]


def _error(pairs: Sequence[Pair], n: int) -> float:
    return float(np.median([abs(np.log(pair[n].ratio)) for pair in pairs]))


def _gain(pairs: Sequence[Pair], value: Callable[[Outlined], float]) -> str:
    """Return the mean difference with its interval, drawn over patients; without one of a single patient."""
    gains = np.array([value(dense) - value(without) for without, dense in pairs])

    def mean(rows: Rows) -> Figure:
        return Figure(name="gain", value=float(gains[rows].mean()))

    found = bootstrap_interval(
        [str(pair[0].seed) for pair in pairs], mean, Resampling(resamples=1000, seed=0)
    )
    if found.low is None or found.high is None:
        return f"{gains.mean():+.3f}"
    return f"{gains.mean():+.3f}, {found.low:+.3f} to {found.high:+.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="lung-ct", help="name of a shipped engine, or a folder")
    parser.add_argument("--first", type=int, default=FIRST, help="seed of the first chest")
    parser.add_argument("--chests", type=int, default=20)
    parser.add_argument("--json", type=Path, help="where all pairs are written")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    seeds = range(given.first, given.first + given.chests)
    refuse_reserved(seeds)
    package = package_of(given.engine)
    analysts = [
        Analyst(with_border(package, dense=dense), threads=1, node_version="bench") for dense in (False, True)
    ]
    pairs: list[Pair] = []
    for seed in seeds:
        scan = scan_of(seed)
        pairs += pairs_of(*(list(outlined(scan, analyst)) for analyst in analysts))
    for analyst in analysts:
        analyst.close()
    if given.json:
        given.json.write_text(json.dumps([[asdict(one) for one in pair] for pair in pairs]), encoding="utf-8")
    print(f"## {title(package)}: {len(seeds)} chests from {seeds.start}\n")
    for line in page(pairs):
        print(line)
    print(machine(("numpy", "scipy", "onnxruntime"), 1))


if __name__ == "__main__":
    main()

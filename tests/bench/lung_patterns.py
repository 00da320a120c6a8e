"""What an engine for patterns of the lungs says of the frozen suite, and of real scans.

python -m tests.bench.lung_patterns [--engine NAME|DIR] [--size full|small] [--real] [--json FILE]

Phantoms: what is measured there is no clinical figure, and nobody trains or tunes on these seeds. Of the real
scans nobody has said which patterns they show: their answers are listed, for people to look at.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from dicomnode.analyse import Analysis, Analyst
from dicomnode.learn.patterns.card import short
from dicomnode.learn.patterns.drawn import PATTERNS
from dicomnode.learn.patterns.judging import Judged, judged
from dicomnode.phantom import CHEST_VERSION, suite_cases
from dicomnode.values import Findings, RemarkKind, Volume
from tests.bench.lung.answer import SALT, WHEN, volume_of
from tests.bench.lung.engines import package_of
from tests.bench.lung_real import SCANS, read_scan
from tests.bench.told import data_folder, machine

PACKAGES: Final = ("numpy", "scipy", "onnxruntime", "scikit-learn")
LOW_HU: Final = -950.0
LAA_PERCENT: Final = 5.0
"""From so much of the lungs below -950 HU emphysema is usually said to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an engine said of a scan. has: None where nobody knows. laa950: of both lungs, in percent."""

    name: str
    has: dict[str, bool] | None
    probabilities: dict[str, float]
    present: dict[str, bool]
    laa950: float | None
    refused: str = ""


def told_of(analyst: Analyst, name: str, volume: Volume, has: dict[str, bool] | None) -> Told:
    """Ask an engine that is loaded."""
    spec = analyst.package.manifest.input[0]
    least = max((rule.at_least or 0.0 for rule in spec.require if rule.fact == "extent_k_mm"), default=0.0)
    extent = volume.voxels.shape[0] * volume.grid.spacing_kji_mm[0]
    if extent < least:
        refused = f"not asked: {extent:.0f} mm along the body, and its rules want {least:.0f}"
        return Told(name=name, has=has, probabilities={}, present={}, laa950=None, refused=refused)
    findings = analyst.analyse(
        Analysis(volumes={spec.name: volume}, salt=SALT, study_version=1, made_at=WHEN)
    )
    refused = " ".join(one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED)
    return Told(
        name=name,
        has=has,
        probabilities={one.label: one.probability for one in findings.classifications},
        present={one.label: one.probability >= one.threshold for one in findings.classifications},
        laa950=_laa950(findings, volume),
        refused=refused,
    )


def _laa950(findings: Findings, volume: Volume) -> float | None:
    """Return the part of both lungs below -950 HU, in percent: of the voxels as they are, of any kernel."""
    values = [volume.voxels[one.mask.slices_kji][one.mask.crop()] for one in findings.segments]
    every = np.concatenate(values).astype(np.float32) if values else np.zeros(0, dtype=np.float32)
    return 100.0 * float((every < LOW_HU).mean()) if every.size else None


def figures_of(cases: Sequence[Told], thresholds: dict[str, float]) -> list[tuple[str, Judged]]:
    """Judge the cases that were answered: each pattern, and LAA-950 alone for emphysema."""
    answered = [one for one in cases if one.has is not None and not one.refused]
    found = []
    for pattern in PATTERNS:
        truth = [bool((one.has or {})[pattern]) for one in answered]
        scores = [one.probabilities[pattern] for one in answered]
        found.append(("forest", judged(pattern, (truth, scores), thresholds[pattern], probability=True)))
        if pattern == "emphysema":
            laa = [one.laa950 for one in answered if one.laa950 is not None]
            if len(laa) < len(answered):
                raise ValueError("a scan with an answer has lungs")
            rule = judged(pattern, (truth, laa), LAA_PERCENT, probability=False)
            found.append((f"LAA-950 from {LAA_PERCENT:g} %", rule))
    return found


def page(cases: Sequence[Told], figures: Sequence[tuple[str, Judged]]) -> list[str]:
    """Return the tables, as cards have them."""
    lines = []
    if figures:
        lines += [
            "| pattern | by | present | area under ROC | sensitivity | specificity |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for by, one in figures:
            told = " | ".join(short(figure) for figure in (one.area, one.sensitivity, one.specificity))
            lines.append(f"| {one.name} | {by} | {one.present} of {one.patients} | {told} |")
        lines.append("")
    lines += [f"| scan | {' | '.join(PATTERNS)} | LAA-950 |", f"| --- |{' ---: |' * (len(PATTERNS) + 1)}"]
    for case in cases:
        if case.refused:
            lines.append(f"| {case.name} | {case.refused} |{' |' * len(PATTERNS)}")
            continue
        laa = "–" if case.laa950 is None else f"{case.laa950:.1f} %"
        lines.append(f"| {case.name} | {' | '.join(_cell(case, one) for one in PATTERNS)} | {laa} |")
    return lines


def _cell(case: Told, pattern: str) -> str:
    said = f"{case.probabilities[pattern]:.2f}{' present' if case.present[pattern] else ''}"
    if case.has is None or case.has[pattern] == case.present[pattern]:
        return said
    return f"**{said}: {'missed' if case.has[pattern] else 'wrong'}**"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="lung-ct-patterns", help="name of a shipped engine, or a folder")
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("--cases", type=int, help="only the first so many")
    parser.add_argument("--real", action="store_true", help="the real scans in the place of the suite")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    package = package_of(given.engine)
    analyst = Analyst(package, threads=given.threads, node_version="bench")
    thresholds = {one.label: one.threshold for one in package.manifest.output if one.what == "classification"}
    cases: list[Told] = []
    figures: list[tuple[str, Judged]] = []
    if given.real:
        scans = [one for one in SCANS if (given.data / one.folder).is_dir()]
        cases = [told_of(analyst, s.folder, read_scan(given.data / s.folder), None) for s in scans]
    else:
        for case in suite_cases(given.size)[: given.cases]:
            scan = case.scan()
            has = {str(pattern): pattern in scan.diseases for pattern in PATTERNS}
            cases.append(told_of(analyst, str(case.seed), volume_of(scan), has))
        figures = figures_of(cases, thresholds)
    what = "Real scans" if given.real else f"Frozen suite of chests {CHEST_VERSION}, {given.size}"
    print(f"# {what}: {package.manifest.name} {package.manifest.version}\n")
    for line in page(cases, figures):
        print(line)
    absent = [one.folder for one in SCANS if given.real and not (given.data / one.folder).is_dir()]
    if absent:
        print(f"\nNot measured, as they are not there: {', '.join(absent)}.")
    print(f"\n{machine(PACKAGES, given.threads)}")
    if given.json:
        document: dict[str, Any] = {
            "schema": 1,
            "digest": package.digest,
            "cases": [asdict(c) for c in cases],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

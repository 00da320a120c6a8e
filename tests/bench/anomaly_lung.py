"""What anomaly-lung calls unusual: python -m tests.bench.anomaly_lung [--patients N] [--json FILE].

Prints the tables that engines/anomaly-lung/card.md holds. Drawn patients of seeds from 160000 on, each twice:
without disease, and with the diseases and nodules that the seed draws. The real scans: where their score lies
among normal drawn ones, and whether what readers marked is among the most unusual places.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from scipy import ndimage

from dicomnode.analyse import Analysis, Analyst
from dicomnode.evaluate import Interval, ScoredCases, bootstrap_interval, roc_auc
from dicomnode.phantom import ChestScan
from dicomnode.phantom.patients import World, chest
from dicomnode.values import Findings, PointLps, ScalarMap, Volume
from tests.bench.lung.answer import SALT, WHEN, volume_of
from tests.bench.lung.engines import package_of
from tests.bench.lung_real import SCANS, RealScan, read_scan
from tests.bench.told import data_folder, machine

FIRST: Final = 160_000
TOLD: Final = (1, 3, 5, 10)
"""Places of a scan, the most unusual first, among which a lesion is looked for."""
NORMAL: Final = World(diseases=(), nodules=())
DRAWN: Final = World()

_SMOOTHED_MM: Final = 3.0
_APART_MM: Final = 12.0  # of two places closer than this the less unusual is none
_NEAR_MM: Final = 6.0  # of a lesion's centre, or its radius where that is more: a cell and a half
_MOST: Final = max(TOLD)

Row = dict[str, Any]


def places_of(one: ScalarMap, most: int = _MOST) -> list[tuple[PointLps, float]]:
    """Return the most unusual places of a map, LPS mm, each with the value there, the highest first."""
    spacing = np.array(one.grid.spacing_kji_mm)
    smooth = ndimage.gaussian_filter(np.asarray(one.values, dtype=np.float64), _SMOOTHED_MM / spacing)
    around = [2 * round(_APART_MM / mm / 2) + 1 for mm in spacing]
    peaks = np.argwhere((ndimage.maximum_filter(smooth, size=around) == smooth) & (smooth > 0))
    peaks = peaks[np.argsort(-smooth[tuple(peaks.T)], kind="stable")]
    found: list[tuple[PointLps, float]] = []
    for peak in peaks:
        x, y, z = one.grid.to_lps_mm(peak.astype(np.float64)).tolist()
        if all(np.linalg.norm(np.subtract((x, y, z), other)) >= _APART_MM for other, _ in found):
            found.append(((x, y, z), float(smooth[tuple(peak)])))
        if len(found) == most:
            break
    return found


def rank_of(centre: PointLps, diameter_mm: float, places: Sequence[tuple[PointLps, float]]) -> int | None:
    """Return the number of the first place on a lesion, from 1; None: none is."""
    near = max(diameter_mm / 2.0, _NEAR_MM)
    for number, (place, _) in enumerate(places, start=1):
        if np.linalg.norm(np.subtract(place, centre)) <= near:
            return number
    return None


def asked(analyst: Analyst, volume: Volume) -> Row:
    """Ask the engine of a scan: its score, its place among normal ones, the most unusual places."""
    spec = analyst.package.manifest.input[0].name
    findings = analyst.analyse(Analysis(volumes={spec: volume}, salt=SALT, study_version=1, made_at=WHEN))
    return answer_of(findings)


def answer_of(findings: Findings) -> Row:
    """Return what findings say, as JSON values; score None where nothing was analysed."""
    if not findings.maps:
        return {"score": None, "above": None, "lung_ml": 0.0, "places": [], "said": _said(findings)}
    one = findings.maps[0]
    (score,) = [value.value for value in findings.measurements if value.name == "unusual-score"]
    return {
        "score": score,
        "above": findings.classifications[0].probability,
        "called": findings.classifications[0].present,
        "lung_ml": float(np.count_nonzero(one.values)) * one.grid.voxel_mm3 / 1000.0,
        "places": [[*centre, value] for centre, value in places_of(one)],
        "said": [],
    }


def _said(findings: Findings) -> list[str]:
    return [one.text for one in findings.remarks]


def row_of(scan: ChestScan, answer: Row) -> Row:
    """Compare an answer with what is wrong with a drawn patient."""
    places = [((x, y, z), value) for x, y, z, value in answer["places"]]
    return answer | {
        "seed": scan.seed,
        "diseases": sorted(scan.diseases),
        "kernel": scan.protocol.kernel,
        "thickness_mm": scan.protocol.thickness_mm,
        "nodules": [
            {
                "diameter_mm": one.diameter_mm,
                "kind": one.kind,
                "rank": rank_of(one.centre_lps_mm, one.diameter_mm, places),
            }
            for one in scan.nodules
        ],
    }


def measured(analyst: Analyst, patients: int, kept: Path | None) -> list[Row]:
    """Measure each patient without disease and as drawn; rows of an earlier run are used again."""
    digest = analyst.package.digest
    rows: list[Row] = []
    if kept is not None and kept.is_file():
        document = json.loads(kept.read_text(encoding="utf-8"))
        rows = document["phantoms"] if document["digest"] == digest else []
    done = {(row["seed"], row["normal"]) for row in rows}
    for seed in range(FIRST, FIRST + patients):
        for normal in (True, False):
            if (seed, normal) in done:
                continue
            scan = chest(seed, "full", world=NORMAL if normal else DRAWN)
            row = row_of(scan, asked(analyst, volume_of(scan))) | {"normal": normal}
            rows.append(row)
            print(seed, "normal" if normal else "drawn", row["score"], file=sys.stderr, flush=True)
            if kept is not None:
                kept.write_text(json.dumps({"digest": digest, "phantoms": rows}, indent=1), encoding="utf-8")
    return sorted(rows, key=lambda row: (row["seed"], not row["normal"]))


def area(normal: Sequence[Row], strange: Sequence[Row]) -> Interval:
    """Area under the ROC curve of the score, patients drawn for its interval."""
    both = [*normal, *strange]
    truth = np.array([False] * len(normal) + [True] * len(strange))
    cases = ScoredCases(truth=truth, scores=np.array([row["score"] for row in both]))
    return bootstrap_interval([str(row["seed"]) for row in both], lambda at: roc_auc(cases.take(at)))


def page(rows: Sequence[Row]) -> Iterator[str]:
    """Give the tables of the drawn patients."""
    answered = [row for row in rows if row["score"] is not None]
    normal = [row for row in answered if row["normal"]]
    strange = [row for row in answered if not row["normal"] and (row["diseases"] or row["nodules"])]
    yield f"{len(rows) - len(answered)} of {len(rows)} scans were not analysed: no lungs were found."
    called = sum(row["called"] for row in normal), sum(row["called"] for row in strange)
    yield f"Called unusual: {called[0]} of {len(normal)} without disease, {called[1]} of {len(strange)} with."
    yield ""
    yield "| scans with | scans | area under the ROC curve (95 %) |"
    yield "| --- | ---: | --- |"
    yield f"| any disease or nodule | {len(strange)} | {_interval(area(normal, strange))} |"
    for kind in sorted({one for row in strange for one in row["diseases"]}):
        some = [row for row in strange if kind in row["diseases"]]
        yield f"| {kind}, beside what else they have | {len(some)} | {_interval(area(normal, some))} |"
    yield ""
    yield from _lesions(strange)


def _lesions(rows: Sequence[Row]) -> Iterator[str]:
    nodules = [(row, one) for row in rows for one in row["nodules"]]
    head = " | ".join(f"first {most}" for most in TOLD)
    yield f"| nodules among the most unusual places of their scan | of | {head} |"
    yield f"| --- | ---: |{' ---: |' * len(TOLD)}"
    for name, low, high in (("all", 0.0, 1e9), ("below 6 mm", 0.0, 6.0), ("6 mm and more", 6.0, 1e9)):
        some = [(row, one) for row, one in nodules if low <= one["diameter_mm"] < high]
        counts = [sum((one["rank"] or 1e9) <= most for _, one in some) for most in TOLD]
        yield f"| {name} | {len(some)} | {' | '.join(map(str, counts))} |"
    chances = [f"{sum(by_chance(row, one, most) for row, one in nodules):.1f}" for most in TOLD]
    yield f"| places drawn anywhere in the lungs would hit | {len(nodules)} | {' | '.join(chances)} |"


def by_chance(row: Row, nodule: Row, most: int) -> float:
    """Return how often one of so many places drawn in the lungs would lie on a nodule."""
    near = max(nodule["diameter_mm"] / 2.0, _NEAR_MM)
    part = min(4.0 / 3.0 * np.pi * near**3 / 1000.0 / row["lung_ml"], 1.0)
    return float(1.0 - (1.0 - part) ** most)


def _interval(one: Interval) -> str:
    ends = "" if one.low is None or one.high is None else f" ({one.low:.2f}-{one.high:.2f})"
    return "–" if one.figure.value is None else f"{one.figure.value:.2f}{ends}"


def real_page(scans: Iterable[tuple[RealScan, Row]]) -> Iterator[str]:
    """Give the table of the real scans."""
    yield "| scan | score | normal drawn scans below | readers' lesions | five most unusual places, LPS mm |"
    yield "| --- | ---: | ---: | --- | --- |"
    for scan, answer in scans:
        places = [((x, y, z), value) for x, y, z, value in answer["places"]]
        ranks = [rank_of(one.centre_lps_mm, one.diameter_mm, places) for one in scan.lesions]
        lesions = ", ".join("not among ten" if one is None else f"place {one}" for one in ranks)
        told = "; ".join(f"{x:.0f} {y:.0f} {z:.0f} ({value:.1f})" for (x, y, z), value in places[:5])
        known = lesions or "not known"
        name = scan.folder.split("/")[0]
        yield f"| {name} | {answer['score']:.1f} | {answer['above']:.2f} | {known} | {told} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="anomaly-lung", help="name of a shipped engine, or a folder")
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--json", type=Path, help="rows are kept there, and found again")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    package = package_of(given.engine)
    analyst = Analyst(package, threads=1, node_version="bench")
    print(f"# {package.manifest.name} {package.manifest.version} ({package.digest[:12]})\n")
    there = [scan for scan in SCANS if (given.data / scan.folder).is_dir()]
    answers = [(scan, asked(analyst, read_scan(given.data / scan.folder))) for scan in there]
    for line in real_page(answers):
        print(line, flush=True)
    print()
    for line in page(measured(analyst, given.patients, given.json)):
        print(line)
    analyst.close()
    print(f"\n{machine(('numpy', 'scipy', 'onnxruntime'), 1)}")


if __name__ == "__main__":
    main()

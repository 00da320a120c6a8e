"""What view-check says: python -m tests.bench.view_check [--run FOLDER] [--judged N] [--data FOLDER] …

Prints the tables that engines/view-check/card.md holds: films of drawn patients of held-out seeds, whose
truth is exact (patients are kept in --run and not drawn again), then every real image at hand with all that
is said of it: projections of the chest CTs of the test data, its scouts, and its images of anything else.
Nobody labelled the real ones: read the answers beside the pictures, which --sheet FILE.png draws;
--heat FILE.png draws maps of what spoke for a defect.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import structlog
from pydicom import dcmread

from dicomnode import __version__
from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import EnginePackage, find_engine
from dicomnode.learn.views.answering import SHOWN
from dicomnode.learn.views.card import figure_lines
from dicomnode.learn.views.films import Film
from dicomnode.learn.views.judging import judged, picture_of
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.patients import Patient, kept_patients
from dicomnode.learn.views.questions import OTHER, QUESTIONS, Truth
from dicomnode.learn.views.training import draw_picture
from dicomnode.values import Volume
from tests.bench.told import data_folder

CHESTS = ("chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct", "chest-ct-lidc-0001", "chest-ct-lidc-0003")
SINGLE = (
    "head-ct-philips-scout",
    "codecs-wg04/RG1_J2KI",
    "codecs-wg04/US1_RLE",
    "codecs-wg04/CT1_RLE",
    "codecs-wg04/VL1_RLE",
    "odd-pydicom-data/gdcm-US-ALOKA-16.dcm",
    "odd-pydicom-data/mlut_18.dcm",
    "odd-pydicom-data/vlut_04.dcm",
    "brain-mr-ge-oblique/brain_010.dcm",
    "head-ct-ge-tilt/14.dcm",
)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PIXELS = 400


@dataclass(frozen=True)
class Real:
    """A real image: what it is, and its grey values from 0 to 1, bones bright."""

    name: str
    grey: np.ndarray


def scaled(values: np.ndarray) -> np.ndarray:
    """0 to 1 between the first and the last percent."""
    low, high = np.percentile(values, (1.0, 99.0))
    grey: np.ndarray = np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)
    return grey


def projections(volume: Volume, name: str) -> Iterator[Real]:
    """Sums along y and x, head up and the patient's right, or his front, left; and what a detector shows."""
    from scipy import ndimage

    spacing = volume.grid.spacing_kji_mm
    water = np.clip(volume.voxels.astype(np.float32) / 1000.0 + 1.0, 0.0, 3.0)
    water = np.where(water < 0.15, 0.0, water)
    for axis, view in ((1, "frontal"), (2, "lateral")):
        across = 2 if axis == 1 else 1
        way = water.sum(axis=axis)[::-1] * spacing[axis]
        way = ndimage.zoom(way, (spacing[0] / spacing[across], 1.0), order=1)
        yield Real(f"{name}, {view} mean projection", scaled(way))
        yield Real(f"{name}, {view} as a film", scaled(-np.exp(-0.01 * way)))


def turned(real: Real) -> Iterator[Real]:
    """The image as it is, mirrored, upside down, inverted, and without its upper third."""
    yield real
    yield Real(f"{real.name}, mirrored", real.grey[:, ::-1])
    yield Real(f"{real.name}, upside down", np.rot90(real.grey, 2))
    yield Real(f"{real.name}, a quarter to the left", np.rot90(real.grey))
    yield Real(f"{real.name}, inverted", 1.0 - real.grey)
    yield Real(f"{real.name}, lower half only", real.grey[len(real.grey) // 2 :])


def chests(data: Path) -> Iterator[Real]:
    """Projections of the chest CTs; the whole ones in every position."""
    for place in CHESTS:
        if not (data / place).is_dir():
            continue
        (study,) = read_studies([data / place]).studies
        volume = load_volume(next(stack for series in study.series for stack in series.stacks))
        name = place.split("/")[0].removeprefix("chest-ct-")
        slab = volume.grid.shape_kji[0] * volume.grid.spacing_kji_mm[0] < 150.0
        for real in projections(volume, name):
            yield from [real] if slab else turned(real)


def singles(data: Path) -> Iterator[Real]:
    """Images of anything, first frame, as grey."""
    for place in SINGLE:
        path = data / place
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (one for one in files if one.is_file()):
            instance = dcmread(file)
            values = np.squeeze(np.asarray(instance.pixel_array, dtype=np.float32))
            values = values.mean(axis=-1) if values.shape[-1] == 3 else values
            grey = scaled(values[0] if values.ndim == 3 else values)
            dark = instance.get("PhotometricInterpretation") == "MONOCHROME1"
            yield Real(f"{place} {file.name if path.is_dir() else ''}".strip(), 1.0 - grey if dark else grey)


def said_of(package: EnginePackage, reals: list[Real]) -> Iterator[tuple[Real, Mapping[str, float]]]:
    """What the engine says of each, without a header."""
    with closing(Analyst(package, threads=1, node_version=__version__)) as analyst:
        for number, real in enumerate(reals):
            film = Film(picture=np.ascontiguousarray(real.grey), truth=Truth(view=OTHER))
            picture = picture_of(film, {}, f"2.25.{number + 1}")
            analysis = Analysis(volumes={"picture": picture}, salt=b"b" * 32, study_version=1, made_at=WHEN)
            findings = analyst.analyse(analysis)
            yield real, {one.label: one.probability for one in findings.classifications}


def row_of(real: Real, said: Mapping[str, float]) -> str:
    """One row of the table."""
    view = max(("frontal", "lateral", "other"), key=lambda one: said[one])
    named = [
        f"{name} {value:.2f}"
        for name, value in said.items()
        if value >= 0.5 and name not in {"frontal", "lateral", "other"}
    ]
    return f"| {real.name} | {view} {said[view]:.2f} | {', '.join(named) or '–'} |"


def sheet(found: list[tuple[Real, Mapping[str, float]]], path: Path) -> None:
    """All real images with what was said of them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(-(-len(found) // 8), 8, figsize=(24, 3.4 * -(-len(found) // 8)))
    for axis, (real, said) in zip(axes.flat, found, strict=False):
        axis.imshow(real.grey, cmap="gray")
        _, name, view, rest, _ = (one.strip() for one in row_of(real, said).split("|"))
        axis.set_title(f"{name}\n{view}; {rest}", fontsize=6)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(path, dpi=60)


def heat(package: EnginePackage, patients: list[Patient], path: Path) -> None:
    """One film of each of SHOWN for which it is true, with the map of what spoke for it laid over it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(SHOWN), figsize=(3 * len(SHOWN), 6))
    with closing(Analyst(package, threads=1, node_version=__version__)) as analyst:
        for column, question in enumerate(SHOWN):
            number = QUESTIONS.index(question)
            films = (
                draw_picture([patient], (9, patient.seed, n), PIXELS)
                for n in range(200)
                for patient in patients
            )
            film = next(one for one in films if one.truth.answers[number] == 1 and one.truth.quarters == 0)
            picture = picture_of(film, {}, f"2.25.{column + 1}")
            analysis = Analysis(volumes={"picture": picture}, salt=b"b" * 32, study_version=1, made_at=WHEN)
            findings = analyst.analyse(analysis)
            said = {one.label: one.probability for one in findings.classifications}
            one = next(one for one in findings.maps if one.label == f"{question.answers[1]}-evidence")
            rows, columns = film.picture.shape
            corners = one.grid.to_lps_mm(
                np.array([[0, -0.5, -0.5], np.array(one.grid.shape_kji) - (1, 0.5, 0.5)])
            )
            (left, top), (right, bottom) = corners[:, :2]
            for row in axes[:, column]:
                row.imshow(film.picture, cmap="gray", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
                row.axis("off")
            most = float(np.abs(one.values).max())
            axes[1, column].imshow(
                one.values[0],
                cmap="coolwarm",
                alpha=0.45,
                vmin=-most,
                vmax=most,
                extent=(left, right, bottom, top),
                interpolation="bilinear",
            )
            axes[0, column].set_title(f"{question.answers[1]}: {said[question.answers[1]]:.2f}")
            axes[1, column].set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=45)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--judged", type=int, default=40)
    parser.add_argument("--films", type=int, default=30)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--engine", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--heat", type=Path)
    given = parser.parse_args()
    package = find_engine("view-check" if given.engine is None else given.engine.name, given.engine)
    with tempfile.TemporaryDirectory() as folder:
        order = Order(
            out=Path(folder),
            run=given.run or Path(folder),
            title="",
            version="",
            made_at=WHEN,
            judged=max(given.judged, 1),
            films=given.films,
        )
        if given.judged:
            patients = kept_patients(order.seeds.judged, order.run / "patients")
            table = judged(package, patients, order)
            print("\n".join(figure_lines(table)))
            if given.heat is not None:
                heat(package, patients, given.heat)
    found = list(said_of(package, [*chests(given.data), *singles(given.data)]))
    print("\n| real image | view | besides |\n| --- | --- | --- |")
    print("\n".join(row_of(real, said) for real, said in found))
    absent = [one for one in (*CHESTS, *SINGLE) if not (given.data / one).exists()]
    if absent:
        print(f"\nNot measured, as they are not there: {', '.join(absent)}.")
    if given.sheet is not None:
        sheet(found, given.sheet)


if __name__ == "__main__":
    main()

"""What an engine says of films of patients that it has never seen, as the node runs it, and what is right."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from pydicom import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from dicomnode import __version__
from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import EnginePackage
from dicomnode.evaluate import Interval, ScoredCases, expected_calibration_error
from dicomnode.learn.drawn.course import JUDGING
from dicomnode.learn.train.classify import binary_figures, calibrated_by
from dicomnode.learn.train.held_out import interval_of, share_interval
from dicomnode.learn.views.answering import AGAINST
from dicomnode.learn.views.films import Film
from dicomnode.learn.views.network import SIDE, ViewNet, rows_of
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.patients import Patient
from dicomnode.learn.views.questions import CUTS, FRONTAL, LATERAL, NOT_ASKED, QUESTIONS, VIEW, Truth
from dicomnode.learn.views.training import draw_picture, fitted
from dicomnode.values import (
    Picture,
    PicturePlane,
    Progress,
    SourceFrame,
    SourceHeaders,
    derive_uid,
    no_progress,
)

PIXELS: Final = 320
"""Of the longer side of a film that is judged: more than the network sees, as in service."""

_CALIBRATING, _JUDGED = 1, 2  # what pictures are drawn for
_SALT: Final = b"dicomnode train views: judging"
_BATCH: Final = 32
_ROWS: Final = ("L", "F", "R", "H")  # where rows of a frontal picture run to, after each quarter turn
_MIRRORED_ROWS: Final = ("R", "F", "L", "H")
_EDGES_MM: Final = (-60.0, -20.0, -10.0, 0.0, 5.0, 10.0, 20.0, 40.0, 80.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A picture, and the probability of each answer that the engine tells. patient: his seed."""

    patient: int
    truth: Truth
    said: Mapping[str, float]
    header: tuple[bool, bool, bool]  # whether each of AGAINST is true of the header that went along


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One answer: over `asked` pictures, `there` of which it is true."""

    name: str
    asked: int
    there: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was measured. whole: questions with several answers, and how often the surest is right.

    confusion: of the view, true answers down, what was said across. severity: of each cut, from and to in mm,
    pictures, and how many of them were called cut. missed_others: kinds that are no chest, how many there
    were, and how many were taken for one.
    """

    pictures: int
    patients: int
    lines: tuple[Line, ...]
    whole: Mapping[str, Interval]
    confusion: tuple[tuple[int, ...], ...]
    severity: Mapping[str, Sequence[tuple[float, float, int, int]]]
    missed_others: Mapping[str, tuple[int, int]]


# ── calibrated ──


def temperatures_of(network: ViewNet, patients: Sequence[Patient], order: Order) -> tuple[float, ...]:
    """Fit a temperature to each question, on patients that were not trained on."""
    films = [
        draw_picture([patient], (order.seed, _CALIBRATING, patient.seed, n), SIDE)
        for patient in patients
        for n in range(order.films)
    ]
    logits = []
    with torch.no_grad():
        for start in range(0, len(films), _BATCH):
            some = np.stack([fitted(film.picture) for film in films[start : start + _BATCH]])
            logits.append(network(torch.from_numpy(some[:, None])))
    answers = np.array([film.truth.answers for film in films], dtype=np.int64)
    found = []
    for number, (question, row) in enumerate(zip(QUESTIONS, rows_of(torch.cat(logits)), strict=True)):
        asked = answers[:, number] != NOT_ASKED
        rows = row.numpy().astype(np.float64)[asked]
        found.append(calibrated_by(rows, answers[asked, number], len(question.answers))[0])
    return tuple(found)


# ── judged ──


def picture_of(film: Film, header: Mapping[str, str], uid: str) -> Picture:
    """Give a film the form in which the node takes pictures, with a header that says something of it."""
    instance = Dataset()
    instance.SOPClassUID = ComputedRadiographyImageStorage
    instance.SOPInstanceUID = uid
    for keyword, text in header.items():
        setattr(instance, keyword, text.split("\\"))
    encoded = io.BytesIO()
    instance.ensure_file_meta()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(encoded, instance, enforce_file_format=True)
    return Picture(
        frames=np.ascontiguousarray(film.picture[None, :, :, None], dtype=np.float32),
        plane=PicturePlane(),
        study_instance_uid=uid,
        series_instance_uid=uid,
        sources=(SourceFrame(uid),),
        headers=SourceHeaders((encoded.getvalue(),)),
    )


def header_of(truth: Truth, rng: np.random.Generator) -> tuple[dict[str, str], tuple[bool, bool, bool]]:
    """Draw what a header says of a picture, and which of AGAINST are then true.

    Half of the headers are right; the others say what most headers say: upright, PA or left lateral.
    """
    right = bool(rng.uniform() < 0.5)
    lateral = truth.view == LATERAL if right else bool(rng.uniform() < 0.3)
    if right and truth.view in {FRONTAL, LATERAL}:
        rows = (_MIRRORED_ROWS if truth.mirrored else _ROWS)[truth.quarters]
        rows = rows if not lateral or rows in "FH" else "A"
    else:
        rows = "A" if lateral else "L"
    header = {"ViewPosition": "LL" if lateral else "PA", "PatientOrientation": f"{rows}\\F"}
    if truth.view == FRONTAL:
        of_side = not right and not lateral and truth.quarters == 0 and truth.mirrored
        own = (_MIRRORED_ROWS if truth.mirrored else _ROWS)[truth.quarters]
        of_turn = not right and not lateral and own != "L" and not of_side
        return header, (lateral, of_side, of_turn)
    if truth.view == LATERAL:
        return header, (not lateral, False, not right and lateral and truth.quarters in {1, 3})
    return header, (False, False, False)


def judged_pictures(
    package: EnginePackage, patients: Sequence[Patient], order: Order, progress: Progress = no_progress
) -> Iterator[Judged]:
    """Draw pictures of patients, and have the node's analyst answer."""
    count = len(patients) * order.films
    with closing(Analyst(package, threads=order.threads, node_version=__version__)) as analyst:
        for number, (patient, n) in enumerate(
            (patient, n) for patient in patients for n in range(order.films)
        ):
            key = (order.seed, _JUDGED, patient.seed, n)
            film = draw_picture([patient], key, PIXELS)
            header, against = header_of(film.truth, np.random.default_rng([*key, 1]))
            picture = picture_of(film, header, derive_uid(_SALT, *(str(one) for one in key)))
            analysis = Analysis(
                volumes={"picture": picture}, salt=_SALT, study_version=1, made_at=order.made_at
            )
            findings = analyst.analyse(analysis)
            said = {one.label: one.probability for one in findings.classifications}
            yield Judged(patient=patient.seed, truth=film.truth, said=said, header=against)
            progress(JUDGING, number + 1, count)


def judged(
    package: EnginePackage, patients: Sequence[Patient], order: Order, progress: Progress = no_progress
) -> Table:
    """Judge an engine on patients that it has never seen."""
    return table_of(list(judged_pictures(package, patients, order, progress)), order.seed)


# ── counted ──


def table_of(rows: Sequence[Judged], seed: int) -> Table:
    """Count. Intervals are by patient."""
    lines = []
    for number, question in enumerate(QUESTIONS):
        asked = [row for row in rows if row.truth.answers[number] != NOT_ASKED]
        for channel, answer in enumerate(question.answers):
            if asked and answer in asked[0].said:
                truth = [row.truth.answers[number] == channel for row in asked]
                lines.append(_line(answer, asked, truth, seed))
    for number, answer in enumerate(AGAINST):
        lines.append(_line(answer, rows, [row.header[number] for row in rows], seed))
    return Table(
        pictures=len(rows),
        patients=len({row.patient for row in rows}),
        lines=tuple(lines),
        whole={"view": _surest_view(rows, seed), "turned": _surest_turn(rows, seed)},
        confusion=_confusion(rows),
        severity={one.name: _severity(rows, one.name, one.answers[-1]) for one in CUTS},
        missed_others=_missed_others(rows),
    )


def _line(name: str, rows: Sequence[Judged], truth: Sequence[bool], seed: int) -> Line:
    scores = np.array([row.said[name] for row in rows])
    there = np.array(truth, dtype=bool)
    patients = [str(row.patient) for row in rows]
    counted = [
        (patient, bool(yes), float(score), bool(score >= 0.5))
        for patient, yes, score in zip(patients, there, scores, strict=True)
    ]
    figures = binary_figures(counted, seed)
    figures["ECE"] = interval_of(
        "ece",
        patients,
        lambda some: expected_calibration_error(ScoredCases(truth=there[some], scores=scores[some])).value,
        seed,
    )
    return Line(name=name, asked=len(rows), there=int(there.sum()), figures=figures)


def _accuracy(rows: Sequence[Judged], right: Sequence[bool], seed: int) -> Interval:
    patients = [str(row.patient) for row in rows]
    return share_interval("accuracy", patients, np.ones(len(rows), dtype=bool), right, seed)


def _view_said(row: Judged) -> int:
    return int(np.argmax([row.said[one] for one in VIEW.answers]))


def _surest_view(rows: Sequence[Judged], seed: int) -> Interval:
    return _accuracy(rows, [_view_said(row) == row.truth.view for row in rows], seed)


def _turn_said(row: Judged) -> int:
    turns = [row.said[one] for one in ("turned-left", "upside-down", "turned-right")]
    chest = 1.0 - row.said["other"]
    return int(np.argmax([chest - sum(turns), *turns]))


def _surest_turn(rows: Sequence[Judged], seed: int) -> Interval:
    chests = [row for row in rows if row.truth.view in {FRONTAL, LATERAL}]
    return _accuracy(chests, [_turn_said(row) == row.truth.quarters for row in chests], seed)


def _confusion(rows: Sequence[Judged]) -> tuple[tuple[int, ...], ...]:
    counts = np.zeros((len(VIEW.answers),) * 2, dtype=int)
    for row in rows:
        counts[row.truth.view, _view_said(row)] += 1
    return tuple(tuple(line) for line in counts.tolist())


def _severity(rows: Sequence[Judged], cut: str, answer: str) -> list[tuple[float, float, int, int]]:
    found = []
    for low, high in pairwise(_EDGES_MM):
        some = [row for row in rows if cut in row.truth.cut_mm and low <= row.truth.cut_mm[cut] < high]
        found.append((low, high, len(some), sum(row.said[answer] >= 0.5 for row in some)))
    return found


def _missed_others(rows: Sequence[Judged]) -> dict[str, tuple[int, int]]:
    kinds = sorted({row.truth.other for row in rows if row.truth.other})
    found = {}
    for kind in kinds:
        some = [row for row in rows if row.truth.other == kind]
        found[kind] = (len(some), sum(VIEW.answers[_view_said(row)] != "other" for row in some))
    return found

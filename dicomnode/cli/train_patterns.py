"""`dicomnode train lung-patterns`: emphysema, consolidation, effusion, collapse by numbers and trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_table
from dicomnode.cli.train_drawn import figure, finish, made_document, order_of, start, watch_of
from dicomnode.cli.train_drawn_options import (
    CalibratedOption,
    DrawnOption,
    JudgedOption,
    KeptOption,
    PatientsOption,
    ThreadsOption,
    TreesOption,
    WorkersOption,
)
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption, VersionOption

if TYPE_CHECKING:
    from dicomnode.learn.patterns import Judged, MadePatterns, PatternsOrder

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or there was too little to learn from, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 a forest cannot become an engine, or a package is not installed."
)
_TITLE: Final = "Demonstration: patterns of the lungs, by forests"


def lung_patterns(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    patients: PatientsOption = 120,
    calibrated: CalibratedOption = 40,
    judged: JudgedOption = 60,
    trees: TreesOption = 100,
    seed: DrawnOption = 0,
    run: KeptOption = None,
    replace: ReplaceOption = False,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 1,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to tell patterns of whole lungs without a network, from patients that are drawn.

    The node measures lungs, and what lies where lung should be; trees tell emphysema, consolidation, effusion
    and collapse, each with a calibrated probability. Broken off, the same command uses again what it has
    measured; equal commands give equal trees. The table that it learns from is kept for `train heads`.
    """
    given = dict(locals())
    start(out, replace=replace, resume=False)
    from dicomnode.learn.patterns import PatternsOrder, make_patterns

    order = order_of(PatternsOrder, given, _TITLE)
    with bars(quiet=as_json) as progress:
        made = make_patterns(order, watch_of(given, progress, 0))
    if made.left_out and not as_json:
        console.print(f"{len(made.left_out)} patients gave no numbers.", markup=False)
    return finish(_document(made, order), _print, as_json=as_json)


def _document(made: MadePatterns, order: PatternsOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        **made_document(order, made.package.digest, order.asked),
        "table": str(order.table),
        "without_numbers": list(made.left_out),
        "figures": {
            "patients": made.forests[0].patients,
            "answers": [_answer(*one) for one in made.figures],
        },
    }


def _answer(pattern: str, by: str, one: Judged) -> dict[str, Any]:
    return {
        "pattern": pattern,
        "by": by,
        "threshold": one.threshold,
        "present": one.present,
        "roc_auc": figure(one.area),
        "sensitivity": figure(one.sensitivity),
        "specificity": figure(one.specificity),
        "brier": None if one.brier is None else figure(one.brier),
    }


def _print(figures: Mapping[str, Any]) -> None:
    names = ("roc_auc", "sensitivity", "specificity")
    rows = [
        (
            one["pattern"],
            one["by"],
            one["present"],
            f"{one['threshold']:.3g}",
            *(one[name]["value"] for name in names),
        )
        for one in figures["answers"]
    ]
    title = f"On {figures['patients']} held-out phantoms"
    print_table(title, ("pattern", "by", "present", "threshold", *names), rows)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-patterns", epilog=EPILOG)(lung_patterns)

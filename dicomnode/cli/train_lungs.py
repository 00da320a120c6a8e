"""`dicomnode train lung-nodules`: patients are drawn, nobody labels them, and an engine comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_options import (
    DeviceOption,
    OutOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    TitleOption,
    VersionOption,
)
from dicomnode.cli.train_progress import duration
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, EXIT_PARTLY, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.planted.making import Trained
    from dicomnode.learn.planted.order import Order
    from dicomnode.learn.planted.training import Row
    from dicomnode.values import Progress

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 3 no scan of --backgrounds can "
    "be planted into, 4 it was stopped by --minutes and goes on with --resume, or scans were left out, 11 "
    "the disk is full, 12 the network cannot become an engine, or torch is not installed."
)
_LONGEST_NAME: Final = 64
_SECONDS: Final = 60.0


BackgroundsOption = Annotated[
    Path | None,
    typer.Option("--backgrounds", metavar="DIR", help="Real chest CTs as texture.", exists=True),
]
IgnoreOption = Annotated[
    Path | None,
    typer.Option(
        "--ignore",
        metavar="FILE.csv",
        help="What is known in them: seriesuid, coordX, coordY, coordZ, diameter_mm.",
        exists=True,
    ),
]
WorldsOption = Annotated[int, typer.Option("--worlds", help="Drawn patients to learn from.")]
JudgedOption = Annotated[
    int, typer.Option("--judged", help="Drawn patients to set the threshold on, and as many to judge on.")
]
StepsOption = Annotated[int, typer.Option("--steps", help="Steps of the training.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Patches a step.")]
MineOption = Annotated[
    bool, typer.Option("--mine/--no-mine", help="Look for mistakes on the way, and learn from them.")
]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", help="Stop after so many; --resume goes on.", min=0.0)
]
DrawnOption = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", help="Processes that draw patches, each a core; 0: none.")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", help="Threads of the CPU; with 1 it repeats to the last bit, 0: all.")
]


def lung_nodules(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    backgrounds: BackgroundsOption = None,
    ignore: IgnoreOption = None,
    worlds: WorldsOption = 80,
    judged: JudgedOption = 12,
    steps: StepsOption = 20_000,
    batch: BatchOption = 6,
    mine: MineOption = True,
    minutes: MinutesOption = None,
    seed: DrawnOption = 0,
    run: RunOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    workers: WorkersOption = 1,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to find lung nodules in chest CT from patients that are drawn: nobody labels anything.

    Nodules are planted while it learns, into phantoms and, with --backgrounds, into real scans whose lungs
    the node is sure of. The engine is that of lung-ct with another network. Killed, or stopped by --minutes,
    it goes on by the same command with --resume, to the same weights.
    """
    given = dict(locals())
    start(out, replace=replace, resume=resume)
    from dicomnode.learn.planted.making import train_lungs

    order = _order(given)
    until = None if minutes is None else time.monotonic() + minutes * _SECONDS
    told = _Told(order, time.monotonic, quiet=as_json)
    with bars(quiet=as_json) as progress:
        trained = train_lungs(
            order,
            stop=lambda: until is not None and time.monotonic() >= until,
            tell=told.row,
            progress=told.passed(progress),
        )
    document = _document(trained)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_PARTLY if document["stopped"] or document["left_out"] else EXIT_DONE


def start(out: Path, *, replace: bool, resume: bool) -> None:
    """Refuse at once what would be refused after hours."""
    from dicomnode.engine.manifest.read import MANIFEST_FILE
    from dicomnode.learn import require_training
    from dicomnode.settings.keys import NAME

    require_training()
    if not NAME.holds(out.name) or len(out.name) > _LONGEST_NAME:
        problem = f"--out ends in {out.name!r}, and the name of an engine has {NAME.expected}"
        raise NodeError(USAGE, problem=problem)
    if os.path.lexists(out):
        if not (replace or resume):
            raise NodeError(ENGINE_EXISTS, path=out, what="")
        if out.is_symlink() or not (out / MANIFEST_FILE).is_file():
            raise NodeError(ENGINE_EXISTS, path=out, what=", and is no engine that could be replaced")
    require_writable(out.parent)


def _order(given: Mapping[str, Any]) -> Order:
    from dicomnode.device import cpu_device
    from dicomnode.learn.planted.order import Order

    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    if given["ignore"] is not None and given["backgrounds"] is None:
        raise NodeError(
            USAGE, problem="--ignore tells what is in the scans of --backgrounds, and there are none"
        )
    out: Path = given["out"]
    asked = (
        "seed",
        "worlds",
        "judged",
        "steps",
        "batch",
        "backgrounds",
        "ignore",
        "mine",
        "resume",
        "workers",
    )
    try:
        return Order(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            title=given["title"] or "Lungs and nodule candidates",
            version=given["version"],
            made_at=datetime.now(UTC),
            threads=given["threads"] or usable_threads(),
            device=given["device"],
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("Order.", "--")) from error


class _Told:
    """Tells of rows as they come: what is lost, how fast it goes, and how long it will take."""

    def __init__(self, order: Order, clock: Callable[[], float], *, quiet: bool) -> None:
        self._order, self._clock, self._quiet = order, clock, quiet
        self._progress: Progress | None = None
        self._last: tuple[int, float] | None = None

    def passed(self, progress: Progress) -> Progress:
        """Return the progress, which is told of steps from now on as well."""
        self._progress = progress
        return progress

    def row(self, row: Row) -> None:
        """Tell of a row."""
        from dicomnode.learn.planted.training import STAGE

        now, order = self._clock(), self._order
        if self._progress is not None:
            self._progress(STAGE, row.step, order.steps)
        lost = ", ".join(f"{name} {value:.3f}" for name, value in row.lost.items())
        text = f"step {row.step} of {order.steps}: {lost}"
        if self._last is not None and row.step > self._last[0]:
            each = (now - self._last[1]) / (row.step - self._last[0])
            left = duration(each * (order.steps - row.step))
            text += f"; {order.batch / max(each, 1e-9):.1f} patches/s, {left} more"
        self._last = (row.step, now)
        if not self._quiet:
            console.print(text, markup=False)


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    order, table, package = trained.order, trained.table, trained.package
    figures = None
    if table is not None:
        figures = {
            "scans": table.scans,
            "nodules": table.nodules,
            "threshold": table.threshold,
            "lines": [
                {
                    "name": one.name,
                    "value": one.interval.figure.value,
                    "of": one.interval.figure.whole,
                    "low": one.interval.low,
                    "high": one.interval.high,
                }
                for one in table.lines
            ],
            "froc": [{"false_alarms": rate, "sensitivity": figure.value} for rate, figure in table.rates],
            "volume_error_percent": None
            if table.volumes is None
            else {
                "count": table.volumes.count,
                "low": table.volumes.low,
                "median": table.volumes.median,
                "high": table.volumes.high,
            },
        }
    return {
        "schema": 1,
        "task": "lung-nodules",
        "folder": None if package is None else str(order.out),
        "digest": None if package is None else package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "steps": order.steps,
        "step": trained.learned.step,
        "stopped": trained.learned.stopped,
        "worlds": order.worlds,
        "backgrounds": [{"series_instance_uid": uid, "digest": digest} for uid, digest in trained.real],
        "left_out": [{"code": one.code, "text": one.text} for one in trained.left_out],
        "lost": dict(trained.learned.rows[-1].lost) if trained.learned.rows else None,
        "figures": figures,
    }


def _print(document: Mapping[str, Any]) -> None:
    for one in document["left_out"]:
        console.print(f"{one['code']} {one['text']}", markup=False)
    if document["stopped"]:
        console.print(
            f"Stopped after step {document['step']} of {document['steps']}; the state is kept in "
            f"{document['run']}. Go on with the same command and --resume.",
            markup=False,
        )
        return
    figures = document["figures"]
    rows = [(one["name"], one["of"], one["value"], one["low"], one["high"]) for one in figures["lines"]]
    print_table(
        f"On {figures['scans']} held-out phantoms, threshold {figures['threshold']:g}",
        ("figure", "of", "value", "from", "to"),
        rows,
    )
    told = [(f"{one['false_alarms']:g}", one["sensitivity"]) for one in figures["froc"]]
    print_table("", ("false alarms a scan", "sensitivity"), told)
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-nodules", epilog=EPILOG)(lung_nodules)

"""What the tasks of `dicomnode train` share whose patients are drawn: an order, and what is told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import console, print_json, print_table
from dicomnode.cli.train_progress import duration
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, EXIT_PARTLY, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate import Interval
    from dicomnode.learn.drawn.order import DrawnOrder
    from dicomnode.learn.drawn.state import Learned, Row, Watch
    from dicomnode.learn.planted.figures import Table
    from dicomnode.values import Progress, Refusal

_LONGEST_NAME: Final = 64
_SECONDS: Final = 60.0

Ordered = TypeVar("Ordered", bound="DrawnOrder")


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


def order_of(form: type[Ordered], given: Mapping[str, Any], title: str) -> Ordered:
    """Return what was asked for; NodeError(USAGE). title: of the engine, where none was given."""
    from dicomnode.device import cpu_device

    out: Path = given["out"]
    threads = given.get("threads", 1)
    if threads < 0:
        raise NodeError(USAGE, problem=f"--threads {threads} cannot be: it is 0 or more")
    names = {"seed", "version", "resume", "replace", "workers", "device", *form.asked}
    try:
        return form(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            title=given["title"] or title,
            made_at=datetime.now(UTC),
            threads=threads or usable_threads(),
            machine=cpu_device().name,
            **{name: given[name] for name in names & given.keys()},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("Order.", "--")) from error


def watch_of(
    given: Mapping[str, Any], progress: Progress, steps: int, pace: tuple[int, str] = (0, "")
) -> Watch:
    """Return who is told of a training, and when it stops. pace: things a step, and their word."""
    from dicomnode.learn.drawn.state import Watch

    minutes, quiet = given.get("minutes"), given["as_json"]
    until = None if minutes is None else time.monotonic() + minutes * _SECONDS
    return Watch(
        tell=_silent if quiet else _teller(steps, time.monotonic, pace),
        stop=lambda: until is not None and time.monotonic() >= until,
        clock=time.process_time,
        progress=progress,
    )


def _silent(_: Row) -> None:
    """Tell nobody."""


def _teller(steps: int, clock: Callable[[], float], pace: tuple[int, str]) -> Callable[[Row], None]:
    """Return who tells of rows as they come: what is lost, how fast it goes, how long it will take."""
    last: list[tuple[int, float]] = []

    def tell(row: Row) -> None:
        now = clock()
        lost = ", ".join(f"{name} {value:.3f}" for name, value in row.lost.items())
        text = f"step {row.step} of {steps}: {lost}"
        if last and row.step > last[-1][0]:
            each = (now - last[-1][1]) / (row.step - last[-1][0])
            count, word = pace
            speed = f"{count / max(each, 1e-9):.1f} {word}/s, " if count else ""
            text += f"; {speed}{duration(each * (steps - row.step))} more"
        last[:] = [(row.step, now)]
        console.print(text, markup=False)

    return tell


# ── what came of it ──


def figure(interval: Interval) -> dict[str, Any]:
    """Return a figure as `--json` has it."""
    return {"value": interval.figure.value, "low": interval.low, "high": interval.high}


def made_document(order: DrawnOrder, digest: str | None, names: Sequence[str]) -> dict[str, Any]:
    """Return what `--json` prints of any training. digest: None where it was stopped; names: of options."""
    return {
        "schema": 1,
        "task": order.task,
        "folder": None if digest is None else str(order.out),
        "digest": digest,
        "run": str(order.run),
        "seed": order.seed,
        **{name: getattr(order, name) for name in names},
    }


def course_document(
    order: DrawnOrder, learned: Learned, digest: str | None, names: Sequence[str]
) -> dict[str, Any]:
    """Return what `--json` prints of any training of a network, as `made_document`."""
    return {
        **made_document(order, digest, names),
        "step": learned.step,
        "stopped": learned.stopped,
        "lost": dict(learned.rows[-1].lost) if learned.rows else None,
    }


def real_document(real: Sequence[tuple[str, str]], left_out: Sequence[Refusal]) -> dict[str, Any]:
    """Return what `--json` prints of real scans."""
    return {
        "backgrounds": [{"series_instance_uid": uid, "digest": digest} for uid, digest in real],
        "left_out": [{"code": one.code, "text": one.text} for one in left_out],
    }


def nodule_document(table: Table) -> dict[str, Any]:
    """Return the figures of nodules as `--json` has them."""
    return {
        "scans": table.scans,
        "nodules": table.nodules,
        "threshold": table.threshold,
        "lines": figure_lines(table.lines),
        "froc": [{"false_alarms": rate, "sensitivity": found.value} for rate, found in table.rates],
    }


def print_nodules(figures: Mapping[str, Any]) -> None:
    """Print the figures of nodules."""
    title = f"On {figures['scans']} held-out phantoms, threshold {figures['threshold']:g}"
    print_lines(title, figures["lines"])
    told = [(f"{one['false_alarms']:g}", one["sensitivity"]) for one in figures["froc"]]
    print_table("", ("false alarms a scan", "sensitivity"), told)


def figure_lines(lines: Sequence[Any]) -> list[dict[str, Any]]:
    """Return lines of a table, each a name and an interval, as `--json` has them."""
    return [{"name": one.name, "of": one.interval.figure.whole, **figure(one.interval)} for one in lines]


def print_lines(title: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Print such lines."""
    rows = [(one["name"], one["of"], one["value"], one["low"], one["high"]) for one in lines]
    print_table(title, ("figure", "of", "value", "from", "to"), rows)


def finish(document: Mapping[str, Any], show: Callable[[Mapping[str, Any]], None], *, as_json: bool) -> int:
    """Print what came of a training, by `show` its figures, or all if it has none; return the exit code."""
    left_out = document.get("left_out", ())
    stopped = document.get("stopped", False)
    if as_json:
        print_json(document)
        return EXIT_PARTLY if stopped or left_out else EXIT_DONE
    for one in left_out:
        console.print(f"{one['code']} {one['text']}", markup=False)
    if stopped:
        console.print(
            f"Stopped after step {document['step']} of {document['steps']}; the state is kept in "
            f"{document['run']}. Go on with the same command and --resume.",
            markup=False,
        )
        return EXIT_PARTLY
    show(document.get("figures", document))
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)
    return EXIT_PARTLY if left_out else EXIT_DONE

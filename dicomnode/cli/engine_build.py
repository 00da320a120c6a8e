"""`dicomnode engine build`: compile the networks for the GPU that is here, before a study waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, open_settings
from dicomnode.cli.output import JsonOption, console, print_json, print_table
from dicomnode.faults import EXIT_DONE, EXIT_ENGINE, EXIT_PARTLY, PLANS_NOT_BUILT_HERE, USAGE, NodeError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dicomnode.engine import EnginePackage
    from dicomnode.engine.plans import BuildProgress, Compiler, PlanCache, PlanOrder, PlanRecord
    from dicomnode.engine.runtimes import Reason
    from dicomnode.settings import Settings

EPILOG = (
    "EXIT STATUS: 0 done or nothing to do, 4 some plans could not be built, 10 configuration, 11 storage, "
    "12 no plan could be built, or the runtime that is named does not work here."
)
NOTHING = "No runtime here needs plans: nothing to build."
_SHOWN_STATES = {"built": "built, not accepted yet", "accepted": "accepted", "rejected": "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What became of one plan."""

    engine: str
    network: str
    runtime: str
    precision: str
    device: str | None
    digest: str
    state: str | None = None
    built: bool = False
    build_s: float | None = None
    bytes: int | None = None
    log: str
    error: dict[str, str] | None = None


def build(  # noqa: PLR0917  typer gives each by its name
    names: Annotated[
        list[str] | None, typer.Argument(help="Engines; default: those of dicomnode.toml.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All engines that there are.")] = False,
    path: Annotated[
        list[Path] | None, typer.Option("--path", help="Folder of an engine package of your own.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="tensorrt or tensorrt-rtx; default: each that is here.")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision", help="fp32, fp16, bf16, int8, fp8; default: each that engine.toml allows."
        ),
    ] = None,
    calibrate: Annotated[
        str,
        typer.Option(
            "--calibrate",
            help="Calibrate int8 and fp8 first, with a folder of DICOM studies or `phantom`.",
        ),
    ] = "",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build again what was rejected as well.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", help="Seconds that one build may take.")
    ] = 3600.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Build the plans that GPU runtimes need and that are missing; what served before serves meanwhile.

    Each is built in a process of its own and writes a log that can be followed (tail -f).
    """
    from dicomnode.engine.plans import open_plans, orders_of

    _check_precisions(precision or [])
    settings = open_settings(config)
    packages = _packages(names or [], path or [], settings, every=every)
    compilers, reasons = _compilers(runtime)
    if not compilers:
        _tell_nothing(reasons, as_json=as_json)
        return EXIT_DONE
    for package in packages if calibrate else []:
        _calibrate(package, calibrate, settings)
    cache = open_plans(settings.store)
    orders = [
        order
        for package in packages
        for order in orders_of(package, compilers, precision or [], _calibration(package, settings))
    ]
    with _progress(quiet=as_json) as progress:
        rows = [_build_one(cache, order, time_limit, progress, rebuild=rebuild) for order in orders]
    cache.prune([order.key for order in orders])
    _show_plans(cache, rows, reasons, as_json=as_json)
    failed = sum(row.error is not None for row in rows)
    return EXIT_DONE if not failed else EXIT_ENGINE if failed == len(rows) else EXIT_PARTLY


def _calibrate(package: EnginePackage, source: str, settings: Settings) -> None:
    """Keep inputs of the engine's networks in the store; said on stderr, as stdout is for the plans."""
    from dicomnode.cli.output import bars
    from dicomnode.engine.precision import calibration_folder
    from dicomnode.serve.once.calibrating import calibrate

    name = package.manifest.name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomnode"
    with bars() as progress:
        found = calibrate(
            package,
            None if source == "phantom" else Path(source),
            calibration_folder(settings.store.path, name),
            cache=cache,
            progress=progress,
        )
    counts = ", ".join(f"{count} for {step}" for step, count in found.inputs.items())
    console.print(f"{name}: inputs of {found.studies} studies are kept ({counts}).", markup=False)
    for reason in found.passed_over:
        console.print(f"{name}: a study was passed over: {reason}.", markup=False)


def _calibration(package: EnginePackage, settings: Settings) -> Path | None:
    from dicomnode.engine.precision import site_folder

    name = package.manifest.name
    named = next((entry.calibration for entry in settings.engine if entry.name == name), None)
    return site_folder(named, settings.store.path, name)


def _packages(
    names: Sequence[str], paths: Sequence[Path], settings: Settings, *, every: bool
) -> list[EnginePackage]:
    """Load the engines that are meant: named ones, all, or those of dicomnode.toml."""
    from dicomnode.engine import find_engine, list_engines, load_package

    if names and every:
        raise NodeError(USAGE, problem="name engines, or give --all, not both")
    own = [load_package(path) for path in paths]
    configured = {entry.name: entry.path for entry in settings.engine}
    if every:
        folders = [entry.path for entry in settings.engine if entry.path is not None]
        return list_engines([*folders, *paths])
    wanted = names or ([] if own else [entry.name for entry in settings.engine if entry.mode != "off"])
    of_own = {package.manifest.name: package for package in own}
    found = [find_engine(name, configured.get(name)) for name in wanted if name not in of_own]
    return [*found, *own]


def _compilers(named: str | None) -> tuple[list[Compiler], list[Reason]]:
    """What compiles plans here, and why the others do not.

    TensorRT-RTX needs no GPU to build; without one it does so only where it is named, as nothing here would
    run the plan.
    """
    from dicomnode.engine.plans import find_compilers
    from dicomnode.engine.runtimes.tensorrt import FLAVOURS

    if named is None:
        return find_compilers()
    flavours = [one for one in FLAVOURS if one.name.replace("_", "-") == named.replace("_", "-")]
    if not flavours:
        known = ", ".join(flavour.name for flavour in FLAVOURS)
        raise NodeError(USAGE, problem=f"{named!r} is no runtime with plans: {known}")
    compilers, reasons = find_compilers(flavours, without_device=True)
    if not compilers:
        why = "; ".join(one.text for one in reasons)
        raise NodeError(PLANS_NOT_BUILT_HERE, runtime=named, reason=why)
    return compilers, reasons


def _check_precisions(precisions: Sequence[str]) -> None:
    from dicomnode.engine.precision import PRECISIONS

    unknown = sorted(set(precisions) - set(PRECISIONS))
    if unknown:
        raise NodeError(USAGE, problem=f"{', '.join(unknown)} is no precision: {', '.join(PRECISIONS)}")


def _build_one(
    cache: PlanCache, order: PlanOrder, limit_s: float, progress: Progress, *, rebuild: bool
) -> _Row:
    from dicomnode.engine.plans import Following, PlanState, ensure_plan

    key = order.key
    row = _Row(
        engine=key.engine,
        network=key.network,
        runtime=f"{key.flavour} {key.version}",
        precision=key.precision,
        device=None if key.gpu is None else key.gpu.name,
        digest=key.digest,
        log=str(cache.log_path(key)),
    )
    found = cache.find(key)
    if found is not None and rebuild and found.record.state is PlanState.REJECTED:
        cache.remove(key)
        found = None
    if found is not None:
        return _kept(row, found.record, built=False)
    task = progress.add_task(key.title, total=1.0, note="waiting", left="")
    try:
        following = Following(watch=lambda now: _show(progress, task, now), limit_s=limit_s)
        plan = ensure_plan(cache, order, following)
    except NodeError as error:
        progress.update(task, note="failed", left="")
        text = error.fault.text(**error.values)
        return replace(row, error={"code": error.fault.code, "text": text, "remedy": error.remedy})
    progress.update(task, completed=1.0, note="done", left="")
    return _kept(row, plan.record, built=True)


def _kept(row: _Row, record: PlanRecord, *, built: bool) -> _Row:
    return replace(row, state=record.state.value, built=built, build_s=record.build_s, bytes=record.size)


def _show(progress: Progress, task: TaskID, now: BuildProgress) -> None:
    left = "" if now.left_s is None else f"about {_duration(now.left_s)} left"
    progress.update(task, completed=now.part or 0.0, note=now.phase[:32], left=left)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal, on stderr; elsewhere nothing, the table tells."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        yield progress


def _tell_nothing(reasons: Sequence[Reason], *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": 1, "folder": None, "plans": [], "reasons": _reasons(reasons), "text": NOTHING})
        return
    typer.echo(NOTHING)
    for one in reasons:
        typer.echo(f"  {one.runtime}: {one.text}")


def _reasons(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    return [{"runtime": one.runtime, "text": one.text} for one in reasons]


def _show_plans(cache: PlanCache, rows: Sequence[_Row], reasons: Sequence[Reason], *, as_json: bool) -> None:
    if not as_json:
        _print(rows, reasons)
        return
    plans = [asdict(row) for row in rows]
    print_json({"schema": 1, "folder": str(cache.root), "plans": plans, "reasons": _reasons(reasons)})


def _print(rows: Sequence[_Row], reasons: Sequence[Reason]) -> None:
    columns = ("engine", "network", "runtime", "precision", "device", "", "seconds", "MB")
    shown = [
        (
            row.engine,
            row.network,
            row.runtime,
            row.precision,
            row.device or "any",
            "FAILED"
            if row.state is None
            else _SHOWN_STATES[row.state] + ("" if row.built else " (was there)"),
            row.build_s,
            None if row.bytes is None else row.bytes / 1e6,
        )
        for row in rows
    ]
    if shown:
        print_table("Plans", columns, shown)
    else:
        typer.echo("The engines have no networks: nothing to build.")
    for row in rows:
        if row.error is not None:
            console.print(f"{row.error['code']} {row.error['text']}", markup=False)
            console.print(f"        {row.error['remedy']}", markup=False, style="dim")
    for one in reasons:
        console.print(f"{one.runtime}: {one.text}", markup=False)


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode engine` this verb."""
    app.command("build", epilog=EPILOG)(build)

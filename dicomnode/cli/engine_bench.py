"""`dicomnode engine bench NAME`: what an engine takes on this machine, stage by stage."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import ConfigOption, open_settings
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table, result_console
from dicomnode.faults import EXIT_DONE, NodeError
from dicomnode.settings.schema import RuntimeName

if TYPE_CHECKING:
    from dicomnode.analyse.benching_child import BenchJob
    from dicomnode.engine import EnginePackage, RuntimeWish
    from dicomnode.values import Picture, Progress, Volume

EPILOG = (
    "EXIT STATUS: 0 measured, 2 usage, 3 the engine does not want this study or there is none, 10 "
    "configuration, 12 the engine is missing, fails its gate, or failed."
)
PHANTOM: Final = "phantom"
_STARTS: Final = 3
_STARTING: Final = "starts"
_PACKAGES: Final = ("dicomnode", "numpy", "scipy", "onnxruntime", "openvino", "pycuda", "tensorrt")


def bench(  # noqa: PLR0917  typer gives each by its name
    name: Annotated[str, typer.Argument(help="Name of the engine.")],
    path: Annotated[
        Path | None, typer.Option("--path", help="Its folder, if it is not a shipped one.")
    ] = None,
    runtime: Annotated[
        RuntimeName | None,
        typer.Option("--runtime", help="What it shall run on; default: as configured, else auto."),
    ] = None,
    study: Annotated[
        str, typer.Option("--study", help="Folder of a study, or phantom: the one of the demonstration.")
    ] = PHANTOM,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Analyses that are measured.")] = 10,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help="Of the networks; 0: all that may be used.")
    ] = 0,
    config: ConfigOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell each repetition on stderr, a line each.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Measure an engine: start, first study, throughput, latency, memory, stages, and its networks alone.

    It takes the node's own way from a volume to its findings, in a process of its own. Other work on the
    machine is measured with it: the share around the network is of halves that met the same load.
    """
    from dicomnode.engine import find_engine

    wish, path = _wished(config, name, path, runtime)
    package = find_engine(name, path)
    quiet = as_json and not (verbose or console.is_terminal)
    with bars(quiet=quiet) as progress:
        volumes = _volumes(package, study, progress)
    with _repetitions(quiet=quiet, verbose=verbose) as progress:
        starts, times = _measured(_Order(name, path, wish, threads, rounds), volumes, progress)
    document = {
        "schema": 1,
        "engine": name,
        "version": package.manifest.version,
        "digest": package.digest,
        "study": _study(volumes, PHANTOM if study == PHANTOM else "given"),
        "machine": _machine(threads),
        "starts": starts,
        **times,
    }
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


@contextmanager
def _repetitions(*, quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Tell on stderr what is measured: bars on a terminal; elsewhere lines, of stages or each repetition."""
    if verbose and not console.is_terminal:
        yield lambda stage, done, total: console.print(f"{stage}: {done} of {total}", markup=False)
        return
    with bars(quiet=quiet) as progress:
        yield progress


@dataclass(frozen=True, slots=True)
class _Order:
    """What is measured, and how often."""

    name: str
    path: Path | None
    wish: RuntimeWish
    threads: int
    rounds: int

    def job(self, rounds: int) -> BenchJob:
        """Make the job of a child that starts now."""
        from dicomnode.analyse.benching_child import BenchJob

        return BenchJob(
            name=self.name,
            path=self.path,
            wish=self.wish,
            threads=self.threads,
            rounds=rounds,
            started=time.time(),
        )


def _wished(
    config: Path | None, name: str, path: Path | None, runtime: RuntimeName | None
) -> tuple[RuntimeWish, Path | None]:
    """What runs the engine and where it lies: as the configuration says, and as given.

    A configuration that is named must be there; the usual one is taken where this user can read it.
    """
    from dicomnode.engine import RuntimeWish, wish_of

    wish = RuntimeWish()
    try:
        settings = open_settings(config)
    except NodeError:
        if config is not None:
            raise
    else:
        wish = wish_of(settings, name)
        path = path or {entry.name: entry.path for entry in settings.engine}.get(name)
    return (wish if runtime is None else replace(wish, runtime=runtime, fallback=False)), path


def _volumes(package: EnginePackage, study: str, progress: Progress) -> dict[str, Volume | Picture]:
    """Load the study: a folder of the user's, or the demonstration's, which is made the first time."""
    from dicomnode.phantom import demo_study
    from dicomnode.serve import volumes_for

    if study != PHANTOM:
        return volumes_for(package, Path(study), progress)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomnode"
    return volumes_for(package, demo_study(cache).files[0].parent, progress)


def _measured(
    order: _Order, volumes: Mapping[str, Volume | Picture], progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Start the engine in some processes, and in another one measure it; give the starts and the times."""
    from dicomnode.analyse.benching import FIRST
    from dicomnode.serve import measure_in_child

    starts = []
    progress(_STARTING, 0, _STARTS)
    for number in range(_STARTS - 1):
        starts.append(measure_in_child(order.job(0))["ready"])
        progress(_STARTING, number + 1, _STARTS)

    def told_on(stage: str, done: int, total: int) -> None:
        """Tell what the last one does; that it does something says that it has started."""
        if (stage, done) == (FIRST, 0):
            progress(_STARTING, _STARTS, _STARTS)
        progress(stage, done, total)

    told = measure_in_child(order.job(order.rounds), volumes, told_on)
    return [*starts, told["ready"]], told["times"]


def _study(volumes: Mapping[str, Volume | Picture], name: str) -> dict[str, Any]:
    """Describe the study by its sizes: nothing of the patient is told."""
    return {
        "name": name,
        "volumes": [
            {
                "input": given,
                "shape_kji": list(volume.grid.shape_kji),
                "spacing_kji_mm": [round(mm, 4) for mm in volume.grid.spacing_kji_mm],
            }
            for given, volume in volumes.items()
        ],
    }


def _machine(threads: int) -> dict[str, Any]:
    from importlib import metadata

    from dicomnode.device import cpu_device

    cpu = cpu_device(threads)
    versions = {}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu.name,
        "threads": cpu.threads,
        "memory_gb": round(memory / 1e9, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


# ── for people ──


def _print(document: Mapping[str, Any]) -> None:
    latency, machine = document["latency"], document["machine"]
    starts = sorted(one["seconds"] for one in document["starts"])
    rows: list[tuple[str, object]] = [
        ("start until ready, new process", _s(starts[len(starts) // 2])),
        ("first study", _s(document["first"])),
        ("second study", _s(document["second"])),
        ("latency p50 / p90 / p99", " / ".join(_s(latency[name]) for name in ("p50", "p90", "p99"))),
        ("throughput, one after the other", f"{document['volumes_per_hour']:.0f} volumes/h"),
        ("processor time of a study", _s(document["cpu"])),
        ("memory when ready / at most", f"{document['ready_mb']:.0f} / {document['peak_mb']:.0f} MB"),
    ]
    if document["device_mb"] is not None:
        rows.append(("memory of the GPU in use", f"{document['device_mb']:.0f} MB"))
    if document["network"] is not None:
        rows += [
            ("networks in a study", _s(document["network"])),
            ("networks alone, same tensors", _s(document["plain"])),
        ]
    if document["around_percent"] is not None:
        rows.append(("around the networks", f"{document['around_percent']:.0f} % of them alone"))
    title = f"{document['engine']} {document['version']} on {document['runtime']}, {document['precision']}"
    print_table(title, ("", f"{document['rounds']} rounds"), rows)
    print_table("Stages, medians", ("stage", "seconds", ""), _stage_rows(document))
    if document["batches"]:
        shown = [(b["step"], b["batch"], b["seconds"], b["items_per_s"]) for b in document["batches"]]
        print_table("The network alone, by batch", ("step", "batch", "seconds", "items/s"), shown)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    result_console.print(
        f"{document['device']}; {machine['cpu']}, {machine['threads']} threads", markup=False
    )
    result_console.print(f"{machine['system']}, Python {machine['python']}, {versions}", markup=False)
    if machine["load_1min"] > machine["threads"]:
        busy = f"The machine had other work (load {machine['load_1min']}): measure again when it is quiet."
        console.print(busy, markup=False)


def _stage_rows(document: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """One row a stage, and below a network's step its parts."""
    rows: list[tuple[str, float, str]] = []
    for stage in document["stages"]:
        rows.append((stage["name"], stage["seconds"], ""))
        for part, seconds in stage["parts"].items():
            if part != "infer":
                rows.append((f"  {part}", seconds, ""))
                continue
            runs = f"{stage['runs']} run{'s' if stage['runs'] != 1 else ''}"
            rows.append(("  network", stage["network"], runs))
            rows.append(("  window, blend", max(seconds - stage["network"], 0.0), ""))
    return rows


def _s(seconds: float) -> str:
    return f"{seconds:.3f} s"


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode engine` this verb."""
    app.command("bench", epilog=EPILOG)(bench)

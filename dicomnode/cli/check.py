"""`dicomnode check`: every problem of the configuration at once, and, asked to, whether the peers answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, config_path
from dicomnode.cli.output import JsonOption, console, print_json, print_table
from dicomnode.faults import EXIT_CONFIGURATION, EXIT_DONE, EXIT_UNREACHABLE, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.settings import EngineSettings, Problem, Settings

EPILOG = "EXIT STATUS: 0 all is well, 10 the configuration is wrong, 13 a peer does not answer."


def check(
    config: ConfigOption = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Ask destinations (also what they take), [[query]] peers, and a named inference server.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check the configuration without starting anything."""
    from dicomnode.cli.obstacles import find_obstacles, shut_out
    from dicomnode.cli.peers import probe_destinations, probe_sources
    from dicomnode.settings import located, read_settings

    path = config_path(config)
    settings, problems = read_settings(path)
    notes: list[str] = []
    engines: list[dict[str, Any]] = []
    destinations: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    if settings is not None:
        loaded = _loaded(settings)
        engines = [_engine(wanted, package) for wanted, package in loaded]
        obstacles, notes = find_obstacles(settings, probe=probe)
        if any(_asks_for_priors(wanted, package) for wanted, package in loaded):
            notes += shut_out(settings)
        located_ones = located(obstacles, path, path.read_text(encoding="utf-8-sig"))
        problems = [*problems, *located_ones, *_installation()]
        if probe:
            destinations, sources = probe_destinations(settings), probe_sources(settings)
    elif probe:
        notes.append("With a configuration that is wrong no peer was asked: mend it, then probe again.")
    silent = any(peer["problem"] for peer in (*destinations, *sources))
    broken = bool(problems) or any(engine["problem"] for engine in engines)
    if as_json:
        print_json(
            {
                "schema": 1,
                "path": str(path),
                "problems": [_problem(problem) for problem in problems],
                "engines": engines,
                "destinations": destinations,
                "sources": sources,
                "notes": notes,
            }
        )
    else:
        _show(problems, engines)
        _show_peers("Destinations", [one | {"well": _gets(one)} for one in destinations])
        _show_peers("Sources", [one | {"well": "answers"} for one in sources])
        for note in notes:
            console.print(note, markup=False)
        if not (broken or silent):
            console.print(f"{path}: no problem in the configuration.", markup=False)
    if broken:
        return EXIT_CONFIGURATION
    return EXIT_UNREACHABLE if silent else EXIT_DONE


def _installation() -> list[Problem]:
    """Refuse an installation mixed with another package of the same name (README, "The name")."""
    from importlib import metadata
    from pathlib import Path

    import dicomnode
    from dicomnode.faults import MIXED_INSTALLATION
    from dicomnode.settings import Problem

    owners = metadata.packages_distributions().get("dicomnode", [])
    if len(set(owners)) <= 1 and not (Path(dicomnode.__file__).parent / "server").exists():
        return []
    folder = Path(dicomnode.__file__).parent
    text = MIXED_INSTALLATION.text(path=folder, files=", ".join(sorted(set(owners))))
    return [
        Problem(
            file=str(folder),
            line=None,
            key="installation",
            value=None,
            expected="dicomnode alone in its environment",
            hint=text,
        )
    ]


def _loaded(settings: Settings) -> list[tuple[EngineSettings, EnginePackage | NodeError]]:
    """Load the engines, or say why one cannot be."""
    from dicomnode.engine import configured_engine

    found: list[tuple[EngineSettings, EnginePackage | NodeError]] = []
    for wanted in settings.engine:
        try:
            found.append((wanted, configured_engine(wanted)))
        except NodeError as error:
            found.append((wanted, error))
    return found


def _engine(wanted: EngineSettings, package: EnginePackage | NodeError) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": wanted.name, "mode": wanted.mode, "version": None, "problem": None}
    if isinstance(package, NodeError):
        return entry | {"problem": f"{package} {package.remedy}"}
    return entry | {"version": package.manifest.version}


def _asks_for_priors(wanted: EngineSettings, package: EnginePackage | NodeError) -> bool:
    return wanted.mode != "off" and not isinstance(package, NodeError) and bool(package.manifest.priors)


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "value": None if problem.value is None else str(problem.value),
        "expected": problem.expected,
        "hint": problem.hint,
    }


def _show(problems: list[Problem], engines: list[dict[str, Any]]) -> None:
    for problem in problems:
        where = f"{problem.file}:{problem.line}" if problem.line else str(problem.file)
        console.print(f"[bold red]{problem.key}[/] ", end="")
        console.print(f"({where})", markup=False, style="dim")
        console.print(f"    is       {problem.found}", markup=False)
        console.print(f"    expected {problem.expected}", markup=False)
        if problem.hint:
            console.print(f"    hint     {problem.hint}", markup=False)
    if engines:
        found = [(e["name"], e["version"], e["mode"], e["problem"] or "found") for e in engines]
        print_table("Engines", ("engine", "version", "mode", "state"), found)


def _gets(destination: dict[str, Any]) -> str:
    """Say what a destination without a problem would get."""
    if not destination["asked"]:
        return "was not asked: who gets it is known when a study comes"
    if destination["gets"] is None:
        return "answers; what it takes is known when something is sent"
    instead = [f"{other or 'nothing'} instead of {kind}" for kind, other in destination["instead"].items()]
    return f"takes {', '.join(destination['gets'])}" + (
        f": would get {', '.join(instead)}" if instead else ""
    )


def _show_peers(title: str, peers: list[dict[str, Any]]) -> None:
    if peers:
        asked = [(p["name"], p["address"], p["problem"] or p["well"]) for p in peers]
        print_table(title, (title.lower().removesuffix("s"), "address", "state"), asked)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(check)

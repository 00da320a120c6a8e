"""`dicomnode check`: every problem of the configuration at once, and, asked to, whether the peers answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, config_path
from dicomnode.cli.output import JsonOption, console, print_json, print_table
from dicomnode.faults import EXIT_CONFIGURATION, EXIT_DONE, EXIT_UNREACHABLE, NodeError

if TYPE_CHECKING:
    from dicomnode.settings import Problem, Settings

EPILOG = "EXIT STATUS: 0 all is well, 10 the configuration is wrong, 13 a destination does not answer."


def check(
    config: ConfigOption = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Send C-ECHO to each destination; ask the inference server, if one is named."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check the configuration without starting anything."""
    from dicomnode.cli.obstacles import find_obstacles
    from dicomnode.settings import located, read_settings

    path = config_path(config)
    settings, problems = read_settings(path)
    notes: list[str] = []
    engines: list[dict[str, Any]] = []
    probes: list[dict[str, Any]] = []
    if settings is not None:
        engines = _engines(settings)
        obstacles, notes = find_obstacles(settings, probe=probe)
        located_ones = located(obstacles, path, path.read_text(encoding="utf-8-sig"))
        problems = [*problems, *located_ones, *_installation()]
        probes = _probe(settings) if probe else []
    broken = bool(problems) or any(engine["problem"] for engine in engines)
    if as_json:
        print_json(
            {
                "schema": 1,
                "path": str(path),
                "problems": [_problem(problem) for problem in problems],
                "engines": engines,
                "destinations": probes,
                "notes": notes,
            }
        )
    else:
        _show(problems, engines, probes)
        for note in notes:
            console.print(note, markup=False)
        if not broken and not any(p["problem"] for p in probes):
            console.print(f"{path}: no problem in the configuration.", markup=False)
    if broken:
        return EXIT_CONFIGURATION
    return EXIT_UNREACHABLE if any(p["problem"] for p in probes) else EXIT_DONE


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


def _engines(settings: Settings) -> list[dict[str, Any]]:
    from dicomnode.engine import configured_engine

    found: list[dict[str, Any]] = []
    for wanted in settings.engine:
        entry: dict[str, Any] = {"name": wanted.name, "mode": wanted.mode, "version": None, "problem": None}
        try:
            entry["version"] = configured_engine(wanted).manifest.version
        except NodeError as error:
            entry["problem"] = f"{error} {error.remedy}"
        found.append(entry)
    return found


def _probe(settings: Settings) -> list[dict[str, Any]]:
    from dicomnode.net import Peer, echo

    answers: list[dict[str, Any]] = []
    for d in settings.destination:
        peer = Peer(name=d.name, ae_title=d.ae_title, host=d.host, port=d.port, timeout_s=d.timeout_s)
        entry: dict[str, Any] = {
            "name": d.name,
            "address": f"{d.ae_title}@{d.host}:{d.port}",
            "problem": None,
        }
        try:
            echo(peer, settings.node.ae_title)
        except NodeError as error:
            entry["problem"] = f"{error} {error.remedy}"
        answers.append(entry)
    return answers


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "value": None if problem.value is None else str(problem.value),
        "expected": problem.expected,
        "hint": problem.hint,
    }


def _show(problems: list[Problem], engines: list[dict[str, Any]], probes: list[dict[str, Any]]) -> None:
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
    if probes:
        asked = [(p["name"], p["address"], p["problem"] or "answers C-ECHO") for p in probes]
        print_table("Destinations", ("destination", "address", "state"), asked)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(check)

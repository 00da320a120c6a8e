"""`dicomnode engine list|check`: the engines that there are, and whether they do here what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.cli.options import threads
from dicomnode.cli.output import JsonOption, print_json, print_table
from dicomnode.faults import EXIT_DONE, EXIT_ENGINE

EPILOG = "EXIT STATUS: 0 done, 12 an engine is missing, wrong or fails its gate."

app = typer.Typer(help="The engines.", no_args_is_help=True, rich_markup_mode=None)

PathOption = Annotated[
    list[Path] | None, typer.Option("--path", help="Folder of an engine package of your own.")
]


@app.command("list", epilog=EPILOG)
def list_(path: PathOption = None, as_json: JsonOption = False) -> None:
    """List the engines with what they take and give."""
    from dicomnode.engine import list_engines

    rows: list[dict[str, Any]] = [
        {
            "name": package.manifest.name,
            "version": package.manifest.version,
            "title": package.manifest.title,
            "use": package.manifest.use,
            "digest": package.digest,
            "folder": str(package.folder),
        }
        for package in list_engines(path or [])
    ]
    if as_json:
        print_json({"schema": 1, "engines": rows})
    else:
        shown = [(r["name"], r["version"], r["title"], r["digest"][:12], r["use"]) for r in rows]
        print_table("", ("engine", "version", "title", "digest", "use"), shown)


@app.command(epilog=EPILOG)
def check(
    name: Annotated[str, typer.Argument(help="Name of the engine.")],
    path: Annotated[
        Path | None, typer.Option("--path", help="Its folder, if it is not a shipped one.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Run the engine's gate on this machine: manifest, digests, networks against their expectations."""
    from dicomnode.engine import check_engine, find_engine

    report = check_engine(find_engine(name, path), threads())
    rows = [
        {
            "network": c.network,
            "check": c.name,
            "passed": c.passed,
            "expected": str(c.expected),
            "found": str(c.found),
        }
        for c in report.checks
    ]
    if as_json:
        print_json(
            {
                "schema": 1,
                "engine": report.engine,
                "version": report.version,
                "digest": report.digest,
                "passed": report.passed,
                "checks": rows,
            }
        )
    else:
        shown = [
            (r["network"], r["check"], "passed" if r["passed"] else "FAILED", r["expected"], r["found"])
            for r in rows
        ]
        print_table(f"{report.engine} {report.version}", ("network", "check", "", "expected", "found"), shown)
    return EXIT_DONE if report.passed else EXIT_ENGINE

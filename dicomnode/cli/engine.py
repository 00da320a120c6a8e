"""`dicomnode engine list|check|…`: the engines that there are, and whether they do here what they should."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dicomnode.cli import engine_add, engine_bench, engine_build, engine_export, engine_promote
from dicomnode.cli.engine_named import named_engine, usual_settings
from dicomnode.cli.options import ConfigOption, threads
from dicomnode.cli.output import (
    JsonOption,
    failure_document,
    print_failure,
    print_json,
    print_table,
    result_console,
)
from dicomnode.faults import EXIT_DONE, EXIT_ENGINE, GATE_FAILED, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import Acceptance, EnginePackage, GateReport, RuntimeWish
    from dicomnode.engine.runtimes import Reason
    from dicomnode.settings import Settings

EPILOG = "EXIT STATUS: 0 done, 12 an engine is missing, wrong or fails its gate."

app = typer.Typer(help="The engines.", no_args_is_help=True, rich_markup_mode=None)

PathOption = Annotated[
    list[Path] | None, typer.Option("--path", help="Folder of an engine package of your own.")
]


@app.command("list", epilog=EPILOG)
def list_(path: PathOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """List the engines, configured ones among them, and how runtimes were accepted for them here."""
    settings = usual_settings(config)
    configured = {entry.name: entry for entry in settings.engine} if settings else {}
    folders = [entry.path for entry in configured.values() if entry.path is not None]
    packages, broken = _packages([*(path or []), *folders])
    rows: list[dict[str, Any]] = [
        {
            "name": package.manifest.name,
            "version": package.manifest.version,
            "title": package.manifest.title,
            "use": package.manifest.use,
            "digest": package.digest,
            "folder": str(package.folder),
            "mode": entry.mode if (entry := configured.get(package.manifest.name)) else None,
            "runtimes": _accepted(package, settings),
        }
        for package in packages
    ]
    if as_json:
        told = [{"folder": str(folder), **failure_document(error)["error"]} for folder, error in broken]
        print_json({"schema": 1, "engines": rows, "broken": told})
    else:
        shown = [
            (r["name"], r["version"], r["mode"] or "not configured", r["title"], r["digest"][:12], r["use"])
            for r in rows
        ]
        print_table("", ("engine", "version", "mode", "title", "digest", "use"), shown)
        _print_accepted([(row["name"], one) for row in rows for one in row["runtimes"]])
        for _, error in broken:
            print_failure(error)
    return EXIT_ENGINE if broken else EXIT_DONE


def _packages(extra: list[Path]) -> tuple[list[EnginePackage], list[tuple[Path, NodeError]]]:
    """Load all engines; one that is broken hides no other."""
    from dicomnode.engine import engine_folders, load_package

    packages, broken = [], []
    for folder in engine_folders(extra):
        try:
            packages.append(load_package(folder))
        except NodeError as error:
            broken.append((folder, error))
    return packages, broken


def _accepted(package: EnginePackage, settings: Settings | None) -> list[dict[str, Any]]:
    """What is kept of how runtimes agreed with the reference on the engine's networks."""
    from dicomnode.engine import records_of

    if settings is None:
        return []
    manifest = package.manifest
    return [
        {**_acceptance(record), "when": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()}
        for path, record in records_of(settings.store.path, manifest.name, manifest.networks)
    ]


def _acceptance(record: Acceptance) -> dict[str, Any]:
    subject = record.subject
    return {
        "step": subject.step,
        "runtime": subject.runtime,
        "version": subject.version,
        "precision": subject.precision,
        "device": subject.device,
        "passed": record.passed,
        "worst": record.worst,
    }


def _print_accepted(rows: list[tuple[str, dict[str, Any]]]) -> None:
    if not rows:
        return
    shown = [
        (
            engine,
            one["step"],
            f"{one['runtime']} {one['version']}",
            one["precision"],
            "passed" if one["passed"] else "FAILED",
            one["worst"],
            one.get("when", "now")[:16],
        )
        for engine, one in rows
    ]
    columns = ("engine", "step", "runtime", "precision", "", "worst figure", "when (UTC)")
    print_table("Agreement with onnxruntime fp32", columns, shown)


@app.command(epilog=EPILOG)
def check(
    name: Annotated[str, typer.Argument(help="Name of the engine.")],
    path: Annotated[
        Path | None, typer.Option("--path", help="Its folder, if it is not a shipped one.")
    ] = None,
    runtime: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx", "triton", "openvino", "onnxruntime"] | None,
        typer.Option("--runtime", help="What it shall run on; default: as configured, else auto."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run the engine's gate on this machine: manifest, digests, networks against their expectations."""
    from dicomnode.engine import RuntimeWish, check_engine, wish_of

    settings = usual_settings(config)
    wish = RuntimeWish() if settings is None else wish_of(settings, name)
    if runtime is not None:
        wish = replace(wish, runtime=runtime, fallback=False)
    package = named_engine(name, path, settings)
    report = check_engine(package, threads(), wish)
    if not package.manifest.networks:
        _require_steps(package)
    if as_json:
        print_json(_check_document(report, wish))
    else:
        _print_check(report, wish)
        if not report.passed:
            raise NodeError(GATE_FAILED, engine=f"{report.engine} {report.version}", reason=report.text)
    return EXIT_DONE if report.passed else EXIT_ENGINE


def _require_steps(package: EnginePackage) -> None:
    """Raises NodeError(MANIFEST_WRONG) where steps or outputs want what this version does not know."""
    from dicomnode import __version__
    from dicomnode.analyse import Analyst

    Analyst(package, threads=1, node_version=__version__).close()


def _check_document(report: GateReport, wish: RuntimeWish) -> dict[str, Any]:
    return {
        "schema": 1,
        "engine": report.engine,
        "version": report.version,
        "digest": report.digest,
        "passed": report.passed,
        "runtimes": list(report.runtimes),
        "passed_over": [
            {"runtime": one.runtime, "reason": one.text, "advice": _advice(one, report.engine, wish) or None}
            for one in report.reasons
        ],
        "accepted": [_acceptance(one) for one in report.acceptances],
        "checks": [
            {
                "network": one.network,
                "check": one.name,
                "passed": one.passed,
                "expected": one.expected,
                "found": one.found,
            }
            for one in report.checks
        ],
    }


def _advice(reason: Reason, engine: str, wish: RuntimeWish) -> str:
    """What to do so that a runtime serves that was passed over; "" where its reason says so itself."""
    command = f"dicomnode engine check {engine}"
    if "pip install" in reason.text or "dicomnode engine build" in reason.text:
        return ""
    if not reason.installed:
        return f"Install it: pip install 'dicomnode[{reason.runtime}]'"
    if wish.state is None:
        return (
            f"So it is not accepted yet: `{command} --config FILE`, as the user of the service, tries it and "
            f"keeps that it was accepted; `{command} --runtime {reason.runtime}` tries it now"
        )
    return f"Mend that: `{command}` tries it again; until then the engine runs on what serves"


def _print_check(report: GateReport, wish: RuntimeWish) -> None:
    shown = [
        (one.network, one.name, "passed" if one.passed else "FAILED", one.expected, one.found)
        for one in report.checks
    ]
    if not report.runtimes and report.passed:
        _print_without_network(report)
        return
    print_table(f"{report.engine} {report.version}", ("network", "check", "", "expected", "found"), shown)
    _print_accepted([(report.engine, _acceptance(one)) for one in report.acceptances])
    word = "serves" if report.passed else "would serve, had it passed the gate"
    served = [(runtime, word) for runtime in report.runtimes]
    print_table(
        "Runtimes", ("runtime", ""), [*served, *(_passed_over(one, report, wish) for one in report.reasons)]
    )


def _print_without_network(report: GateReport) -> None:
    """Say what was checked of an engine that only computes: there are no numbers of a network to meet."""
    told = (
        f"{report.engine} {report.version} passed. It has no network, so there are no numbers to be met: its "
        f"engine.toml (digest {report.digest[:12]}) was read, and this version of the node knows its steps, "
        "their parameters and what its outputs take from them. The node computes it itself, on the CPU; no "
        "runtime is needed."
    )
    result_console.print(told, markup=False)


def _passed_over(reason: Reason, report: GateReport, wish: RuntimeWish) -> tuple[str, str]:
    advice = _advice(reason, report.engine, wish)
    text = f"passed over: {reason.text}"
    return reason.runtime, f"{text}. {advice}" if advice else text


engine_add.add_to(app)
engine_bench.add_to(app)
engine_build.add_to(app)
engine_export.add_to(app)
engine_promote.add_to(app)

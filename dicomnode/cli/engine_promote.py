"""`dicomnode engine promote NAME`: an engine in shadow goes live if an evaluation allows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dicomnode.cli.options import ConfigOption, config_path, named, open_journal, open_settings
from dicomnode.cli.output import JsonOption, console, print_json, result_console
from dicomnode.faults import (
    EVALUATION_UNREADABLE,
    EXIT_DONE,
    PROMOTE_NOT_SHADOW,
    PROMOTE_UNJUDGED,
    PROMOTE_UNKNOWN,
    PROMOTE_WORSE,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicomnode.journal import Act, Journal
    from dicomnode.settings import EngineSettings, Settings

EPILOG = (
    "EXIT STATUS: 0 promoted, 1 the configuration cannot be written, 2 usage, 10 configuration, 11 journal, "
    "12 it is not in shadow, there is no evaluation of this package, or it is worse."
)
_SCHEMA = 1


def promote(  # noqa: PLR0917  typer gives each by its name
    name: Annotated[str, typer.Argument(help="Name of an [[engine]] in shadow.")],
    evaluation: Annotated[
        Path | None,
        typer.Option("--evaluation", help="evaluation.json of it, from `dicomnode evaluate --compare`."),
    ] = None,
    replace: Annotated[
        str | None,
        typer.Option("--replace", metavar="OTHER", help="The live engine whose place it takes: into shadow."),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who promotes it: your name, for the audit.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it whatever the evaluation says, or without one.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let the results of an engine in shadow be sent: its mode in dicomnode.toml becomes "live".

    Refused without an evaluation of this very package, where a figure is worse than that of the engine it
    was compared with (the interval of the paired difference leaves out 0), and, compared with none, where the
    evaluation warns. A running node takes it up when it is started again. The act and its reasons are kept in
    the journal.
    """
    from dicomnode.journal import Act

    who = None if by is None else named(by)
    settings, path = open_settings(config), config_path(config)
    modes = _modes(settings, name, replace, path)
    replaced = None if replace is None else _entry(settings, replace, path)
    reasons, refused = _judge(_entry(settings, name, path), evaluation, replaced)
    if refused is not None and not force:
        raise refused
    if refused is not None:
        reasons = [*reasons, f"forced, although: {refused.fault.text(**refused.values)}"]
    with open_journal(settings) as journal:
        text = (
            f"{name} goes live{f', {replace} into shadow' if replace else ''}{f', by {who}' if who else ''}"
        )
        act = Act(
            at=datetime.now(UTC), what="engine.promoted", engine=name, text=f"{text}: {'; '.join(reasons)}."
        )
        _write(path, modes, {one: _entry(settings, one, path).mode for one in modes}, journal, act)
    if as_json:
        print_json(
            {"schema": 1, "engine": name, "modes": modes, "forced": refused is not None, "reasons": reasons}
        )
    else:
        result_console.print(f"{text}.", markup=False)
        for reason in reasons:
            result_console.print(f"  {reason}", markup=False)
        console.print("A running node takes it up when it is started again.", markup=False)
    return EXIT_DONE


def _write(
    path: Path, modes: Mapping[str, str], before: Mapping[str, str], journal: Journal, act: Act
) -> None:
    """Write the modes, and what was done; where that cannot be kept, what nobody can look up is undone."""
    from dicomnode.settings import write_modes

    write_modes(path, modes)
    try:
        journal.add_act(act)
    except NodeError:
        write_modes(path, before)
        raise


def _entry(settings: Settings, name: str, path: Path) -> EngineSettings:
    for one in settings.engine:
        if one.name == name:
            return one
    raise NodeError(PROMOTE_UNKNOWN, engine=name, path=path)


def _modes(settings: Settings, name: str, replaced: str | None, path: Path) -> dict[str, str]:
    """What modes change. Raises NodeError: PROMOTE_UNKNOWN, PROMOTE_NOT_SHADOW, USAGE."""
    entry = _entry(settings, name, path)
    if entry.mode != "shadow":
        raise NodeError(PROMOTE_NOT_SHADOW, engine=name, mode=entry.mode)
    if replaced is None:
        return {name: "live"}
    if replaced == name or _entry(settings, replaced, path).mode != "live":
        raise NodeError(USAGE, problem=f"--replace names another engine that is live, not {replaced}")
    return {name: "live", replaced: "shadow"}


def _judge(
    entry: EngineSettings, path: Path | None, replaced: EngineSettings | None
) -> tuple[list[str], NodeError | None]:
    """What speaks for it, and what against: a failure that --force passes over."""
    if path is None:
        return [], _unjudged(entry, "no evaluation was named")
    document = _read(path)
    try:
        return _judged(entry, document, replaced)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        _unreadable(path, error)


def _unjudged(entry: EngineSettings, reason: str) -> NodeError:
    return NodeError(PROMOTE_UNJUDGED, engine=entry.name, reason=reason)


def _read(path: Path) -> Mapping[str, Any]:
    """Raises NodeError(EVALUATION_UNREADABLE)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError) as error:
        _unreadable(path, error)
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise NodeError(EVALUATION_UNREADABLE, path=path, error=f"it has not schema {_SCHEMA}")
    return document


def _no_number(word: str) -> NoReturn:
    """NaN and infinities, which are no JSON, compare as neither better nor worse."""
    raise ValueError(f"it says {word} where a number belongs")


def _unreadable(path: Path, error: Exception) -> NoReturn:
    said = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    raise NodeError(EVALUATION_UNREADABLE, path=path, error=said) from error


def _judged(
    entry: EngineSettings, document: Mapping[str, Any], replaced: EngineSettings | None
) -> tuple[list[str], NodeError | None]:
    other_package = _other_package(entry, document["engine"])
    if other_package is not None:
        return [], _unjudged(entry, other_package)
    reasons = [_headline(one) for one in document["headline"]]
    reasons += [f"warning: {text}" for text in [*document["warnings"], *_synthetic(document["data"])]]
    compared = document["comparison"]
    if not document["headline"] or not any(run["state"] == "analysed" for run in document["runs"]):
        return reasons, _unjudged(entry, "the evaluation judged no result of it")
    other = None if compared is None else compared["other"]["name"]
    if replaced is not None and other != replaced.name:
        return reasons, _unjudged(entry, f"the evaluation does not compare it with {replaced.name}")
    if compared is None:
        return reasons, _warned(entry, document["warnings"])
    other_package = None if replaced is None else _other_package(replaced, compared["other"])
    if other_package is not None:
        return reasons, _unjudged(entry, f"it was compared with another {other}: {other_package}")
    for one in compared["differences"]:
        _require_borne(one)
    reasons += [f"against {other}: {_difference(one)}" for one in compared["differences"]]
    return reasons, _against(entry, str(other), compared["differences"])


def _warned(entry: EngineSettings, warnings: Sequence[str]) -> NodeError | None:
    """Without another engine to be held against, a warning of its own evaluation is an answer."""
    if not warnings:
        return None
    said = "; ".join(one.rstrip(".") for one in warnings)
    return _unjudged(entry, f"it was compared with no other engine, and its evaluation warns: {said}")


def _other_package(entry: EngineSettings, of: Mapping[str, Any]) -> str | None:
    """Say of which package an evaluation is, where that is not the one that is configured."""
    from dicomnode.engine import configured_engine

    package = configured_engine(entry)
    if of["name"] == package.manifest.name and of["digest"] == package.digest:
        return None
    return (
        f"the evaluation is of {of['name']} {of['version']} ({of['digest'][:12]}), the package here is "
        f"{package.manifest.name} {package.manifest.version} ({package.digest[:12]})"
    )


def _synthetic(data: Mapping[str, Any]) -> list[str]:
    if not data["synthetic"]:
        return []
    of = f"{data['synthetic']} of {data['studies']} studies"
    return [f"{of} are synthetic: they say nothing of how it does on patients."]


def _require_borne(one: Mapping[str, Any]) -> None:
    """Refuse a verdict that its own interval does not bear, as of a file that somebody edited: ValueError."""
    from dicomnode.evaluate import Verdict

    verdict, low, high = Verdict(one["verdict"]), one["difference"]["low"], one["difference"]["high"]
    if verdict is Verdict.UNKNOWN:
        return
    borne = None
    if low is not None and high is not None:
        borne = Verdict.BETTER if (low > 0.0) == one["higher_is_better"] else Verdict.WORSE
        borne = Verdict.CHANCE if low <= 0.0 <= high else borne
    # Less may be claimed: where both engines say the same of all but a few patients, better is not said
    if verdict is not borne and (verdict, borne) != (Verdict.CHANCE, Verdict.BETTER):
        raise ValueError(f'its interval does not bear the verdict "{verdict}" of {one["output"]}')


def _against(entry: EngineSettings, other: str, differences: Sequence[Mapping[str, Any]]) -> NodeError | None:
    worse = [_difference(one) for one in differences if one["verdict"] == "worse"]
    left_out = {one["output"]: one["left_out"] for one in differences if one["left_out"]}
    worse += [f"{output}: {count} cases without an answer of its own" for output, count in left_out.items()]
    if worse:
        return NodeError(PROMOTE_WORSE, engine=entry.name, other=other, reason="; ".join(worse))
    told = {one["output"] for one in differences if one["verdict"] in ("better", "it may be chance")}
    silent = sorted({one["output"] for one in differences} - told)
    if silent or not differences:
        return _unjudged(entry, f"the comparison with {other} tells nothing of {', '.join(silent) or 'it'}")
    return None


def _headline(one: Mapping[str, Any]) -> str:
    figure = one["figure"]
    value = "not known" if figure["value"] is None else f"{figure['value']:.3f}"
    return f"{one['output']}: {_title(figure['name'], figure['label'])} {value}"


def _title(name: str, label: str | None) -> str:
    """Name a figure as the report does: "recall of sick"."""
    spoken = name.replace("_", " ")
    return spoken if label is None else f"{spoken} of {label}"


def _difference(one: Mapping[str, Any]) -> str:
    of = one["difference"]
    name = f"{one['output']}, {_title(one['figure'], one['label'])}"
    if of["low"] is None or of["high"] is None:
        return f"{name}: nothing can be said"
    interval = f"{of['level'] * 100:.0f} % interval {of['low']:+.3f} to {of['high']:+.3f}"
    return f"{name} {of['value']:+.3f} ({interval}): {one['verdict']}"


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode engine` this verb."""
    app.command("promote", epilog=EPILOG)(promote)

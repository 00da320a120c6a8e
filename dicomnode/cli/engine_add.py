"""`dicomnode engine add SOURCE`: a network of any maker becomes an engine package that has passed a trial."""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, console, print_json, print_table
from dicomnode.faults import ANSWER_WRONG, EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage, InputSpec
    from dicomnode.engine.adding.answers import Answers, Question
    from dicomnode.engine.adding.draft import Draft
    from dicomnode.engine.adding.sources import SourceKind
    from dicomnode.engine.adding.trial import Limits

EPILOG = (
    "EXIT STATUS: 0 done, 1 the folder cannot be written, 2 usage, an answer is missing or wrong, or the "
    "name is taken, 12 SOURCE cannot become an engine, or did not pass its trial."
)
_GB: Final = 1e9
# Kind → function of the room that converts it
_CONVERTERS: Final[Mapping[str, str]] = {
    "MONAI": "convert_monai",
    "NNUNET": "convert_nnunet",
    "TORCHSCRIPT": "convert_torchscript",
    "SKLEARN": "convert_sklearn",
}
# These ask as an ONNX file does; a bundle and a result folder say themselves nearly all that is asked
_THAT_ASK: Final = frozenset({"TORCHSCRIPT", "SKLEARN"})


def add(  # noqa: PLR0917  typer gives each by its name
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="ONNX file, MONAI bundle, nnU-Net v2 result, TorchScript file or scikit-learn model.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Name of the engine.")] = None,
    into: Annotated[
        Path, typer.Option("--into", help="Folder that the engine's folder is made in.")
    ] = Path(),
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Answer a question.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="TOML file with answers; --set comes before it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take what is proposed; ask nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of one that is there.")
    ] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", help="Seconds that its trial may take, 1 to 86400.")
    ] = 300.0,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            "--memory-gb",
            help="Memory that its trial may take, from 1 to what the machine has; "
            "unless given, three quarters of that, at most 16.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Make an engine package of a network: ask what must be known, try it in a limited process, write it."""
    from dicomnode.engine.adding.drafting import write_draft
    from dicomnode.engine.adding.sources import kind_of

    limits = _limits(time_limit, memory_gb)
    kind = kind_of(source)
    given = {**_of_file(answers), **_of_options(settings or []), **({"name": name} if name else {})}
    ask = None if yes or as_json or not _is_terminal() else _ask
    if not as_json:
        console.print(f"{source.name}: {kind.value}", markup=False)
    draft = _draft(kind, source, _answers(given, ask, accept=yes), limits)
    folder = into / str(draft.table["name"])
    package = write_draft(draft, folder, replace=replace, limits=limits)
    if as_json:
        print_json(_document(kind, package, draft))
    else:
        _print(kind, package, draft)
    return EXIT_DONE


def _limits(seconds: float, memory_gb: float | None) -> Limits:
    """Make the limits of the trial; NodeError(USAGE) for what cannot be."""
    from dicomnode.engine.adding.trial import Limits

    try:
        limits = Limits(seconds=seconds)
    except ValueError as error:
        raise NodeError(USAGE, problem=f"--time-limit {seconds:g} cannot be: {error}") from error
    if memory_gb is None:
        return limits
    gb = 0.0 if math.isnan(memory_gb) else min(memory_gb, _GB)  # an int is made of it
    try:
        return Limits(seconds=seconds, memory_bytes=int(gb * _GB))
    except ValueError as error:
        raise NodeError(USAGE, problem=f"--memory-gb {memory_gb:g} cannot be: {error}") from error


def _is_terminal() -> bool:
    return sys.stdin.isatty() and console.is_terminal


def _answers(given: Mapping[str, Any], ask: Any, *, accept: bool) -> Answers:
    from dicomnode.engine.adding.answers import Answers

    return Answers(given=given, ask=ask, accept=accept)


def _draft(kind: SourceKind, source: Path, answers: Answers, limits: Limits) -> Draft:
    if kind.name == "ONNX":
        from dicomnode.engine.adding.propose import draft_from_onnx

        return draft_from_onnx(source, answers, limits)
    from dicomnode import learn

    convert = getattr(learn, _CONVERTERS[kind.name])
    draft: Draft = convert(source, answers if kind.name in _THAT_ASK else answers.given)
    return draft


# ── answers ──


def _of_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NodeError(USAGE, problem=f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NodeError(USAGE, problem=f"{path} is no TOML: {error}") from error


def _of_options(settings: Sequence[str]) -> dict[str, Any]:
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise NodeError(USAGE, problem=f"--set {setting!r} is not of the form KEY=VALUE")
        found[key.strip()] = value_of(value)
    return found


def value_of(text: str) -> Any:
    """Read a value as TOML has it; what is none is text, and so is 2.10, which may be a version."""
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text.strip()
    return text.strip() if isinstance(value, float) else value


def _ask(question: Question) -> Any:
    """Ask on the terminal until the answer can be taken."""
    from dicomnode.engine.adding.answers import shown

    while True:
        console.print(f"{question.key}: {question.text}", markup=False)
        proposed = question.proposal
        # Words stand without quotes: what is typed is read in the same way
        default = proposed if proposed is None or isinstance(proposed, str) else shown(proposed)
        typed = typer.prompt("  ", default=default, err=True, prompt_suffix="> ")
        try:
            return question.check(value_of(str(typed)))
        except ValueError as error:
            wrong = NodeError(ANSWER_WRONG, key=question.key, value=typed, expected=error)
            console.print(wrong.fault.text(**wrong.values), markup=False, style="yellow")


# ── what was made ──


def _document(kind: SourceKind, package: EnginePackage, draft: Draft) -> dict[str, Any]:
    manifest = package.manifest
    return {
        "schema": 1,
        "kind": kind.value,
        "engine": manifest.name,
        "version": manifest.version,
        "folder": str(package.folder.absolute()),
        "digest": package.digest,
        "left_out": list(draft.left_out),
        "settings": _settings(package),
        "plans": _needs_plans(),
    }


def _print(kind: SourceKind, package: EnginePackage, draft: Draft) -> None:
    manifest = package.manifest
    folder = package.folder.absolute()
    rows = [(f"takes {series.name}", _words(series, draft.table)) for series in manifest.input]
    for step in manifest.step:
        means = ", ".join(str(head.interpret or step.algorithm) for head in step.heads)
        size = step.window.size_kji
        window = "the whole at once" if size is None else f"windows of {' x '.join(map(str, size))}"
        rows.append((f"step {step.name}", f"{means}; {window}"))
    rows += [
        (f"gives {one.what} {one.label}", one.type.meaning if one.type else "") for one in manifest.output
    ]
    print_table(f"{manifest.name} {manifest.version}, made of: {kind.value}", ("engine", ""), rows)
    for sentence in draft.left_out:
        console.print(f"Note: {sentence}", markup=False, style="yellow")
    typer.echo(f"Its trial has passed; it lies in {folder}. Next:")
    typer.echo("  1. Compare it with a study whose result you know; a wrong preparation does not fail:")
    typer.echo(f"       dicomnode try DIR --engine-path {_quoted(folder)} --out results")
    typer.echo("  2. Say in card.md what it was trained on; correct engine.toml where something was guessed.")
    typer.echo("  3. Let it run in shadow (results are kept, not sent): put into dicomnode.toml")
    for line in _settings(package).splitlines():
        typer.echo(f"       {line}")
    if _needs_plans():
        typer.echo("  4. Build its plans for the GPU that is here:")
        typer.echo(f"       dicomnode engine build --path {_quoted(folder)}")


def _words(series: InputSpec, table: Mapping[str, Any]) -> str:
    """Say what is wanted of a series, as `why` does, and what is done to it, as engine.toml has it."""
    from dicomnode.engine.adding.answers import shown
    from dicomnode.engine.wording import words

    [written] = [one for one in table["input"] if one["name"] == series.name]
    rules = ", ".join(words(rule) for rule in series.require)
    steps = [f"{word} = {shown(how)}" for one in written.get("prepare", ()) for word, how in one.items()]
    return "; ".join(part for part in (rules, " → ".join(steps)) if part)


def _settings(package: EnginePackage) -> str:
    from dicomnode.engine.adding.toml_text import toml_text

    table = {"name": package.manifest.name, "path": str(package.folder.absolute()), "mode": "shadow"}
    return f"[[engine]]\n{toml_text(table)}"


def _needs_plans() -> bool:
    """Whether a runtime works here that compiles networks for the device."""
    from dicomnode.engine.runtimes import Capability
    from dicomnode.engine.runtimes.tensorrt import FLAVOURS, TensorRtRuntime

    return any(isinstance(TensorRtRuntime(flavour).probe(), Capability) for flavour in FLAVOURS)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode engine` this verb."""
    app.command("add", epilog=EPILOG)(add)

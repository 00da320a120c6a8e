"""The command's frame: the verbs, and the one door through which every failure leaves."""

from __future__ import annotations

import signal
import sys
import traceback
from copy import copy
from functools import cache
from typing import Annotated, Any, cast

import typer

from dicomnode import __version__
from dicomnode.cli import (
    check,
    demo,
    echo,
    engine,
    evaluate,
    explain,
    export,
    fault,
    federate,
    feedback,
    init,
    register,
    release,
    retract,
    retry,
    send,
    serve,
    studies,
    synth,
    train,
    train_anomaly,
    train_features,
    train_forest,
    train_generator,
    train_lungs,
    train_masks,
    train_multitask,
    train_patterns,
    train_recipes,
    train_types,
    train_unusual,
    train_views,
    try_,
    why,
)
from dicomnode.cli.output import failure_document, print_failure, print_json
from dicomnode.faults import BUG, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, USAGE, NodeError
from dicomnode.serve import set_up_logging
from dicomnode.settings import LogSettings

# What a wrong use of the command raises. Typer carries its own copy of click since 0.29, and shows of this
# class only a descendant.
_USAGE_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="dicomnode",
    help="Receives DICOM studies, runs an engine on them, and returns SEG and SR to the archive. "
    "Not for clinical use.",
    epilog="EXIT STATUS: 0 done, 1 failed, 2 usage, 3 nothing found, 4 partly, 10 configuration, 11 storage, "
    "12 engine, 13 peer unreachable, 130 interrupted; an unknown code is a failure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (
    demo,
    try_,
    init,
    check,
    serve,
    studies,
    why,
    retry,
    release,
    retract,
    send,
    echo,
    fault,
    synth,
    register,
    evaluate,
    explain,
):
    verb.add_to(app)
export.add_to(app)
app.add_typer(engine.app, name="engine")
feedback.add_to(app)
app.add_typer(train.app, name="train")
train_anomaly.add_to(train.app)
train_features.add_to(train.app)
train_forest.add_to(train.app)
train_generator.add_to(train.app)
train_lungs.add_to(train.app)
train_masks.add_to(train.app)
train_multitask.add_to(train.app)
train_patterns.add_to(train.app)
train_recipes.add_to(train.app)
train_types.add_to(train.app)
train_unusual.add_to(train.app)
train_views.add_to(train.app)
app.add_typer(federate.app, name="federate")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dicomnode {__version__}")
        raise typer.Exit


@app.callback()
def _frame(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""
    del (
        version,
        debug,
    )  # the first ends the command; the second is read in `main`, also when a verb fails early


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of what happened (design: exit codes)."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    set_up_logging(LogSettings(level="debug" if "--debug" in given else "error", format="text"))
    if sys.stdout.isatty():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `dicomnode studies | head` ends quietly
    try:
        sys.exit(_run(given, as_json=as_json))
    except NodeError as error:
        for problem in cast("tuple[object, ...]", error.values.get("problems", ())):
            if not as_json and not isinstance(problem, str):
                sys.stderr.write(f"{problem}\n")
        print_failure(error, as_json=as_json)
        sys.exit(error.fault.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    # The last door: whatever nobody foresaw becomes a sentence, a code, and an exit status
    except Exception as error:  # noqa: BLE001
        if "--debug" in given:
            traceback.print_exc()
        bug = NodeError(BUG, where="the command", error=f"{type(error).__name__}: {error}")
        print_failure(bug, as_json=as_json)
        sys.exit(EXIT_FAILED)


@cache
def _command(first: str) -> Any:
    """Give the command; where a verb is the first word, with that verb alone.

    To read the signatures of all verbs takes as long as what most of them do.
    """
    one = copy(app)
    one.registered_commands = [
        info
        for info in app.registered_commands
        if first in (info.name, getattr(info.callback, "__name__", ""))
    ]
    one.registered_groups = [info for info in app.registered_groups if info.name == first]
    known = one.registered_commands or one.registered_groups
    return typer.main.get_command(one if known else app)


def _run(arguments: list[str], *, as_json: bool) -> int:
    command = _command(next(iter(arguments), ""))
    try:
        result = command.main(args=arguments, prog_name="dicomnode", standalone_mode=False)
    except _USAGE_ERROR as error:
        if as_json:
            print_json(failure_document(NodeError(USAGE, problem=error.format_message().rstrip("."))))
        error.show()  # the message, and which --help to read
        return EXIT_USAGE
    return result if isinstance(result, int) else EXIT_DONE

"""`dicomnode train recipes`: the recipes that ship, and what stands in one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.output import JsonOption, console, print_json, print_table
from dicomnode.faults import EXIT_DONE, RECIPE_UNKNOWN, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.recipes import Shelved

EPILOG = "EXIT STATUS: 0 told, 2 usage, or there is no recipe of that name."


def add_to(train: typer.Typer) -> None:
    """Add the verb to `dicomnode train`."""
    train.command("recipes", epilog=EPILOG)(recipes)


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print the files of this recipe, as they are.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of NAME: the file of this task alone.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Tell which recipes there are for parts of the body: what each learns, from which images and labels.

    `dicomnode train TASK --recipe NAME` takes one. With NAME its files are printed: a head that says for whom
    it is, the commands, what to expect and where it fails; then the settings. A copy can be changed.
    """
    from dicomnode.learn.recipes import shelved

    known = shelved()
    chosen = [one for one in known if name in {None, one.name} and task in {None, one.task}]
    if not chosen:
        names = ", ".join(dict.fromkeys(one.name for one in known))
        wanted = task or "any task"
        raise NodeError(RECIPE_UNKNOWN, name=name or "any part", task=wanted, there=f"There are: {names}")
    if as_json:
        print_json({"schema": 1, "recipes": [_document(one) for one in chosen]})
    elif name is None:
        _print(chosen)
    else:
        sys.stdout.write("\n".join(one.text for one in chosen))
    return EXIT_DONE


def _document(one: Shelved) -> dict[str, Any]:
    return {
        "recipe": one.name,
        "task": one.task,
        "title": one.about.title,
        "images": one.about.images,
        "labels": one.about.labels,
        "why": one.about.why,
        "network": one.network,
        "file": str(one.path),
    }


def _print(chosen: list[Shelved]) -> None:
    """Print a line or two a recipe: what it needs, and why, stands in its head."""
    rows = [(one.name, one.task, one.about.title) for one in chosen]
    print_table("", ("recipe", "task", "learns"), rows)
    console.print(
        "`dicomnode train recipes NAME` prints one: images and labels that it needs, why, and the commands.\n"
        "`dicomnode train TASK --recipe NAME` takes it.",
        markup=False,
    )

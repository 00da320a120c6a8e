"""`dicomnode train generator`: images in, a folder that draws images like them out; it is no engine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import ConfigOption
from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_feedback import DataAsked, FeedbackOption, read_data
from dicomnode.cli.train_keys import key_values
from dicomnode.cli.train_options import (
    DataOption,
    DeviceOption,
    EpochsOption,
    InitOption,
    LabelsOption,
    RecipeOption,
    ResumeOption,
    RunOption,
    SeedOption,
    SetOption,
    SplitOption,
    ThreadsOption,
    TitleOption,
    VersionOption,
)
from dicomnode.cli.train_progress import told_of
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, EXIT_PARTLY, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.learn import Order, TrainedGenerator

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, a recipe or labels that are wrong, images that cannot be "
    "drawn, or a folder that is taken, 3 nothing to learn from, 4 trained, and some studies were left out, "
    "11 the disk is full, 12 torch or MONAI is not installed."
)

_LONGEST: Final = 64  # characters of a title and a version: they stand in headers (LO)


def generator(  # noqa: PLR0917  typer gives each by its name
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the generator; its last part is its name.")
    ],
    column: Annotated[
        str | None,
        typer.Option(
            "--column", help="Column of the table, or concept of reports: it is drawn by these labels."
        ),
    ] = None,
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    resume: ResumeOption = False,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a generator.")] = False,
    init: InitOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn to draw images like those of the data: pictures, or slices of CT or MR (diffusion).

    What comes out draws by `dicomnode synth --generator`; it analyses nothing. Needs: images of at least four
    patients, and many more to be of use. It learns from the training part alone; what it draws is compared
    with all that it has learned from, and its card says so. Images are marked synthetic.
    """
    given = dict(locals())
    asked = DataAsked.of(given)
    _start(out, given)
    from dicomnode.learn import GeneratorJob, read_recipe, train_generator

    flags = {name: given[name] for name in ("epochs", "seed") if given[name] is not None}
    how = read_recipe(recipe, "generator", {**flags, **key_values(sets or ())})
    with bars(quiet=as_json) as progress:
        known, heard = read_data(asked, progress, quiet=as_json)
        job = GeneratorJob.of(how, known, column)
        trained = train_generator(job, known, _order(given, asked), told_of(progress, quiet=as_json))
    document = _document(trained, known) | {"feedback": heard}
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_PARTLY if document["left_out"] or (heard and heard["left_out"]) else EXIT_DONE


def _start(out: Path, given: Mapping[str, Any]) -> None:
    """Refuse at once what would be refused after hours."""
    from dicomnode.learn import require_training
    from dicomnode.learn.generate.generator_package import GENERATOR_FILE
    from dicomnode.settings.keys import NAME

    require_training()
    if not NAME.holds(out.name) or len(out.name) > 64:
        problem = f"--out ends in {out.name!r}, and the name of a generator has {NAME.expected}"
        raise NodeError(USAGE, problem=problem)
    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    for name, text in (("--title", given["title"] or out.name), ("--version", given["version"])):
        if not (text.strip() and text.isprintable() and len(text) <= _LONGEST):
            raise NodeError(USAGE, problem=f"{name} has 1 to {_LONGEST} printable characters")
    if os.path.lexists(out):
        if not given["replace"]:
            raise NodeError(ENGINE_EXISTS, path=out, what="")
        if out.is_symlink() or not (out / GENERATOR_FILE).is_file():
            raise NodeError(ENGINE_EXISTS, path=out, what=", and is no generator that could be replaced")
    require_writable(out.parent)


def _order(given: Mapping[str, Any], asked: DataAsked) -> Order:
    from dicomnode.learn import Order, Title

    out: Path = given["out"]
    words = out.name.replace("-", " ").replace("_", " ")
    title = given["title"] or words[:1].upper() + words[1:]
    return Order(
        out=out,
        run=given["run"] or out.with_name(f"{out.name}.training"),
        split=asked.split(given["split"]),
        title=Title(name=out.name, version=given["version"], title=title),
        made_at=datetime.now(UTC),
        resume=given["resume"],
        init=given["init"],
        device=given["device"],
        threads=given["threads"] or usable_threads(),
    )


def _document(trained: TrainedGenerator, data: LabelledData) -> dict[str, Any]:
    """Return what `--json` prints: counts and figures, no identity."""
    made, facts, learned = trained.generator, trained.facts, trained.learned
    likeness = facts.looked.likeness
    return {
        "schema": 1,
        "generator": made.name,
        "version": made.version,
        "folder": str(made.folder),
        "digest": made.digest,
        "task": "generator",
        "network": trained.job.recipe.net,
        "seed": trained.job.recipe.seed,
        "image": {
            "what": made.form.what,
            "sop_class_uid": made.form.sop_class_uid,
            "modality": made.form.modality,
            "side": made.form.side,
        },
        "column": made.network.column or None,
        "labels": list(made.network.labels),
        "parts": [
            {"part": one.name, "patients": one.patients, "cases": one.cases, "synthetic": one.synthetic}
            for one in facts.parts
        ],
        "images": facts.images,
        "epochs": len(learned.rows),
        "best_epoch": learned.best_epoch,
        "score": {"name": trained.job.score_name, "value": learned.best_score},
        "stopped": learned.stopped or None,
        "device": learned.device,
        "precision": learned.precision,
        "begun_from": None if trained.begun is None else trained.begun.source,
        "discrepancy": {
            "images": likeness.images,
            "held_out": likeness.held_out,
            "drawn": likeness.drawn,
            "training": likeness.training,
            "noise": likeness.noise,
        },
        "copies": {
            "drawn": len(facts.looked.nearest),
            "too_near": facts.too_near,
            "threshold": facts.threshold,
            "nearest": [{"image": one.image, "distance": one.distance} for one in facts.looked.nearest],
        },
        "left_out": [{"code": one.code, "text": one.text} for one in trained.left_out],
        "set_aside": dict(sorted(Counter(one.code for one in data.set_aside).items())),
    }


def _print(document: dict[str, Any]) -> None:
    parts = [(one["part"], one["patients"], one["cases"], one["synthetic"]) for one in document["parts"]]
    print_table("", ("part", "patients", "cases", "synthetic"), parts)
    copies, found = document["copies"], document["discrepancy"]
    rows = [
        ("generator", f"{document['generator']} {document['version']}, in {document['folder']}"),
        ("draws", f"{document['image']['what']}, {document['image']['side']} pixels a side"),
        ("trained", f"{document['epochs']} epochs on {document['device']}, {document['images']} images"),
        ("stopped", document["stopped"] or "after its last epoch"),
        ("copies", f"{copies['too_near']} of {copies['drawn']} drawn are too near to a training image"),
    ]
    print_table("", ("", ""), rows)
    if found["drawn"] is None:
        console.print("Nothing was held out: how good it is, is not known.", markup=False)
    else:
        told = [(what, f"{found[key]:.4f}") for key, what in _COMPARED]
        print_table(
            f"Discrepancy from {found['held_out']} held-out images (0: none)", ("images", "value"), told
        )
    for one in document["left_out"]:
        console.print(f"{one['code']} {one['text']}", markup=False)
    console.print(f"card.md in {document['folder']} tells more. Draw with it:", markup=False)
    console.print(f"  dicomnode synth --generator {document['folder']} --cases 8 --out DIR", markup=False)


_COMPARED: Final = (("training", "of the training part"), ("drawn", "drawn"), ("noise", "noise"))


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("generator", epilog=EPILOG)(generator)

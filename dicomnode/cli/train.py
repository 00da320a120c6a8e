"""`dicomnode train TASK`: labelled studies in, an engine package out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import ConfigOption
from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json
from dicomnode.cli.train_feedback import DataAsked, FeedbackOption, read_data
from dicomnode.cli.train_keys import key_values
from dicomnode.cli.train_options import (
    ColumnOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    FoldsOption,
    FreezeOption,
    InitOption,
    LabelsOption,
    MachineLabelsOption,
    NetworkOption,
    OutOption,
    PreviewOption,
    RecipeOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    SearchOption,
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
    from dicomnode.learn import Job, Order
    from dicomnode.values import Code

EPILOG = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, a recipe or labels that are wrong, or a folder that is "
    "taken, 3 nothing to learn from, 4 trained, and some studies were left out, 11 the disk is full, "
    "12 the network cannot become an engine, or torch or MONAI is not installed."
)
_LONGEST_NAME: Final = 64
_LONGEST_UNIT: Final = 16  # PS3.5 6.2: Code Value is SH
# PS3.16 CID 82: what units of UCUM are called
_UNITS: Final = {
    "1": "no units",
    "a": "year",
    "d": "day",
    "mo": "month",
    "%": "percent",
    "mm": "mm",
    "ml": "ml",
}

app = typer.Typer(
    help="Train a network on labelled studies; it becomes an engine package.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options that all tasks share."""

    data: DataAsked
    out: Path
    run: Path | None
    split: Path | None
    recipe: Path | None
    sets: Sequence[str]
    flags: Mapping[str, Any]
    resume: bool
    replace: bool
    init: Path | None
    freeze: str
    device: str
    threads: int
    title: str | None
    version: str
    preview: Path | None
    search: int
    machine_labels: bool
    as_json: bool


@app.command("segment", epilog=EPILOG)
def segment(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    structure: Annotated[
        list[str] | None,
        typer.Option("--structure", help="Name of what is learned; all that is outlined unless given."),
    ] = None,
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    network: NetworkOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    init: InitOption = None,
    freeze: FreezeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    preview: PreviewOption = None,
    search: SearchOption = 0,
    machine_labels: MachineLabelsOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn to outline what SEG or RTSTRUCT objects beside the images outline.

    Needs: studies with SEG or RTSTRUCT of at least three patients. Studies may know some structures only:
    what nobody has outlined in a study teaches nothing there, unless its SEG has an empty segment of it.
    """
    asked = asked_of(locals())
    start(asked)
    from dicomnode.learn import SegmentJob

    return train_task("segment", asked, lambda how, known: SegmentJob.of(how, known, structure or ()))


@app.command("detect", epilog=EPILOG)
def detect(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    structure: Annotated[
        str | None, typer.Option("--structure", help="Kind of lesion; needed if several are outlined.")
    ] = None,
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    network: NetworkOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    init: InitOption = None,
    freeze: FreezeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    preview: PreviewOption = None,
    search: SearchOption = 0,
    machine_labels: MachineLabelsOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn to find lesions: each with a centre, a size, a score and its voxels.

    Needs: studies with SEG or RTSTRUCT of one kind of lesion, of at least three patients; each connected part
    of an outline is a lesion, and an empty segment says that there is none.
    """
    asked = asked_of(locals())
    start(asked)
    from dicomnode.learn import DetectJob

    wanted = (structure,) if structure else ()
    return train_task("detect", asked, lambda how, known: DetectJob.of(how, known, wanted))


@app.command("classify", epilog=EPILOG)
def classify(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    column: ColumnOption,
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    network: NetworkOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    init: InitOption = None,
    freeze: FreezeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    preview: PreviewOption = None,
    search: SearchOption = 0,
    machine_labels: MachineLabelsOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn to tell classes of whole studies or pictures.

    Needs: a table (--labels) with the column, or reports (SR) with coded answers of that name, for at least
    three patients and two classes. 0, no, normal and the like are the lack of what is looked for.
    """
    asked = asked_of(locals())
    start(asked)
    from dicomnode.learn import ClassifyJob

    return train_task("classify", asked, lambda how, known: ClassifyJob.of(how, known, column))


@app.command("regress", epilog=EPILOG)
def regress(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    column: ColumnOption,
    unit: Annotated[
        str, typer.Option("--unit", help="Its unit in UCUM: a (years), mm, ml, %; 1 for a number without.")
    ] = "1",
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    network: NetworkOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    init: InitOption = None,
    freeze: FreezeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    preview: PreviewOption = None,
    search: SearchOption = 0,
    machine_labels: MachineLabelsOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn to estimate a number of whole studies or pictures.

    Needs: a table (--labels) with the column, or reports (SR) with measurements of that name, for at least
    three patients. What comes out is an SR measurement in the unit.
    """
    asked = asked_of(locals())
    start(asked)
    from dicomnode.learn import RegressJob

    code = _unit(unit)
    return train_task("regress", asked, lambda how, known: RegressJob.of(how, known, column, code))


def _unit(text: str) -> Code:
    """Read a unit of UCUM. Raises NodeError(USAGE)."""
    from dicomnode.values import Code

    if not text.isascii() or not text.isprintable() or " " in text or not 0 < len(text) <= _LONGEST_UNIT:
        problem = f"--unit {text!r} cannot be: a unit of UCUM has 1 to {_LONGEST_UNIT} characters, no spaces"
        raise NodeError(USAGE, problem=problem)
    return Code(text, "UCUM", _UNITS.get(text, text))


def asked_of(given: Mapping[str, Any]) -> _Asked:
    """Gather the options of a task. Raises NodeError(USAGE)."""
    flags = {name: given[name] for name in ("network", "epochs", "seed", "folds") if given[name] is not None}
    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    return _Asked(
        data=DataAsked.of(given),
        out=given["out"],
        run=given["run"],
        split=given["split"],
        recipe=given["recipe"],
        sets=given["sets"] or (),
        flags=flags,
        resume=given["resume"],
        replace=given["replace"],
        init=given["init"],
        freeze=given["freeze"] or "",
        device=given["device"],
        threads=given["threads"] or usable_threads(),
        title=given["title"],
        version=given["version"],
        preview=given["preview"],
        search=given["search"],
        machine_labels=given["machine_labels"],
        as_json=given["as_json"],
    )


def start(asked: _Asked) -> None:
    """Refuse at once what would be refused after hours."""
    from dicomnode.engine.manifest.read import MANIFEST_FILE
    from dicomnode.learn import require_training
    from dicomnode.settings.keys import NAME

    require_training()
    name = asked.out.name
    if not NAME.holds(name) or len(name) > _LONGEST_NAME:
        raise NodeError(
            USAGE, problem=f"--out ends in {name!r}, and the name of an engine has {NAME.expected}"
        )
    if asked.preview is None and os.path.lexists(asked.out):
        if not asked.replace:
            raise NodeError(ENGINE_EXISTS, path=asked.out, what="")
        if asked.out.is_symlink() or not (asked.out / MANIFEST_FILE).is_file():
            raise NodeError(ENGINE_EXISTS, path=asked.out, what=", and is no engine that could be replaced")
    require_writable(asked.out.parent)


def train_task(task: Any, asked: _Asked, job_of: Any) -> int:
    """Read the data, train, and tell what came of it."""
    from dicomnode.cli.train_result import print_trained, train_document
    from dicomnode.learn import read_recipe, search_recipe, train_engine, trusted

    recipe = read_recipe(asked.recipe, task, {**asked.flags, **key_values(asked.sets)})
    with bars(quiet=asked.as_json) as progress:
        known, heard = read_data(asked.data, progress, quiet=asked.as_json)
        data, not_verified = trusted(known, machine_labels=asked.machine_labels)
        job = job_of(recipe, data)
        order = _order(asked)
        if asked.preview is not None:
            return _preview(job, data, order, asked.preview, progress)
        if asked.search:
            best = search_recipe(job, data, order, asked.search, progress)
            job = job_of(best, data)
        trained = train_engine(job, data, order, told_of(progress, quiet=asked.as_json))
    document = train_document(trained, data, not_verified) | {"feedback": heard}
    if asked.as_json:
        print_json(document)
    else:
        print_trained(document)
    lost = (document["left_out"], document["not_judged"], heard and heard["left_out"])
    return EXIT_PARTLY if any(lost) else EXIT_DONE


def _order(asked: _Asked) -> Order:
    from dicomnode.learn import Order, Title

    words = asked.out.name.replace("-", " ").replace("_", " ")
    title = Title(
        name=asked.out.name, version=asked.version, title=asked.title or words[:1].upper() + words[1:]
    )
    return Order(
        out=asked.out,
        run=asked.run or asked.out.with_name(f"{asked.out.name}.training"),
        split=asked.data.split(asked.split),
        title=title,
        made_at=datetime.now(UTC),
        resume=asked.resume,
        init=asked.init,
        freeze=asked.freeze,
        device=asked.device,
        threads=asked.threads,
    )


def _preview(job: Job, data: LabelledData, order: Order, path: Path, progress: Bars) -> int:
    from dicomnode.cli.writing import write_file
    from dicomnode.learn import preview_sheet

    write_file(path, preview_sheet(job, data, order, progress))
    console.print(f"What the network would see is in {path}", markup=False)
    return EXIT_DONE

"""`dicomnode train TASK`: labelled studies in, an engine package out."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    CompareInitOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    FoldsOption,
    FreezeOption,
    InitOption,
    LabelsOption,
    LesionsOption,
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
class Asked:
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
    compare_init: bool
    freeze: str
    device: str
    threads: int
    title: str | None
    version: str
    preview: Path | None
    search: int
    machine_labels: bool
    as_json: bool


def _shared(
    *,
    out: OutOption,
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
    compare_init: CompareInitOption = False,
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
) -> Asked:
    """Gather the options that all tasks share; each of them is declared here alone."""
    return asked_of(locals())


def task(function: Callable[..., int]) -> Callable[..., int]:
    """Make a verb of a function of `Asked` and of options of its own: it gets the shared ones, too.

    --out comes first, then its own, then the others. What would be refused after hours is refused before.
    """
    shared = inspect.signature(_shared, eval_str=True).parameters
    _, *own = inspect.signature(function, eval_str=True).parameters.values()

    @functools.wraps(function)
    def verb(**given: Any) -> int:
        asked = _shared(**{name: given.pop(name) for name in shared})
        start(asked)
        return function(asked, **given)

    out, *others = shared.values()
    options = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (out, *own, *others)]
    verb.__signature__ = inspect.Signature(options, return_annotation=int)  # type: ignore[attr-defined]
    verb.__annotations__ = {one.name: one.annotation for one in options} | {"return": int}
    return verb


@app.command("segment", epilog=EPILOG)
@task
def segment(
    asked: Asked,
    structure: Annotated[
        list[str] | None,
        typer.Option("--structure", help="Name of what is learned; all that is outlined unless given."),
    ] = None,
) -> int:
    """Learn to outline what SEG or RTSTRUCT objects beside the images outline.

    Needs: studies with SEG or RTSTRUCT of at least three patients. Studies may know some structures only:
    what nobody has outlined in a study teaches nothing there, unless its SEG has an empty segment of it.
    """
    from dicomnode.learn import SegmentJob

    return train_task("segment", asked, lambda how, known: SegmentJob.of(how, known, structure or ()))


@app.command("detect", epilog=EPILOG)
@task
def detect(
    asked: Asked,
    structure: Annotated[
        str | None, typer.Option("--structure", help="Kind of lesion; needed where there are several.")
    ] = None,
    lesions: LesionsOption = None,
) -> int:
    """Learn to find lesions in volumes or pictures: each with a centre, a score, and voxels where it can.

    Needs: one kind of lesion in at least three patients. Outlines (SEG, RTSTRUCT), of which each connected
    part is a lesion; points, boxes, circles and ellipses of reports (SR); or rows of a table (--lesions). An
    empty segment, a coded answer, and a row without a place say that there is none.
    """
    from dicomnode.learn import DetectJob

    wanted = (structure,) if structure else ()
    if lesions is not None:
        named = structure or "lesion"
        asked = replace(asked, data=replace(asked.data, lesions=lesions, lesions_are=named))
    return train_task("detect", asked, lambda how, known: DetectJob.of(how, known, wanted))


@app.command("classify", epilog=EPILOG)
@task
def classify(asked: Asked, column: ColumnOption) -> int:
    """Learn to tell classes of whole studies or pictures.

    Needs: a table (--labels) with the column, or reports (SR) with coded answers of that name, for at least
    three patients and two classes. 0, no, normal and the like are the lack of what is looked for.
    """
    from dicomnode.learn import ClassifyJob

    return train_task("classify", asked, lambda how, known: ClassifyJob.of(how, known, column))


@app.command("regress", epilog=EPILOG)
@task
def regress(
    asked: Asked,
    column: ColumnOption,
    unit: Annotated[
        str, typer.Option("--unit", help="Its unit in UCUM: a (years), mm, ml, %; 1 for a number without.")
    ] = "1",
) -> int:
    """Learn to estimate a number of whole studies or pictures.

    Needs: a table (--labels) with the column, or reports (SR) with measurements of that name, for at least
    three patients. What comes out is an SR measurement in the unit.
    """
    from dicomnode.learn import RegressJob

    code = unit_of("--unit", unit)
    return train_task("regress", asked, lambda how, known: RegressJob.of(how, known, column, code))


def unit_of(option: str, text: str) -> Code:
    """Read a unit of UCUM. option: that it was given by. Raises NodeError(USAGE)."""
    from dicomnode.values import Code

    if not text.isascii() or not text.isprintable() or " " in text or not 0 < len(text) <= _LONGEST_UNIT:
        problem = (
            f"{option} {text!r} cannot be: a unit of UCUM has 1 to {_LONGEST_UNIT} characters, no spaces"
        )
        raise NodeError(USAGE, problem=problem)
    return Code(text, "UCUM", _UNITS.get(text, text))


def asked_of(given: Mapping[str, Any]) -> Asked:
    """Gather the options of a task. Raises NodeError(USAGE)."""
    flags = {name: given[name] for name in ("network", "epochs", "seed", "folds") if given[name] is not None}
    compare_init = given["compare_init"]
    if compare_init and given["init"] is None:
        raise NodeError(USAGE, problem="--compare-init compares with and without --init, which is not given")
    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    return Asked(
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
        compare_init=compare_init,
        device=given["device"],
        threads=given["threads"] or usable_threads(),
        title=given["title"],
        version=given["version"],
        preview=given["preview"],
        search=given["search"],
        machine_labels=given["machine_labels"],
        as_json=given["as_json"],
    )


def start(asked: Asked) -> None:
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


def train_task(task: Any, asked: Asked, job_of: Any) -> int:
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


def _order(asked: Asked) -> Order:
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
        compare_init=asked.compare_init,
        device=asked.device,
        threads=asked.threads,
    )


def _preview(job: Job, data: LabelledData, order: Order, path: Path, progress: Bars) -> int:
    from dicomnode.cli.writing import write_file
    from dicomnode.learn import preview_sheet

    write_file(path, preview_sheet(job, data, order, progress))
    console.print(f"What the network would see is in {path}", markup=False)
    return EXIT_DONE

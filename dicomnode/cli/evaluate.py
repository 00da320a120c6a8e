"""`dicomnode evaluate ENGINE --data DIR`: an engine on labelled studies, and one honest report."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode import __version__
from dicomnode.cli.engine_named import named_engine, usual_settings
from dicomnode.cli.options import ConfigOption, threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY, PART_EMPTY, SPLIT_WRONG, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.evaluate.dataset import DataSetLook
    from dicomnode.evaluate.evaluation import Evaluation
    from dicomnode.evaluate.intervals import Resampling
    from dicomnode.evaluate.running import Evaluated, Judging
    from dicomnode.settings import Settings

EPILOG = (
    "EXIT STATUS: 0 every study was answered and judged, 1 the labels, the split or --out are wrong, 2 "
    "usage, 3 no DICOM in DIR, no study of the part, no label that answers the engine, or (--site) no study "
    "yet, 4 judged, but some studies have no answer, 10 configuration, 11 a file or the journal cannot be "
    "read, 12 an engine does not load."
)

EngineArgument = Annotated[
    str | None, typer.Argument(metavar="ENGINE", help="Name of an engine, or folder of a package.")
]
DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data", metavar="DIR", help="Labelled studies: images with SEG, RTSTRUCT, SR.", exists=True
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE.csv", help="Labels; keys are UIDs, accessions or files."),
]
CompareOption = Annotated[
    str | None, typer.Option("--compare", metavar="OTHER", help="Another engine on the same studies.")
]
PartOption = Annotated[
    str, typer.Option("--part", help="Part of the kept split: train, validation, test; default all.")
]
SplitOption = Annotated[
    Path | None, typer.Option("--split", metavar="FILE", help="The kept split; default DIR/split.json.")
]
MatchOption = Annotated[
    list[str] | None,
    typer.Option("--match", metavar="OUTPUT=LABEL", help="What answers an output: a segment, a column."),
]
MachineLabelsOption = Annotated[
    bool, typer.Option("--machine-labels", help="Take what machines made and nobody verified as true.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder for evaluation.json and report.html.")]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=100, help="Draws of the bootstrap of intervals.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Equal seeds draw equal patients.")]
LookOption = Annotated[
    bool,
    typer.Option(
        "--look", help="With --out: what the data look like, outliers, near doubles, doubted labels."
    ),
]
MatrixOption = Annotated[
    Path | None,
    typer.Option("--matrix", metavar="FILE.json", help="Judge the confusion matrix of others instead."),
]

SiteOption = Annotated[
    str | None,
    typer.Option("--site", metavar="NAME", help="Instead: how this engine of the node fares at this site."),
]
FirstOption = Annotated[int, typer.Option("--first", min=1, help="With --site: of so many studies.")]


def evaluate(  # noqa: PLR0917  typer gives each by its name
    engine: EngineArgument = None,
    data: DataOption = None,
    labels: LabelsOption = None,
    compare: CompareOption = None,
    part: PartOption = "",
    split: SplitOption = None,
    match: MatchOption = None,
    machine_labels: MachineLabelsOption = False,
    out: OutOption = None,
    resamples: ResamplesOption = 2000,
    seed: SeedOption = 0,
    look: LookOption = False,
    matrix: MatrixOption = None,
    site: SiteOption = None,
    first: FirstOption = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run an engine on labelled studies and say how good it is: intervals by patient, worst cases, warnings.

    The truth is matched with the engine's outputs by code, else by label. A study without a truth is not a
    negative one. What could not be analysed is counted and named. --site tells of an engine of the configured
    node, in shadow or live, what the journal knows: how many studies, refusals, times, findings, answers.
    """
    from dicomnode.cli.evaluated import print_matrix
    from dicomnode.evaluate.intervals import Resampling

    if matrix is not None:
        return print_matrix(matrix, as_json=as_json)
    if site is not None:
        from dicomnode.cli.evaluate_site import evaluate_site

        return evaluate_site(site, first, config, out, as_json=as_json)
    if engine is None or not data:
        raise NodeError(USAGE, problem="An ENGINE and --data DIR are needed, or --matrix, or --site")
    if look and out is None:
        raise NodeError(USAGE, problem="--look needs --out: it stands on the page")
    if out is not None:
        require_writable(out)
    settings = usual_settings(config)
    packages = [_package(name, settings) for name in (engine, compare) if name is not None]
    said = [_said(package, match or [], first=n == 0) for n, package in enumerate(packages)]
    with bars(quiet=as_json) as progress:
        known, parts = _data(data, labels, part, split, progress)
        how = _how(part, parts, Resampling(resamples=resamples, seed=seed), machine_labels=machine_labels)
        evaluated = [
            _judged(package, known, replace(how, said=words), settings, progress)
            for package, words in zip(packages, said, strict=True)
        ]
        evaluation = _compared(evaluated, how)
        if out is not None:
            seen = _look(known, evaluation, seed, progress) if look else None
            _write(evaluation, evaluated[0], seen, out, progress)
    return _told(evaluation, out, as_json=as_json)


def _how(
    part: str, parts: tuple[tuple[str, int], ...], resampling: Resampling, *, machine_labels: bool
) -> Judging:
    from dicomnode.evaluate.running import Judging

    return Judging(
        machine_labels=machine_labels,
        resampling=resampling,
        part=part,
        parts=parts,
        node_version=__version__,
        made_at=datetime.now(UTC).astimezone(),
    )


def _told(evaluation: Evaluation, out: Path | None, *, as_json: bool) -> int:
    """Print the evaluation; return the exit status."""
    from dicomnode.cli.evaluated import print_evaluation

    if as_json:
        print_json(evaluation.to_document())
    else:
        print_evaluation(evaluation)
        if out is not None:
            console.print(f"The report lies in {out / 'report.html'}", markup=False)
    return _status(evaluation)


def _package(name: str, settings: Settings | None) -> EnginePackage:
    """Load an engine by its name, or the package of a folder."""
    from dicomnode.engine import load_package

    folder = Path(name)
    return load_package(folder) if folder.is_dir() else named_engine(name, None, settings)


def _said(package: EnginePackage, texts: list[str], *, first: bool) -> dict[str, tuple[str, ...]]:
    """Read the counterparts that are said by hand; the second engine need not have all outputs."""
    from dicomnode.evaluate.truth import said_counterparts

    return said_counterparts(texts, package.manifest, others_too=not first)


def _data(
    data: list[Path], labels: Path | None, part: str, split: Path | None, progress: Bars
) -> tuple[LabelledData, tuple[tuple[str, int], ...]]:
    """Read the studies, those of one part where that is asked; with how many studies each part has.

    Raises NodeError: USAGE, SPLIT_WRONG, SPLIT_LEAKS, PART_EMPTY, and as `read_labelled`.
    """
    from dicomnode.assemble import DecoderLimits, DecoderPool
    from dicomnode.evaluate.data import Part, check_leaks, kept_split, read_labelled, strata_of

    known = read_labelled(data, labels, progress)
    if not part and split is None:
        return known, _kept_beside(data, known)
    if part and part not in list(Part):
        raise NodeError(USAGE, problem=f"--part takes {', '.join(Part)}, not {part!r}")
    path = split or data[0] / "split.json"
    if not path.is_file():
        raise NodeError(SPLIT_WRONG, path=path, problem="there is no such file (training makes it)")
    drawn = kept_split(path, strata_of(known.studies))
    parts = {one: drawn.of(one, known.studies) for one in Part}
    with DecoderPool(DecoderLimits()) as decode:
        check_leaks({str(one): studies for one, studies in parts.items()}, decode, progress)
    counts = tuple((str(one), len(studies)) for one, studies in parts.items())
    if not part:
        return known, counts
    chosen = known.only(drawn.patients(Part(part)))
    if not chosen.studies:
        raise NodeError(PART_EMPTY, part=part)
    return chosen, counts


def _kept_beside(data: list[Path], known: LabelledData) -> tuple[tuple[str, int], ...]:
    """Return how many studies each part of a split has that lies with the data, () without one."""
    from dicomnode.evaluate.data import Part, load_split

    for path in (folder / "split.json" for folder in data):
        if path.is_file():
            drawn = load_split(path)
            return tuple((str(one), len(drawn.of(one, known.studies))) for one in Part)
    return ()


def _judged(
    package: EnginePackage, data: LabelledData, how: Judging, settings: Settings | None, progress: Bars
) -> Evaluated:
    from dicomnode.assemble import DecoderLimits
    from dicomnode.engine import RuntimeWish, wish_of
    from dicomnode.evaluate.running import judge
    from dicomnode.serve import Answering, AnsweringPlan, Occasion, decoder_limits

    made_at = how.made_at or datetime.now(UTC)
    plan = AnsweringPlan(
        threads=(settings.analyse.threads if settings is not None else 0) or threads(),
        # The salt is new each time: no result of an evaluation can be taken for one of an installation
        occasion=Occasion(study_version=1, made_at=made_at, salt=os.urandom(32)),
        wish=RuntimeWish() if settings is None else wish_of(settings, package.manifest.name),
        decoding=DecoderLimits() if settings is None else decoder_limits(settings.assemble),
    )
    with Answering(package, plan) as answering:
        return judge(data, answering, how, progress)


def _compared(evaluated: list[Evaluated], how: Judging) -> Evaluation:
    from dicomnode.evaluate.running import compare

    first = evaluated[0].evaluation
    if len(evaluated) == 1:
        return first
    return compare(first, evaluated[1].evaluation, how.resampling)


def _look(known: LabelledData, evaluation: Evaluation, seed: int, progress: Bars) -> DataSetLook:
    """Look at the data set; what the first question with classes took for the truth is doubted."""
    from dicomnode.evaluate.dataset import answer_labels, look_at_studies

    labels = answer_labels(evaluation.classifications[0]) if evaluation.classifications else None
    return look_at_studies(known, labels, seed, progress=progress)


def _write(
    evaluation: Evaluation, evaluated: Evaluated, look: DataSetLook | None, out: Path, progress: Bars
) -> None:
    """Write the page and the JSON, each whole or not at all. Raises NodeError(FILE_NOT_WRITTEN)."""
    from dicomnode.assemble import DecoderLimits, DecoderPool
    from dicomnode.evaluate.page import report_html
    from dicomnode.evaluate.running import worst_pictures

    with DecoderPool(DecoderLimits()) as decode:
        pictures = list(worst_pictures(evaluated, decode=decode, progress=progress))
    write_file(out / "report.html", report_html(evaluation, pictures, look).encode())
    _write_json(out / "evaluation.json", evaluation.to_document())
    if look is not None:
        from dicomnode.evaluate.dataset import look_document

        _write_json(out / "dataset.json", look_document(look))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, (text + "\n").encode())


def _status(evaluation: Evaluation) -> int:
    from dicomnode.evaluate.evaluation import RunState

    unanswered = len(evaluation.runs) - evaluation.count(RunState.ANALYSED)
    return EXIT_PARTLY if unanswered else EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate", epilog=EPILOG)(evaluate)

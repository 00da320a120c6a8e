"""`dicomnode evaluate ENGINE --data DIR`: an engine on labelled studies, and one honest report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode import __version__
from dicomnode.cli.engine_named import usual_settings
from dicomnode.cli.evaluate_run import (
    Run,
    columns_of,
    compared,
    in_company,
    judged,
    looked_at,
    package_named,
    watching_if,
)
from dicomnode.cli.evaluated import told, write_evaluation
from dicomnode.cli.options import ConfigOption
from dicomnode.cli.output import Bars, JsonOption, bars
from dicomnode.cli.writing import require_writable
from dicomnode.faults import (
    PART_EMPTY,
    SPLIT_WRONG,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.evaluate.intervals import Resampling
    from dicomnode.evaluate.running import Judging

EPILOG = (
    "EXIT STATUS: 0 every study was answered and judged, 1 the labels, the split or --out are wrong, 2 "
    "usage, 3 no DICOM in DIR, no study of the part, no label that answers the engine, (--readers) no two "
    "readers, or (--site) no study yet, 4 judged, but some studies have no answer, 10 configuration, 11 a "
    "file or the journal cannot be read, 12 an engine does not load."
)

_ALONE = "--matrix, --site and an ENGINE with --data are three things: one at a time"
_PEOPLE = (
    "--readers compares people: leave the ENGINE out; with one, readers of the data stand beside it anyway"
)
_ITSELF = "--compare names the engine itself: there is nothing to compare"

_NEEDED = "An ENGINE and --data DIR are needed, or --readers without an ENGINE, or --matrix, or --site"

_OF_READERS = "--readers takes --data, --labels, --reader-columns, --order and --machine-labels alone"

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
LesionsOption = Annotated[
    Path | None,
    typer.Option(
        "--lesions",
        metavar="FILE.csv",
        help="Lesions, a row each: seriesuid, coordX, coordY, coordZ, diameter_mm; of pictures column, row.",
    ),
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

ReadersOption = Annotated[
    bool,
    typer.Option("--readers", help="Instead: how far those who labelled the data agree among themselves."),
]
ReaderColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reader-columns",
        metavar="[NAME=]A,B",
        help="Columns of --labels, one for each reader; NAME is an output of ENGINE, where one is judged.",
    ),
]
OrderOption = Annotated[
    str,
    typer.Option("--order", metavar="LABEL,LABEL", help="With --readers: labels from the least to the most."),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features", metavar="ENGINE", help="With --look: by the features of this engine, not of greys."
    ),
]
SiteOption = Annotated[
    str | None,
    typer.Option("--site", metavar="NAME", help="Instead: how this engine of the node fares at this site."),
]
FIRST = 100
FirstOption = Annotated[int, typer.Option("--first", min=1, help="With --site: of so many studies.")]


def evaluate(  # noqa: PLR0917  typer gives each by its name
    engine: EngineArgument = None,
    data: DataOption = None,
    labels: LabelsOption = None,
    lesions: LesionsOption = None,
    compare: CompareOption = None,
    part: PartOption = "",
    split: SplitOption = None,
    match: MatchOption = None,
    machine_labels: MachineLabelsOption = False,
    out: OutOption = None,
    resamples: ResamplesOption = 2000,
    seed: SeedOption = 0,
    look: LookOption = False,
    features: FeaturesOption = None,
    matrix: MatrixOption = None,
    readers: ReadersOption = False,
    reader_columns: ReaderColumnsOption = None,
    order: OrderOption = "",
    site: SiteOption = None,
    first: FirstOption = FIRST,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run an engine on labelled studies and say how good it is: intervals by patient, worst cases, warnings.

    The truth is matched with the engine's outputs by code, else by label. A study without a truth is not a
    negative one. What could not be analysed is counted and named. --site tells of an engine of the configured
    node, in shadow or live, what the journal knows: how many studies, refusals, times, findings, answers.
    --readers compares people: columns of a table, and SEG, RTSTRUCT and SR of different authors. Where an
    ENGINE is judged on data of several readers, the report sets it beside them. Nobody is named.
    """
    from dicomnode.evaluate.intervals import Resampling

    asked = _Asked.of(locals())
    _must_make_sense(asked, order=order, readers=readers)
    _must_be_one_thing(asked, matrix, site, first, readers=readers)
    resampling = Resampling(resamples=resamples, seed=seed)
    if matrix is not None:
        from dicomnode.cli.evaluate_matrix import evaluate_matrix

        return evaluate_matrix(matrix, out, resampling, as_json=as_json)
    if site is not None:
        from dicomnode.cli.evaluate_site import evaluate_site

        return evaluate_site(site, first, config, out, as_json=as_json)
    if not data or (engine is None and not readers):
        raise NodeError(USAGE, problem=_NEEDED)
    if engine is None:
        return _of_readers(asked, order, resampling)
    return _of_engine(asked, engine, resampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of the verb that speak of labelled studies."""

    engine: str | None
    data: list[Path] | None
    labels: Path | None
    lesions: Path | None
    compare: str | None
    part: str
    split: Path | None
    match: list[str] | None
    machine_labels: bool
    out: Path | None
    seed: int
    look: bool
    features: str | None
    reader_columns: list[str] | None
    config: Path | None
    as_json: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> _Asked:
        """Take the options of the verb by their names."""
        return cls(**{one.name: given[one.name] for one in fields(cls)})


def _must_make_sense(asked: _Asked, *, order: str, readers: bool) -> None:
    """Raise NodeError(USAGE) where options do not go together: none is passed over in silence."""
    of_an_engine = asked.compare or asked.part or asked.split or asked.match or asked.look or asked.lesions
    for wrong, problem in (
        (asked.look and asked.out is None, "--look needs --out: it stands on the page"),
        (asked.features and not asked.look, "--features is what --look goes by"),
        (order and not readers, "--order is the order of what --readers compares"),
        (asked.reader_columns and asked.labels is None, "--reader-columns needs --labels FILE.csv"),
        (readers and asked.engine is None and of_an_engine, _OF_READERS),
    ):
        if wrong:
            raise NodeError(USAGE, problem=problem)


def _must_be_one_thing(
    asked: _Asked, matrix: Path | None, site: str | None, first: int, *, readers: bool
) -> None:
    """Raise NodeError(USAGE) where two things are asked for at once: one would be passed over in silence."""
    kept = {"out", "seed", "config", "as_json"}
    of_studies = readers or any(getattr(asked, one.name) for one in fields(asked) if one.name not in kept)
    for wrong, problem in (
        (of_studies + (matrix is not None) + (site is not None) > 1, _ALONE),
        (first != FIRST and site is None, "--first is of --site"),
        (readers and asked.engine is not None, _PEOPLE),
    ):
        if wrong:
            raise NodeError(USAGE, problem=problem)


def _of_readers(asked: _Asked, order: str, resampling: Resampling) -> int:
    """Compare people."""
    from dicomnode.cli.evaluate_readers import ReadersAsked, evaluate_readers

    people = ReadersAsked(
        data=tuple(asked.data or ()),
        labels=asked.labels,
        columns=tuple(asked.reader_columns or ()),
        order=order,
        machine_labels=asked.machine_labels,
    )
    return evaluate_readers(people, resampling, asked.out, as_json=asked.as_json)


def _of_engine(asked: _Asked, engine: str, resampling: Resampling) -> int:
    """Judge an engine, and another one beside it; write and print what came of it."""
    out, data = asked.out, asked.data or []
    if out is not None:
        require_writable(out)
    settings = usual_settings(asked.config)
    packages = [package_named(name, settings) for name in (engine, asked.compare) if name is not None]
    if len({one.digest for one in packages}) < len(packages):
        raise NodeError(USAGE, problem=_ITSELF)
    said = [_said(package, asked.match or [], first=n == 0) for n, package in enumerate(packages)]
    with bars(quiet=asked.as_json) as progress:
        known, parts = _data(data, asked.labels, asked.part, asked.split, progress)
        known = known if asked.lesions is None else _with_lesions(known, asked.lesions, packages[0], data)
        how = _how(asked.part, parts, resampling, machine_labels=asked.machine_labels)
        columns = columns_of(asked.reader_columns, known, packages[0])
        run = Run(data=known, settings=settings, progress=progress)
        watching = watching_if(look=asked.look)
        evaluated = [
            judged(package, run, replace(how, said=words), watching if n == 0 else None)
            for n, (package, words) in enumerate(zip(packages, said, strict=True))
        ]
        evaluated[0] = in_company(evaluated[0], run, packages[0], columns, replace(how, said=said[0]))
        evaluation = compared(evaluated, columns, how)
        if out is not None:
            look = None
            if watching is not None:
                look = looked_at(run, evaluation, asked.seed, watching, asked.features)
            write_evaluation(evaluation, evaluated[0], look, out, progress)
    return told(evaluation, out, as_json=asked.as_json)


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
    from dicomnode.evaluate.data import Part, check_leaks, kept_split, numbered, read_labelled, strata_of

    known = read_labelled(data, labels, progress)
    if not part and split is None:
        return numbered(known), _kept_beside(data, known)
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
        return numbered(known), counts
    chosen = known.only(drawn.patients(Part(part)))
    if not chosen.studies:
        raise NodeError(PART_EMPTY, part=part)
    return numbered(chosen, among=known), counts


def _with_lesions(
    known: LabelledData, lesions: Path, package: EnginePackage, data: list[Path]
) -> LabelledData:
    """Add the lesions of a table, which are of the only kind that the engine looks for unless they say."""
    from dicomnode.evaluate.data import with_lesions
    from dicomnode.evaluate.truth import wanted_outputs

    labels = [one.label for one in wanted_outputs(package.manifest, {}) if one.is_lesion]
    return with_lesions(known, lesions, list(dict.fromkeys(labels)), data)


def _kept_beside(data: list[Path], known: LabelledData) -> tuple[tuple[str, int], ...]:
    """Return how many studies each part of a split has that lies with the data, () without one."""
    from dicomnode.evaluate.data import Part, load_split

    for path in (folder / "split.json" for folder in data):
        if path.is_file():
            drawn = load_split(path)
            return tuple((str(one), len(drawn.of(one, known.studies))) for one in Part)
    return ()


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate", epilog=EPILOG)(evaluate)

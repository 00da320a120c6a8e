"""`dicomnode train heads`: heads on a table of features, compared; the best one becomes an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from dicomnode.cli.options import ConfigOption
from dicomnode.cli.output import Bars, JsonOption, bars, print_json
from dicomnode.cli.train_features import named_package
from dicomnode.cli.train_heads_result import (
    Place,
    Rows,
    best_detector,
    detectors_document,
    heads_document,
    print_heads,
    rows_of_detectors,
    rows_of_heads,
)
from dicomnode.faults import EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate import Resampling
    from dicomnode.learn.heads import Search

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 a folder cannot be written, or a class is in too few patients, 2 usage, or a "
    "table or column that cannot be learnt, 12 the head cannot become ONNX, or differs from scikit-learn's."
)


TableArgument = Annotated[
    Path, typer.Argument(metavar="TABLE", help="Table of `train features`: .csv or .json.", exists=True)
]
LabelOption = Annotated[str, typer.Option("--label", metavar="COLUMN", help="Label that is learnt.")]
PositiveOption = Annotated[
    str | None, typer.Option("--positive", help="Of two classes, the one that is looked for.")
]
NormalOption = Annotated[
    str | None,
    typer.Option("--normal", help="Learn this class alone, and tell what is not like it (anomaly)."),
]
HeadsOption = Annotated[
    str, typer.Option("--heads", metavar="NAME,…", help="Heads to try; default: all of them.")
]
HeadOption = Annotated[
    str | None, typer.Option("--head", help="The one that becomes an engine; default: the best one.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the engine; without --engine, of the head alone."),
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Engine that the features are of: the head goes behind it.")
]
PathOption = Annotated[
    Path | None, typer.Option("--engine-path", metavar="DIR", help="Folder of that engine.")
]
BesideOption = Annotated[
    list[str] | None,
    typer.Option("--beside", metavar="NAME=FILE.csv", help="Scores of a network on the same cases."),
]
SplitOption = Annotated[
    Path | None,
    typer.Option("--split", metavar="FILE", help="Who is kept apart for a test; made if missing."),
]
CodeOption = Annotated[
    list[str] | None,
    typer.Option("--code", metavar="CLASS=SCHEME,CODE,MEANING", help="What a class is, as a code."),
]
FoldsOption = Annotated[int, typer.Option("--folds", min=2, help="Parts that are judged.")]
InnerOption = Annotated[int, typer.Option("--inner", min=2, help="Parts that parameters are chosen on.")]
Method = Literal["grid", "halving"]
SearchOption = Annotated[Method, typer.Option("--search", help="grid, or halving for large tables.")]
TreesOption = Annotated[int, typer.Option("--trees", min=2, help="Trees of a forest.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal heads.")]
ResamplesOption = Annotated[int, typer.Option("--resamples", min=100, help="Of the intervals.")]
QuantileOption = Annotated[
    float, typer.Option("--quantile", help="Of --normal: so large a part of the normal cases is normal.")
]
TitleOption = Annotated[str, typer.Option("--title", help="What people read of the engine.")]
VersionOption = Annotated[str, typer.Option("--version", help="Version of the engine.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Put it in the place of an engine.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of both kinds of training. names: heads to try; head: the one that becomes an engine."""

    table: Path
    label: str
    names: tuple[str, ...]
    head: str | None
    place: Place
    search: Search
    resampling: Resampling


def heads(  # noqa: PLR0917  typer gives each by its name
    table: TableArgument,
    label: LabelOption,
    positive: PositiveOption = None,
    normal: NormalOption = None,
    names: HeadsOption = "",
    head: HeadOption = None,
    out: OutOption = None,
    engine: EngineOption = None,
    engine_path: PathOption = None,
    beside: BesideOption = None,
    split: SplitOption = None,
    code: CodeOption = None,
    folds: FoldsOption = 5,
    inner: InnerOption = 3,
    search: SearchOption = "grid",
    trees: TreesOption = 200,
    seed: SeedOption = 0,
    resamples: ResamplesOption = 2000,
    quantile: QuantileOption = 0.95,
    title: TitleOption = "",
    version: VersionOption = "1.0.0",
    replace: ReplaceOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train classical heads on features, judge them on the same cases, and make the best one an engine.

    Logistic regression, support vector machine, tree, forest, gradient boosting, voting, stacking: judged by
    nested cross-validation in which no patient is on both sides. With --normal: isolation forest and local
    outlier factor. The ONNX of the head must give what scikit-learn gives, to 1e-5.
    """
    package = named_package(engine, engine_path, config)
    codes, title = _codes(code or []), title or f"{label.replace('_', ' ')}, from features"
    place = Place(
        out=out, package=package, title=title, version=version, codes=codes, replace=replace, column=label
    )
    place.require_free()
    asked = _Asked(
        table=table,
        label=label,
        names=tuple(one.strip() for one in names.split(",") if one.strip()),
        head=head,
        place=place,
        search=_search(folds, inner, search, trees, seed),
        resampling=_resampling(resamples, seed),
    )
    with bars(quiet=as_json) as progress:
        if normal is not None:
            document, rows = _detectors(asked, normal, quantile)
        else:
            document, rows = _classes(asked, (positive, split, beside or []), progress)
    return _told(document, rows, as_json=as_json)


def _search(folds: int, inner: int, method: Method, trees: int, seed: int) -> Search:
    """Read how heads are trained. Raises NodeError(USAGE)."""
    from dicomnode.learn.heads import Search

    if inner > folds:
        raise NodeError(USAGE, problem="--inner is at most --folds")
    return Search(folds=folds, inner=inner, method=method, trees=trees, seed=seed)


def _resampling(resamples: int, seed: int) -> Resampling:
    from dicomnode.evaluate import Resampling

    return Resampling(resamples=resamples, seed=seed)


def _told(document: dict[str, Any], rows: Rows, *, as_json: bool) -> int:
    if as_json:
        print_json(document)
    else:
        print_heads(document, rows)
    return EXIT_DONE


def _classes(
    asked: _Asked, of_classes: tuple[str | None, Path | None, list[str]], progress: Bars
) -> tuple[dict[str, Any], Rows]:
    """Train heads of classes; return the JSON and the table of them."""
    from dicomnode.learn.features import read_table
    from dicomnode.learn.heads import (
        HEADS,
        HeadsPlan,
        card_of_head,
        cases_of,
        draft_with_head,
        read_scores,
        train_heads,
    )

    positive, split, beside = of_classes
    kinds = _kinds(HEADS, asked)
    table = read_table(asked.table)
    cases = cases_of(table, asked.label, asked.table, positive)
    asked.place.require_classes(cases.classes)
    plan = HeadsPlan(
        kinds=kinds,
        search=asked.search,
        chosen=asked.head,
        split=split,
        resampling=asked.resampling,
    )
    others = [read_scores(file, name, cases) for name, file in map(_pair, beside)]
    trained = train_heads(cases, plan, others, progress)
    card = card_of_head(asked.place.title, table, trained, asked.search)
    document = heads_document(trained, asked.search)
    draft = None
    if asked.place.makes_engine and asked.place.package is not None:
        wanted = asked.place.wanted(card)
        draft = draft_with_head(asked.place.package, table, cases, trained.head, wanted)
    written = asked.place.write(draft, trained.head.content, card, document)
    return document | {"out": written}, rows_of_heads(trained)


def _detectors(asked: _Asked, normal: str, quantile: float) -> tuple[dict[str, Any], Rows]:
    """Train detectors of what is not normal; return the JSON and the table of them."""
    from dicomnode.learn.features import read_table
    from dicomnode.learn.heads import (
        DETECTORS,
        card_of_detector,
        cases_of,
        draft_with_detector,
        export_head,
        train_detector,
    )

    if not 0 < quantile < 1:
        raise NodeError(USAGE, problem="--quantile is between 0 and 1")
    kinds = _kinds(DETECTORS, asked)
    table = read_table(asked.table)
    cases = cases_of(table, asked.label, asked.table, least=1)
    found = {
        kind.name: train_detector(
            kind, cases, normal, asked.search, quantile=quantile, resampling=asked.resampling
        )
        for kind in kinds
    }
    name = asked.head or best_detector(found)
    exported = export_head(name, found[name].model, cases.values, "anomaly")
    card = card_of_detector(asked.place.title, table, cases, found[name], exported)
    document = detectors_document(found, exported, normal)
    draft = None
    if asked.place.makes_engine and asked.place.package is not None:
        wanted = asked.place.wanted(card)
        draft = draft_with_detector(asked.place.package, table, found[name], exported, wanted)
    written = asked.place.write(draft, exported.content, card, document)
    return document | {"out": written}, rows_of_detectors(found)


def _kinds(known: Mapping[str, Any], asked: _Asked) -> list[Any]:
    """Return the heads that are to be tried. Raises NodeError(USAGE)."""
    wanted = list(asked.names) or list(known)
    for name in (*wanted, *([asked.head] if asked.head else [])):
        if name not in known or (asked.head == name and name not in wanted):
            raise NodeError(USAGE, problem=f"There is no head {name!r} here; heads are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]


def _pair(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or not name.strip() or not file.strip():
        raise NodeError(USAGE, problem=f"--beside {text!r} is not of the form NAME=FILE.csv")
    return name.strip(), Path(file.strip())


def _codes(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read codes of classes. Raises NodeError(USAGE)."""
    found = {}
    for text in texts:
        name, equals, code = text.partition("=")
        parts = [part.strip() for part in code.split(",", 2)]
        if not equals or len(parts) != 3 or not all(parts) or not name.strip():
            raise NodeError(USAGE, problem=f"--code {text!r} is not of the form CLASS=SCHEME,CODE,MEANING")
        found[name.strip()] = {"scheme": parts[0], "code": parts[1], "meaning": parts[2]}
    return found

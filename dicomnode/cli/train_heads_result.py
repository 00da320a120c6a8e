"""What `dicomnode train heads` writes and prints: the folder, its JSON, and the table of all heads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from dicomnode.cli.output import console, print_table
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import ENGINE_EXISTS, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import Draft, EnginePackage
    from dicomnode.learn.heads import AnomalyHead, ExportedHead, Search, TrainedHeads, Wanted

Rows = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Columns and rows of a table."""

_RESULT: Final = "heads.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a head goes. package: the engine that it goes behind; None: the folder holds the head alone."""

    out: Path | None
    package: EnginePackage | None
    title: str
    version: str
    codes: Mapping[str, Mapping[str, str]]
    replace: bool
    column: str

    @property
    def makes_engine(self) -> bool:
        """Whether an engine package is written."""
        return self.out is not None and self.package is not None

    def require_free(self) -> None:
        """Tell before the work what would stand in the way after it. Raises NodeError."""
        if self.out is None:
            return
        require_writable(self.out.parent)
        if self.out.exists() and not self.replace:
            raise NodeError(ENGINE_EXISTS, path=self.out, what="")

    def require_classes(self, classes: Sequence[str]) -> None:
        """Refuse codes of classes that there are not: NodeError(USAGE)."""
        for name in self.codes:
            if name not in classes:
                raise NodeError(USAGE, problem=f"--code is of {name!r}; classes are {', '.join(classes)}")

    def wanted(self, card: str) -> Wanted:
        """What the new engine is called."""
        from dicomnode.learn.heads import Wanted

        name = self.out.name if self.out is not None else ""
        return Wanted(
            name=name, version=self.version, title=self.title, types=self.codes, column=self.column, card=card
        )

    def write(
        self, draft: Draft | None, network: bytes, card: str, document: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Write the engine, or the head alone with its card, and the figures beside it; say what was written.

        Raises NodeError as `write_draft`, FILE_NOT_WRITTEN.
        """
        if self.out is None:
            return None
        told: dict[str, Any] = {"folder": str(self.out), "engine": None}
        if draft is not None:
            from dicomnode.engine import write_draft

            package = write_draft(draft, self.out, replace=self.replace)
            told["engine"] = {
                "name": package.manifest.name,
                "version": package.manifest.version,
                "digest": package.digest,
            }
        else:
            write_file(self.out / "head.onnx", network)
            write_file(self.out / "card.md", card.encode())
        write_file(self.out / _RESULT, (json.dumps(document, indent=2) + "\n").encode())
        return told


def heads_document(trained: TrainedHeads, search: Search) -> dict[str, Any]:
    """Return the JSON of heads of classes."""
    from dicomnode.learn.heads import comparison_document

    return {
        "schema": 1,
        "task": "classes",
        "search": {
            "folds": search.folds,
            "inner": search.inner,
            "method": search.method,
            "trees": search.trees,
            "seed": search.seed,
        },
        "nested": comparison_document(trained.nested),
        "tested": None if trained.tested is None else comparison_document(trained.tested),
        "head": _exported(trained.head),
        "parameters": {
            name: {key: _plain(value) for key, value in one.items()}
            for name, one in trained.parameters.items()
        },
    }


def detectors_document(found: Mapping[str, AnomalyHead], head: ExportedHead, normal: str) -> dict[str, Any]:
    """Return the JSON of detectors of what is not normal."""
    from dicomnode.evaluate.document_parts import interval_document

    return {
        "schema": 1,
        "task": "anomaly",
        "normal": normal,
        "detectors": [
            {
                "name": name,
                "title": one.kind.title,
                "quantile": one.quantile,
                "threshold": one.threshold,
                "roc_auc": None if one.area is None else interval_document(one.area),
            }
            for name, one in found.items()
        ],
        "head": _exported(head),
    }


def best_detector(found: Mapping[str, AnomalyHead]) -> str:
    """Return the name of the one with the largest area; where there is nothing to tell apart, the first."""

    def area(name: str) -> float:
        interval = found[name].area
        value = None if interval is None else interval.figure.value
        return -1.0 if value is None else value

    return max(found, key=area)


def rows_of_heads(trained: TrainedHeads) -> Rows:
    """Return the table of all heads, the best first."""
    first = trained.nested.heads[0]
    names = [one.figure.name.replace("_", " ") for one in first.figures]
    rows = [[head.name, *(one.text for one in head.figures)] for head in trained.nested.heads]
    if trained.tested is not None:
        rows += [[f"{h.name}, test", *(one.text for one in h.figures)] for h in trained.tested.heads]
    return ["head", *names], rows


def rows_of_detectors(found: Mapping[str, AnomalyHead]) -> Rows:
    """Return the table of all detectors."""
    rows = [
        [name, f"{one.threshold:.4g}", "not judged" if one.area is None else one.area.text]
        for name, one in found.items()
    ]
    return ["detector", "threshold", "roc auc"], rows


def print_heads(document: Mapping[str, Any], table: Rows) -> None:
    """Print the table, the best two against each other, and what was written."""
    columns, rows = table
    judged = document.get("nested")
    if judged is None:
        print_table(f"Trained on {document['normal']} alone, judged by patient", columns, rows)
    else:
        title = f"{judged['cases']} cases of {judged['patients']} patients, judged by nested cross-validation"
        print_table(title, columns, rows)
        _print_best_two(judged)
    head = document["head"]
    typer.echo(f"{head['name']}: ONNX and scikit-learn differ by {head['apart']:.1e} at most")
    out = document["out"]
    if out is None:
        return
    if out["engine"] is None:
        typer.echo(f"The head alone lies in {out['folder']}; with --engine it becomes an engine.")
        return
    typer.echo(f"{out['engine']['name']} {out['engine']['version']} lies in {out['folder']}. Next:")
    console.print(f"  dicomnode evaluate {out['folder']} --data DIR --labels FILE.csv", markup=False)


def _print_best_two(judged: Mapping[str, Any]) -> None:
    two = judged["best_two"]
    if two is not None:
        p = two["mcnemar_p"]
        shown = p["reason"] if p["value"] is None else f"p = {p['value']:.3f}"
        typer.echo(
            f"{two['first']} alone is right in {two['only_first_right']} cases, {two['second']} alone in "
            f"{two['only_second_right']} (McNemar: {shown})"
        )
    for warning in judged["heads"][0]["warnings"]:
        console.print(f"Note: {warning}", markup=False, style="yellow")
    for remark in judged["remarks"]:
        console.print(f"Note: {remark}", markup=False, style="yellow")


def _exported(head: ExportedHead) -> dict[str, Any]:
    return {"name": head.name, "output": head.output, "apart": head.apart, "cases": head.cases}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

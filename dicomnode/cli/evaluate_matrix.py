"""`dicomnode evaluate --matrix FILE.json`: the confusion matrix of others, and what is printed beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import console, print_json, result_console
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import EXIT_DONE, MATRIX_WRONG, NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.evaluate import ConfusionMatrix, Figure, Headline, Interval, Printed, Resampling


def evaluate_matrix(path: Path, out: Path | None, resampling: Resampling, *, as_json: bool) -> int:
    """Judge a confusion matrix; `out`: for matrix.html and matrix.json. Raises NodeError(MATRIX_WRONG)."""
    from dicomnode.evaluate import classification_report, headline
    from dicomnode.evaluate.counted_intervals import counted_intervals

    if out is not None:
        require_writable(out)
    matrix, printed = _read(path)
    report = classification_report(matrix)
    try:
        told = headline(report, printed)
    except ValueError as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=str(error)) from error
    intervals = counted_intervals(report, resampling)
    document = _document(matrix, told, intervals)
    if out is not None:
        from dicomnode.evaluate.page import matrix_html

        write_file(out / "matrix.html", matrix_html(report, told, intervals, printed).encode())
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        write_file(out / "matrix.json", (text + "\n").encode())
    if as_json:
        print_json(document)
        return EXIT_DONE
    _print(told, intervals)
    if out is not None:
        console.print(f"The page lies in {out / 'matrix.html'}", markup=False)
    return EXIT_DONE


def _read(path: Path) -> tuple[ConfusionMatrix, list[Printed]]:
    from dicomnode.evaluate import ConfusionMatrix, Printed

    try:
        document: Any = json.loads(path.read_bytes())
        matrix = ConfusionMatrix(
            labels=tuple(str(label) for label in document["labels"]),
            counts=document["counts"],
            positive=_label(document.get("positive")),
        )
        printed = [
            Printed(name=str(one["name"]), text=str(one["text"]), label=_label(one.get("label")))
            for one in document.get("printed", [])
        ]
    except OSError as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=error.strerror or error) from error
    except KeyError as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=f"it lacks {error.args[0]!r}") from error
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=str(error)) from error
    return matrix, printed


def _label(given: object) -> str | None:
    """Labels may be written as numbers, here as among the labels."""
    return None if given is None else str(given)


def _document(matrix: ConfusionMatrix, told: Headline, intervals: Sequence[Interval]) -> dict[str, Any]:
    from dicomnode.evaluate.document_parts import figure_document, interval_document

    return {
        "schema": 1,
        "matrix": {
            "labels": list(matrix.labels),
            "counts": matrix.counts.tolist(),
            "positive": matrix.positive,
        },
        "lead": figure_document(told.lead),
        "warnings": list(told.warnings),
        "contradictions": [one.text for one in told.contradictions],
        "then": [figure_document(one) for one in told.then],
        "figures": [interval_document(one) for one in intervals],
    }


def _print(told: Headline, intervals: Sequence[Interval]) -> None:
    from dicomnode.evaluate.counted_intervals import ALONE

    def line(figure: Figure) -> str:
        found = [one for one in intervals if one.figure == figure and one.low is not None]
        return f"{figure.title}: {found[0].text if found else figure.text}"

    result_console.print(line(told.lead), style="bold", markup=False)
    for text in (*told.warnings, *(one.text for one in told.contradictions)):
        result_console.print("[bold red]![/]", end=" ")
        result_console.print(text, markup=False)
    for figure in told.then:
        result_console.print(line(figure), markup=False)
    console.print(ALONE, markup=False)

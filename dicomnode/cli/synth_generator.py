"""`dicomnode synth --generator`: images drawn by a generator, as DICOM that is plainly nobody's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import bars, console, print_json, print_table
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE

if TYPE_CHECKING:
    from dicomnode.learn.generate.generator_synth import DrawnSet


def draw(folder: Path, out: Path, *, cases: int, seed: int, label: str, as_json: bool) -> int:
    """Draw, and tell of each image how near the nearest training image is."""
    from dicomnode.learn.generate.generator_package import read_generator
    from dicomnode.learn.generate.generator_synth import GeneratorPlan, draw_cases

    plan = GeneratorPlan(generator=read_generator(folder), cases=cases, seed=seed, label=label)
    require_writable(out)
    with bars(quiet=as_json) as progress:
        made = draw_cases(plan, out, progress)
    document = _document(made)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


def _document(made: DrawnSet) -> dict[str, Any]:
    from dicomnode.learn.generate.generator_synth import report_document

    document = report_document(made)
    images = {one.name: str(one.images) for one in made.cases}
    return document | {
        "folder": str(made.folder),
        "labels": None if made.labels is None else str(made.labels),
        "report": str(made.report),
        "cases": [one | {"images": images[one["case"]]} for one in document["cases"]],
    }


def _print(document: dict[str, Any]) -> None:
    cases = document["cases"]
    rows = [
        (one["case"], one["label"], one["nearest_training_image"], f"{one['distance']:.4f}") for one in cases
    ]
    print_table(
        f"{document['generator']} {document['version']}, seed {document['seed']}",
        ("case", "asked for", "nearest training image", "distance"),
        rows,
    )
    near, again = document["too_near"], document["redrawn"]
    console.print(f"Within {near:.4f} it would be a copy; {again} such were drawn again.", markup=False)
    if document["labels"]:
        told = f"{document['labels']} says what was asked for; nobody has looked whether it is there."
        console.print(told, markup=False)
    console.print("SYNTHETIC: nobody was imaged, and every header says so.", markup=False)

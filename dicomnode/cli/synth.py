"""`dicomnode synth KIND`: phantom studies with known truth, as valid DICOM that is plainly nobody's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.generate import Kind, SynthSet
    from dicomnode.learn.generate.plan import Size

EPILOG = (
    "EXIT STATUS: 0 generated, 1 --out cannot be written, or a generator draws copies alone, 2 usage, "
    "11 the disk is full or fails, 12 the generator is damaged, or torch or MONAI is not installed."
)

_KINDS = (
    "thorax: chest CT with nodules (seconds a case); volumes: small CT of ellipsoids with lesions in the "
    "liver; contrasts: MR of a head in two contrasts, with an age; discs: chest films with an opacity; "
    "mammograms: a breast with a mass; photos: moles in colour; fundus: an eye's ground with spots by grade; "
    "ultrasound: a lobe with a nodule; cine: a beating chamber."
)


def synth(  # noqa: PLR0917  typer gives each by its name
    out: Annotated[Path, typer.Option("--out", help="Folder for the studies: new, or empty.")],
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help=_KINDS)] = None,
    generator: Annotated[
        Path | None,
        typer.Option(
            "--generator", metavar="DIR", help="Draw with what `dicomnode train generator` made, and no KIND."
        ),
    ] = None,
    label: Annotated[
        str,
        typer.Option("--label", help="Of a generator: what to draw; all that it knows in turn unless given."),
    ] = "",
    cases: Annotated[int, typer.Option("--cases", help="How many studies.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 1,
    size: Annotated[str, typer.Option("--size", help="small: few voxels; full: more.")] = "small",
    contrast: Annotated[
        float | None,
        typer.Option("--contrast-to-noise", help="How clearly lesions show: the lower, the harder."),
    ] = None,
    without_below: Annotated[
        float, typer.Option("--without-below", metavar="MM", help="Leave out lesions smaller than this.")
    ] = 0.0,
    teaching: Annotated[
        bool,
        typer.Option("--teaching", help="Images without truth beside them; an answer sheet in answers/."),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Generate studies with known truth: segmentations, reports, and labels.csv.

    Nobody was imaged: every header says so (Synthetic Data, patient, comments), so that no archive takes one
    for a patient's. Patients have one to three studies; half of the studies have something to find.
    With --generator a network draws instead, as it has learned: then nothing is known to be true, and what
    is too near to an image that it has learned from is not written.
    """
    _refuse_mixed(kind, generator, label, of_phantoms=(contrast, without_below, teaching, size != "small"))
    if generator is not None:
        from dicomnode.cli.synth_generator import draw

        return draw(generator, out, cases=cases, seed=seed, label=label, as_json=as_json)
    from dicomnode.learn.generate import SynthPlan, synth_cases

    plan = SynthPlan(
        kind=cast("Kind", kind),
        cases=cases,
        seed=seed,
        size=cast("Size", size),
        contrast_to_noise=contrast,
        without_below_mm=without_below,
    )
    require_writable(out)
    with bars(quiet=as_json) as progress:
        made = synth_cases(plan, out, teaching=teaching, progress=progress)
    document = _document(made)
    if as_json:
        print_json(document)
    else:
        _print(made, document)
    return EXIT_DONE


def _refuse_mixed(
    kind: str | None, generator: Path | None, label: str, of_phantoms: Sequence[object]
) -> None:
    """Refuse what does not go together. Raises NodeError(USAGE)."""
    problem = ""
    if (kind is None) == (generator is None):
        problem = "either a KIND of phantom is drawn, or with --generator DIR"
    elif generator is None and label:
        problem = "--label is of a generator"
    elif generator is not None and any(of_phantoms):
        problem = "--size, --contrast-to-noise, --without-below and --teaching are of phantoms alone"
    if problem:
        raise NodeError(USAGE, problem=problem)


def _document(made: SynthSet) -> dict[str, Any]:
    plan = made.plan
    return {
        "schema": 1,
        "kind": plan.kind,
        "seed": plan.seed,
        "size": plan.size,
        "contrast_to_noise": plan.contrast,
        "without_below_mm": plan.without_below_mm,
        "folder": str(made.folder),
        "labels": str(made.labels),
        "answers": None if made.answers is None else str(made.answers),
        "patients": len({one.case.patient for one in made.cases}),
        "cases": [
            {
                "case": one.case.name,
                "patient": one.case.patient,
                "visit": one.case.visit,
                "something_to_find": one.case.sick,
                "study_instance_uid": one.study_instance_uid,
                "images": str(one.images),
                "truth": [str(path) for path in one.truth],
            }
            for one in made.cases
        ],
    }


def _print(made: SynthSet, document: dict[str, Any]) -> None:
    sick = sum(one.case.sick for one in made.cases)
    rows = [
        ("studies", len(made.cases)),
        ("patients", document["patients"]),
        ("with something to find", sick),
        ("contrast-to-noise", f"{made.plan.contrast:g}"),
        ("labels", str(made.labels)),
    ]
    if made.answers is not None:
        rows.append(("answer sheet", str(made.answers)))
    print_table(f"{made.plan.kind}, seed {made.plan.seed}", ("what", "value"), rows)
    console.print("SYNTHETIC: nobody was imaged, and every header says so.", markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("synth", epilog=EPILOG)(synth)

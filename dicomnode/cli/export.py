"""`dicomnode export`: studies as files of nobody, for training elsewhere (PS3.15 Annex E)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.writing import require_writable
from dicomnode.faults import (
    EXIT_DONE,
    EXIT_NOTHING,
    EXIT_PARTLY,
    EXPORT_PLACE,
    FAULTS,
    NO_INSTANCES,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from dicomnode.learn.deidentify import Exported, ExportKey
    from dicomnode.learn.deidentify.writing import Order

EPILOG = (
    "EXIT STATUS: 0 exported, 1 --out cannot be written, 2 usage, or the key is of no use, 3 no such study, "
    "or nothing could be exported, 4 some files were refused, 10 configuration, 11 the disk fails, 12 the "
    "library of [export] is missing."
)
_SHOWN = 40

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Secret that UIDs and pseudonyms are made with; made where it is not there. With it a later "
        "export fits this one. Without it nobody can ever link the export to its sources.",
    ),
]
DatesOption = Annotated[
    str,
    typer.Option(
        "--keep-dates", metavar="shift|none", help="shift: all dates of a patient moved by the same days."
    ),
]
MaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        metavar="X,Y,W,H|regions",
        help="Make this box black, or all outside ultrasound regions, on images that may show text.",
    ),
]
CharacteristicsOption = Annotated[
    bool,
    typer.Option("--keep-characteristics", help="Sex, age, size, weight stay (SUV needs them)."),
]


def export(  # noqa: PLR0917  typer gives each by its name
    out: Annotated[Path, typer.Option("--out", help="Folder for the export; it may hold an earlier one.")],
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY]…", help="Studies of the node: UIDs or accession numbers."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DIR", help="Files or folders instead of the node's.", exists=True),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="Table of labels: goes along, with the new UIDs."),
    ] = None,
    key: KeyOption = None,
    keep_dates: DatesOption = "shift",
    keep_characteristics: CharacteristicsOption = False,
    mask: MaskOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Export studies de-identified by PS3.15 Annex E (Basic Profile); what may show a patient is refused.

    Images, segmentations, reports and structure sets of one study still refer to one another. Every file is
    searched for all that its source says of the patient before it is written.
    """
    from dicomnode.learn.deidentify import Options, read_mask
    from dicomnode.learn.deidentify.writing import Order

    if keep_dates not in ("shift", "none"):
        raise NodeError(USAGE, problem=f"--keep-dates takes shift or none, not {keep_dates!r}")
    masks = tuple(read_mask(text) for text in mask or ())
    files, left = _files(studies or [], data or [], config)
    _require_place(out, [*(data or []), *([] if data else [path for _, path in files])])
    require_writable(out)
    order = Order(
        files=files,
        out=out,
        key=_key(key, [out, *(data or [])]),
        options=Options(shift_dates=keep_dates == "shift", characteristics=keep_characteristics),
        masks=masks,
    )
    exported, rows = _written(order, labels, quiet=as_json)
    document = _document(exported, out, rows, left)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if not exported.files:
        return EXIT_NOTHING
    return EXIT_PARTLY if exported.refused else EXIT_DONE


def _written(order: Order, labels: Path | None, *, quiet: bool) -> tuple[Exported, int]:
    """Export the files, then the labels of what was exported; return how many rows of these."""
    from dicomnode.learn.deidentify import export_files
    from dicomnode.learn.deidentify.labels import export_labels, read_table

    table = None if labels is None else read_table(labels)
    with bars(quiet=quiet) as progress:
        exported = export_files(order, progress)
    if table is None or labels is None or not exported.files:
        return exported, 0
    return exported, export_labels(table, labels, exported, order.key, order.out)


def _files(
    studies: list[str], data: list[Path], config: Path | None
) -> tuple[tuple[tuple[str, Path], ...], int]:
    """Find the files with their names in messages, and count those of folders that are no DICOM.

    Raises NodeError: USAGE, NO_INSTANCES, STUDY_NOT_FOUND and what opens the journal.
    """
    if bool(studies) == bool(data):
        raise NodeError(USAGE, problem="Name studies of the node, or files by --data: one of the two")
    if studies:
        return _of_node(studies, config), 0
    from dicomnode.assemble import find_files
    from dicomnode.learn.deidentify.writing import files_below

    found = find_files(data)
    if not found:
        raise NodeError(NO_INSTANCES, path=", ".join(map(str, data)))
    there = {path for one in data for path in ([one] if one.is_file() else one.rglob("*")) if path.is_file()}
    return tuple(files_below(data, found)), len(there - set(found))


def _of_node(studies: list[str], config: Path | None) -> tuple[tuple[str, Path], ...]:
    journal = open_journal(open_settings(config))
    try:
        uids = [journal.study(study).study_instance_uid for study in studies]
        found = [one for uid in dict.fromkeys(uids) for one in journal.instances(uid)]
    finally:
        journal.close()
    return tuple((one.sop_instance_uid, one.path) for one in found)


def _require_place(out: Path, sources: list[Path]) -> None:
    """Raise NodeError(EXPORT_PLACE) where an export would lie among what it was made from."""
    for source in sources:
        if out.resolve().is_relative_to(source.resolve()) or source.resolve().is_relative_to(out.resolve()):
            raise NodeError(EXPORT_PLACE, path=out, error=f"it would lie together with {source}")


def _key(path: Path | None, folders: list[Path]) -> ExportKey:
    """Read the key, or draw one that is thrown away. Raises NodeError(EXPORT_KEY)."""
    import os

    from dicomnode.learn.deidentify import ExportKey, read_key, require_private_place

    if path is None:
        return ExportKey(secret=os.urandom(32))
    require_private_place(path, folders)
    return read_key(path)


def _document(exported: Exported, out: Path, rows: int, left: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "folder": str(out),
        "patients": exported.patients,
        "studies": len(exported.studies),
        "files": exported.files,
        "masked": exported.masked,
        "heads": exported.heads,
        "label_rows": rows,
        "not_dicom": left,
        "values_too_short_to_search": exported.too_short,
        "refused": [{"file": one.file, "code": one.code, "text": one.text} for one in exported.refused],
    }


def _print(document: dict[str, Any]) -> None:
    names = ("patients", "studies", "files", "masked", "label_rows", "not_dicom")
    print_table("Exported", ("what", "count"), [(name.replace("_", " "), document[name]) for name in names])
    refused = document["refused"]
    if refused:
        rows = [(one["code"], one["text"]) for one in refused[:_SHOWN]]
        if len(refused) > _SHOWN:
            rows.append(("", f"and {len(refused) - _SHOWN} more (--json has all)"))
        print_table("Not exported", ("code", "why"), rows)
        for code in dict.fromkeys(one["code"] for one in refused):
            console.print(f"{code}  {FAULTS[code].remedy_shown}", markup=False)
    if document["heads"]:
        told = "images show a head: a face can be rebuilt from them, and nothing was done to it."
        console.print(f"{document['heads']} {told}", markup=False)
    if document["files"]:
        console.print(f"The export lies in {document['folder']}; encrypt it before it leaves.", markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export", epilog=EPILOG)(export)

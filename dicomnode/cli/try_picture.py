"""`dicomnode try … --prepared FILE.png`: a slice as it came, then after each step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomnode.cli.output import Bars, console
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.assemble import DecoderLimits
    from dicomnode.serve import FolderWalk

MOST_ROWS: Final = 12  # inputs on a sheet: more of them nobody looks through

PreparedOption = Annotated[
    Path | None,
    typer.Option(
        "--prepared",
        metavar="FILE.png",
        help="Draw what `prepare` of each engine does: a slice as it came, then after each step.",
    ),
]


def require_png(path: Path) -> None:
    """Refuse what is no picture, or cannot be written. Raises NodeError: USAGE, FILE_NOT_WRITTEN."""
    if path.suffix.lower() != ".png" or path.is_dir():
        raise NodeError(USAGE, problem=f"--prepared names a file ending in .png, not {path}")
    require_writable(path.absolute().parent)


def write_prepared(path: Path, walked: FolderWalk, decoding: DecoderLimits, progress: Bars) -> None:
    """Draw the sheet of all analyses, and say where it lies, or that there is none.

    Raises NodeError(FILE_NOT_WRITTEN).
    """
    from dicomnode.assemble import DecoderPool
    from dicomnode.report.pages.stages import stages_png
    from dicomnode.serve.once.preparing import prepared_rows

    with DecoderPool(decoding) as decode:
        rows = list(prepared_rows(walked, decode, progress, MOST_ROWS + 1))
    if not rows:
        console.print("No engine wants a series: there is nothing that --prepared could draw.", markup=False)
        return
    write_file(path, stages_png(rows[:MOST_ROWS]))
    more = f" (the first {MOST_ROWS} inputs)" if len(rows) > MOST_ROWS else ""
    console.print(f"What `prepare` does{more} is drawn in {path}", markup=False)

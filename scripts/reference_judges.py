"""The page of docs/reference that says which judge looks at which object, from the table of the tests."""

from __future__ import annotations

import re
from pathlib import Path

from tests.judges import allowed
from tests.judges.table import JUDGES, OBJECTS, SERIES, Judge

_ROOT = Path(__file__).parent.parent

_ASKED = (
    "Which independent program looks at which kind of object, and what for. `make judges` asks each of "
    "them about every kind on every fixture series ({series}); `make test` asks all but PixelMed about "
    "those of one. What a judge says fails the tests, but for the false alarms below."
)
_BESIDE = (
    "Beside the judges, the tests check of the objects of each series that every instance that one of "
    "them names is in the source or among them; that what a report tracks are the segments that it names; "
    "that patient and study are the source's, compared in Unicode; and that making them again gives the "
    "same bytes. A source that is no volume, or is not analysed, has fewer kinds: a radiograph no SEG, a "
    "series with a missing slice a report, a page and a document that say so."
)
_ALLOWANCES = (
    "Lines of a judge that are not held against an object. Besides, dcentvfy compares bytes: it gets the "
    "source rewritten in UTF-8, with what it lacks of type 2 there and empty. And DCMTK opens no "
    "presentation state of a patient without a name: under a minimal header it draws nothing, and what it "
    "says of empty attributes of patient and study does not count. A tilted gantry's grid is sheared, "
    "which dcmqi and ITK do not know."
)


def judges_page() -> str:
    """Object × judge, the versions, and what is allowed."""
    notes: list[str] = []
    lines = ["# Judges", "", _ASKED.format(series=", ".join(SERIES)), "", _BESIDE, ""]
    lines += ["## Object × judge", ""]
    lines += [_row(["object", *(one.name for one in JUDGES)]), _row(["---"] * (len(JUDGES) + 1))]
    for kind, name in OBJECTS.items():
        lines.append(_row([f"**{kind}** {name}", *(_cell(judge, kind, notes) for judge in JUDGES)]))
    lines += ["", *(f"{n}. {note}." for n, note in enumerate(notes, start=1)), ""]
    lines += ["## The judges", "", _row(["judge", "version", "what it does"]), _row(["---"] * 3)]
    lines += [_row([one.name, _version(one), one.about]) for one in JUDGES]
    lines += [
        "",
        "DCMTK, PixelMed and Orthanc are those of the distribution (Debian 12); the others are pinned.",
        "",
        "## False alarms",
        "",
        _ALLOWANCES,
        "",
        _row(["judge", "name", "why it is none"]),
        _row(["---"] * 3),
    ]
    lines += [_row([judge, one.name, one.why]) for judge, several in _ALLOWED.items() for one in several]
    return "\n".join(lines) + "\n"


_ALLOWED = {
    "dciodvfy": allowed.DCIODVFY,
    "dcentvfy": (*allowed.DCENTVFY, allowed.the_study("…")),
    "dsrdump": allowed.DSRDUMP,
    "drtdump": allowed.DRTDUMP,
    "dcmpschk": allowed.DCMPSCHK,
    "PixelMed": allowed.PIXELMED,
}


def _cell(judge: Judge, kind: str, notes: list[str]) -> str:
    """What is checked, or a dash with the number of the note that says why nothing is."""
    if kind in judge.checks:
        return judge.checks[kind]
    note = f"{judge.name}: {judge.not_for[kind]}"
    if note not in notes:
        notes.append(note)
    return f"– ({notes.index(note) + 1})"


def _version(judge: Judge) -> str:
    """With the versions of what is pinned."""
    pinned = dict(
        re.findall(r"(?m)^([\w-]+)==(\S+)$", (_ROOT / "constraints.txt").read_text(encoding="utf-8"))
    )
    script = (_ROOT / "scripts" / "tools.sh").read_text(encoding="utf-8")
    packages = dict(re.findall(r"(@cornerstonejs/[a-z]+)@(\S+)", script))
    return judge.version.format(**pinned, cornerstone=packages["@cornerstonejs/adapters"])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

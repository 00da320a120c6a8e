"""Every engine × series: taken or not, its score, and the rule that decided with the value found.

For people who know the study from the scanner's list: series go by number, modality and description, not by
UID; the words of the rules come from `dicomnode.engine.wording`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import print_table, result_console, short_uid
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dicomnode.assemble import SeriesFiles
    from dicomnode.values import Instance


def series_of(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """Give the series of a study as JSON, read from one of the images of each that is still there.

    What cannot be read has no number and no description; nothing fails for want of them.
    """
    first = {one.series_instance_uid: one.path for one in reversed(instances)}
    counts: dict[str, int] = {}
    for one in instances:
        counts[one.series_instance_uid] = counts.get(one.series_instance_uid, 0) + 1
    known = {
        series.series_instance_uid: series
        for uid, path in first.items()
        for series in _read(path if path.exists() else None)
        if series.series_instance_uid == uid
    }
    return [
        {"series_instance_uid": uid, "instances": counts[uid], **series_words(known.get(uid))}
        for uid in sorted(first)
    ]


def _read(path: Any) -> Iterable[SeriesFiles]:
    if path is None:
        return []
    from dicomnode.assemble import read_studies

    try:
        return [series for study in read_studies([path]).studies for series in study.series]
    except NodeError:  # the disk does not give it: the table then names the series by its UID
        return []


def series_words(series: SeriesFiles | None) -> dict[str, Any]:
    """Give what people know a series by: modality, number and description, null where they are not known."""
    tags = next((stack.facts.tags for stack in series.stacks), {}) if series is not None else {}
    description = tags.get("SeriesDescription")
    number = tags.get("SeriesNumber")
    return {
        "modality": (series.modality or None) if series is not None else None,
        "series_number": int(number) if isinstance(number, int | float) else None,
        "series_description": None if description is None else str(description),
    }


def series_name(series: Mapping[str, Any]) -> str:
    """Say which series it is: "3 CT Thorax 1.0 soft"; by the end of its UID where nothing else is known."""
    known = (series.get("series_number"), series.get("modality"), series.get("series_description"))
    words = " ".join(str(one) for one in known if one not in (None, ""))
    only_modality = words == (series.get("modality") or "")
    uid = short_uid(series["series_instance_uid"])
    return f"{words} {uid}".strip() if only_modality else words


def print_verdicts(document: Mapping[str, Any]) -> None:
    """Print what each engine said of each series, a table an engine.

    document: `verdicts`, and `series` with what `series_words` gives.
    """
    verdicts = document["verdicts"]
    series = {one["series_instance_uid"]: one for one in document.get("series", ())}
    for engine in dict.fromkeys((one["engine"], one["version"]) for one in verdicts):
        of_engine = [one for one in verdicts if (one["engine"], one["version"]) == engine]
        of_engine.sort(key=lambda one: (series_order(_known(series, one)), one["stack"]))
        rows = [_row(one, _known(series, one), verdicts) for one in of_engine]
        print_table(f"Engine {' '.join(engine)}", ("series", "images", "verdict", "score", "why"), rows)
    if not verdicts:
        result_console.print("No engine was asked about a series of this study.")


def series_order(series: Mapping[str, Any]) -> tuple[int, str]:
    """Sort key of series as a scanner lists them: by number, those without one last."""
    number = series.get("series_number")
    return (2**31 if number is None else number, series["series_instance_uid"])


def _known(series: Mapping[str, Mapping[str, Any]], verdict: Mapping[str, Any]) -> Mapping[str, Any]:
    uid = verdict["series_instance_uid"]
    return series.get(uid, {"series_instance_uid": uid})


def _row(
    verdict: Mapping[str, Any], known: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> tuple[str, str, str, str, str]:
    uid = verdict["series_instance_uid"]
    stacks = {one["stack"] for one in verdicts if one["series_instance_uid"] == uid}
    part = _part(verdict["stack"], len(stacks), known.get("stacks", ()))
    score = verdict["score"]
    return (
        f"{series_name(known)}{part}",
        "–" if len(stacks) > 1 else str(known.get("instances", "–")),
        "taken" if verdict["chosen"] else "not taken",
        "–" if score is None else f"{score:.2f}",
        _why(verdict),
    )


def _part(stack: int, count: int, stacks: Sequence[Mapping[str, Any]]) -> str:
    """Say which of several stacks of a series it is, and by what it is told from the others."""
    if count == 1:
        return ""
    phase = stacks[stack].get("phase") if stack < len(stacks) else None
    return f", part {stack + 1} of {count}" + (f" ({phase})" if phase else "")


def _why(verdict: Mapping[str, Any]) -> str:
    """Say why, in one line: what was wanted and what was found, or what speaks for the series."""
    rule, found = verdict["rule"], verdict["found"]
    if verdict["chosen"] or verdict["score"] is not None:
        return f"{rule} ({found})" if found else str(rule)
    if found.startswith("DN-"):
        return f"{rule} ({found})"
    return f"wanted: {rule}; found: {found}"

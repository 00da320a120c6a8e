"""`dicomnode evaluate --site NAME`: an engine in shadow, or live, by what the node's journal tells of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode import __version__
from dicomnode.cli.options import config_path, open_journal, open_settings
from dicomnode.cli.output import bars, console, print_json, print_table, result_console
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import EXIT_DONE, SITE_UNKNOWN, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate.site import SiteAcceptance


def evaluate_site(name: str, first: int, config: Path | None, out: Path | None, *, as_json: bool) -> int:
    """Tell how an engine fares at this site. Raises NodeError: SITE_NOTHING, SITE_UNKNOWN."""
    from dicomnode.evaluate.site import site_acceptance, site_html

    if out is not None:
        require_writable(out)
    settings = open_settings(config)
    modes = {one.name: one.mode for one in settings.engine}
    if name not in modes:
        raise NodeError(SITE_UNKNOWN, engine=name, path=config_path(config))
    with open_journal(settings) as journal, bars(quiet=as_json) as progress:
        accepted = site_acceptance(
            journal,
            (name, modes[name]),
            first,
            made_at=datetime.now(UTC),
            node_version=__version__,
            progress=progress,
        )
    if out is not None:
        text = json.dumps(accepted.to_document(), indent=1, ensure_ascii=False, allow_nan=False)
        write_file(out / "site.json", (text + "\n").encode())
        write_file(out / "site.html", site_html(accepted).encode())
    if as_json:
        print_json(accepted.to_document())
    else:
        _print(accepted)
        if out is not None:
            console.print(f"The page lies in {out / 'site.html'}", markup=False)
    return EXIT_DONE


def _print(of: SiteAcceptance) -> None:
    from dicomnode.evaluate.site import SiteState
    from dicomnode.evaluate.site.page import found_text

    result_console.print(
        f"{of.engine}, {of.mode}: the first {len(of.cases)} studies that it was asked about.", markup=False
    )
    for warning in of.warnings:
        result_console.print("[bold red]![/]", end=" ")
        result_console.print(warning, markup=False)
    print_table("Studies", ("what came of it", "studies"), [(str(s), of.count(s)) for s in SiteState])
    if of.codes:
        rows = [(code, str(state), count) for (state, code), count in of.codes.items()]
        print_table("Refused and failed", ("code", "state", "studies"), rows)
    spans = (("from the last image", of.wait), ("from when it was wanted", of.work))
    times = [
        (name, one.cases, f"{one.p50_s:.1f}", f"{one.p95_s:.1f}", f"{one.most_s:.1f}")
        for name, one in spans
        if one is not None
    ]
    if times:
        print_table("Seconds until the result", ("", "studies", "median", "95 %", "most"), times)
    result_console.print(found_text(of), markup=False)
    if of.answered:
        title = f"Answers: {of.answered} studies, {len(of.records)} findings"
        print_table(title, ("figure", "value"), [(one.title, one.text) for one in of.figures])

"""Write the pages of docs/reference that follow from the code: see PAGES.

Run after a change of a fault, a setting or a command; a test compares the pages with what this would write.
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from dicomnode.cli.app import app
from dicomnode.faults import EXIT_MEANINGS, FAULTS
from dicomnode.settings.schema import Settings
from scripts.reference_engine import engine_page
from scripts.reference_judges import judges_page
from scripts.reference_preparations import preparations_page

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def faults_page() -> str:
    """Every fault with its remedy, and the exit codes."""
    lines = [
        "# Faults",
        "",
        "Every refusal and failure of the node. `dicomnode fault CODE` prints a row. Codes are never reused.",
        "",
        "| code | what happened | what to do | the node | exit | DIMSE |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    node = {"never": "–", "backoff": "tries again", "needs_person": "waits for a person"}
    for code in sorted(FAULTS):
        row = FAULTS[code]
        dimse = "" if row.dimse_status is None else f"0x{row.dimse_status:04X}"
        cells = (code, row.title_shown, row.remedy_shown, node[row.retry.value], str(row.exit_code), dimse)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    lines += [
        "",
        "## Exit codes",
        "",
        "An unknown code is a failure.",
        "",
        "| code | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| {code} | {meaning} |" for code, meaning in sorted(EXIT_MEANINGS.items())]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def settings_page() -> str:
    """Every key of dicomnode.toml."""
    lines = [
        "# Settings",
        "",
        "Every key of `dicomnode.toml`; `dicomnode init` writes them with comments.",
        "",
    ]
    hints = get_type_hints(Settings)
    for entry in fields(Settings):
        inner = get_args(hints[entry.name])
        section: Any = inner[0] if inner else hints[entry.name]
        if not is_dataclass(section):
            continue
        lines += _section(f"[[{entry.name}]]" if inner else f"[{entry.name}]", section)
    return "\n".join(lines)


def _section(header: str, section: Any) -> list[str]:
    """One table of dicomnode.toml, and the tables within it."""
    about = " ".join((section.__doc__ or "").split()).partition(": ")[2]
    lines = [f"## {header}", "", about[:1].upper() + about[1:], ""]
    lines += ["| key | default | meaning |", "| --- | --- | --- |"]
    within: list[str] = []
    hints = get_type_hints(section)
    for key in fields(section):
        if is_dataclass(hints[key.name]):
            within += _section(f"{header[:-1]}.{key.name}]", hints[key.name])
            continue
        default = "needed" if key.default is MISSING else f"`{_toml(key.default)}`"
        lines.append(f"| `{key.name}` | {default} | {key.metadata['doc']} |")
    return [*lines, "", *within]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int | float) else f'"{"" if value is None else value}"'


def commands_page() -> str:
    """Every command with its help."""
    lines = [
        "# Commands",
        "",
        "What `dicomnode COMMAND --help` prints. Results go to stdout, the rest to stderr.",
        "",
    ]
    root = typer.main.get_command(app)
    for name, command in _commands(root, "dicomnode"):
        context = typer.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        lines += [f"## {name}", "", "```", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(lines)


def _commands(command: Any, name: str) -> list[tuple[str, Any]]:
    nested = getattr(command, "commands", {})
    if not nested:
        return [(name, command)]
    return [pair for key in sorted(nested) for pair in _commands(nested[key], f"{name} {key}")]


PAGES = {
    "faults.md": faults_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "engine.md": engine_page,
    "judges.md": judges_page,
    "preparations.md": preparations_page,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page, write in PAGES.items():
        (FOLDER / page).write_text(write(), encoding="utf-8")
        sys.stdout.write(f"{FOLDER / page}\n")

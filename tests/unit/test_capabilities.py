"""The page of capabilities names nothing that is not there: commands, options, tests; and leaves none out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from dicomnode.cli.app import app

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "capabilities.md"
NUMBERED: Final = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
COMMAND: Final = re.compile(r"`dicomnode ([^`]+)`")
TEST: Final = re.compile(r"tests/[\w/.]+\.py")


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def commands() -> list[str]:
    return sorted(set(COMMAND.findall(page())))


def test_all_31_capabilities_have_something_that_does_them_and_something_that_shows_it() -> None:
    rows = {int(number): rest.split("|") for number, rest in NUMBERED.findall(page())}
    assert list(rows) == list(range(1, 32))
    for number, cells in rows.items():
        assert len(cells) == 4, number
        assert "`" in cells[1], number
        assert TEST.search(cells[2]), number


@pytest.mark.parametrize("command", commands())
def test_each_command_that_is_named_exists_with_its_options(command: str) -> None:
    found: Any = typer.main.get_command(app)
    path = []
    for word in command.split():
        inner = getattr(found, "commands", {})  # of a group; what follows a verb are options and their values
        if inner:
            assert word in inner, f"dicomnode {command}: there is no {word}"
            found = inner[word]
            path.append(word)
    known = {option for one in found.params for option in one.opts}
    assert {word for word in command.split() if word.startswith("-")} <= known
    told = CliRunner().invoke(app, [*path, "--help"])
    assert told.exit_code == 0
    assert "EXIT STATUS" in told.output


@pytest.mark.parametrize("test", sorted(set(TEST.findall(page()))))
def test_each_test_that_is_named_exists(test: str) -> None:
    assert (ROOT / test).is_file()

"""engine.toml → frozen `Manifest`, or all of its problems at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.manifest.consistency import check_manifest
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.settings import Problem, located
from dicomnode.settings.reader import read_leniently

MANIFEST_FILE: Final = "engine.toml"
LARGEST_MANIFEST_BYTES: Final = 1_000_000  # a manifest has some 100 lines

_LINE = re.compile(r"at line (\d+)")


def read_manifest(path: Path, content: bytes) -> tuple[Manifest | None, list[Problem]]:
    """Read the content of an engine.toml; None when anything is wrong, with all problems.

    path: of the file, for the problems; nothing is read from it.
    """
    if len(content) > LARGEST_MANIFEST_BYTES:
        return None, [Problem(key="", value=None, expected="at most 1 MB", file=str(path))]
    try:
        text = content.decode("utf-8")
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return None, [_not_toml(path, "UTF-8 text", "Save the file as UTF-8.", line)]
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        return None, [_not_toml(path, "TOML", f"{error}.", int(found[1]) if found else None)]
    manifest, problems = read_leniently(Manifest, _without_short_forms(table), "")
    if manifest is not None:
        problems += [one for one in check_manifest(manifest, table) if not _follows(one, problems)]
    return (None if problems else manifest), located(problems, path, text)


def _not_toml(path: Path, expected: str, hint: str, line: int | None) -> Problem:
    return Problem(key="", value=None, expected=expected, hint=hint, file=str(path), line=line)


def _follows(problem: Problem, earlier: list[Problem]) -> bool:
    """Tell whether a problem may come of an earlier one: of the same key, or of one inside or around it."""
    return any(_within(problem.key, one.key) or _within(one.key, problem.key) for one in earlier)


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _without_short_forms(table: Mapping[str, Any]) -> dict[str, Any]:
    """Write out the short forms: `crop = "lungs"`, `window = "whole"`, `inputs = { image = "ct" }`."""
    steps = table.get("step")
    if not isinstance(steps, list):
        return dict(table)
    return {**table, "step": [_step(step) if isinstance(step, dict) else step for step in steps]}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    written = dict(step)
    if isinstance(step.get("crop"), str):
        written["crop"] = {"of": step["crop"]}
    if isinstance(step.get("window"), str):
        written["window"] = {}  # check_manifest looks at the word itself
    if isinstance(step.get("inputs"), dict):
        written["inputs"] = {name: _feed(feed) for name, feed in step["inputs"].items()}
    return written


def _feed(feed: Any) -> Any:
    """A feed may be a name, a list of names, or a table whose `of` is one of these."""
    if isinstance(feed, str):
        return {"of": [feed]}
    if isinstance(feed, list):
        return {"of": feed}
    if isinstance(feed, dict) and isinstance(feed.get("of"), str):
        return {**feed, "of": [feed["of"]]}
    return feed

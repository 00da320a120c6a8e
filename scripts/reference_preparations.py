"""docs/reference/preparations.md, from the declarations of `dicomnode.engine.manifest.preparation`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.on_device import DEVICE_CHOICES, ON_DEVICE
from dicomnode.engine.manifest.preparation import Preparation
from dicomnode.engine.manifest.preparation_geometry import Declaration

_PLAIN = {
    "orient": '"LPS"',
    "resample_mm": "[1.25, 1.25, 1.25]",
    "clip": "[-1024.0, 3071.0]",
}

_ALL = (
    "The same steps run in training and in service, on the CPU always; those marked so also on a device, "
    "with the same result. Lists along axes are in the order k, j, i: that of the tensor. Every grid that "
    "comes out says exactly where its voxels lie, so what is found on it goes back to the images."
)
_ORIENTATION = (
    "`orient` names where i, j and k run to: left or right, posterior or anterior, superior or inferior. "
    "Arrays of MONAI and nibabel begin with the axis that their first letter names, tensors here with k: "
    'read their code backwards (their "RAS" is "SAR").'
)


def preparations_page() -> str:
    """Every entry of `prepare` with its keys."""
    lines = [
        "# Preparations",
        "",
        "What an engine's `prepare` can do to its input, in the order of its list, one step an entry:",
        "",
        "```toml",
        "prepare = [",
        '  { orient = "LPS" },',
        "  { resample_mm = [1.25, 1.25, 1.25] },",
        "  { window = { centre = -600.0, width = 1500.0 } },",
        "]",
        "```",
        "",
        _ALL,
        "",
        _ORIENTATION,
    ]
    hints = get_type_hints(Preparation)
    for entry in fields(Preparation):
        declaration = next(iter(get_args(hints[entry.name])))
        lines += ["", f"## {entry.name}", "", entry.metadata["doc"], *_notes(entry.name)]
        if isinstance(declaration, type) and issubclass(declaration, Declaration):
            lines += ["", *_about(declaration)]
        else:
            lines += ["", f"`{{ {entry.name} = {_PLAIN[entry.name]} }}`: {_accepted(entry, declaration)}."]
    return "\n".join(lines) + "\n"


def _notes(name: str) -> list[str]:
    changes = "values" if Preparation(**{name: True}).keeps_grid else "the grid"
    notes = [f"Changes {changes}."]
    if name in ON_DEVICE:
        choices = DEVICE_CHOICES.get(name)
        notes.append(f"Also on a device, with {choices}." if choices else "Also on a device.")
    if PREPARATIONS[name].package is not None:
        notes.append("Needs `pip install 'dicomnode[imaging]'`.")
    return ["", " ".join(notes)]


def _about(declaration: type[Declaration]) -> Iterator[str]:
    yield from inspect.cleandoc(declaration.__doc__ or "").splitlines()
    hints = get_type_hints(declaration)
    keys = fields(declaration)
    if not keys:
        return
    yield from ("", "| key | default | accepted | meaning |", "| --- | --- | --- | --- |")
    for key in keys:
        doc = key.metadata["doc"].replace("|", "\\|")
        yield f"| `{key.name}` | {_default(key)} | {_accepted(key, hints[key.name])} | {doc} |"


def _default(key: Field[Any]) -> str:
    if key.default is MISSING:
        return "needed"
    return "–" if key.default is None else f"`{_toml(key.default)}`"


def _accepted(key: Field[Any], hint: Any) -> str:
    rule = key.metadata.get("rule")
    return rule.expected if rule is not None else _words(hint)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f'"{choice}"' for choice in get_args(hint))
    if isinstance(hint, UnionType):
        return _words(next(iter(get_args(hint))))
    return {float: "a number", int: "a whole number", bool: "true or false"}.get(hint, "a list of numbers")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'

"""What a person says of an nnU-Net result that its files do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dicomnode.engine.manifest.preparation_geometry import ORIENTATION
from dicomnode.faults import ANSWER_WRONG, NodeError
from dicomnode.settings.reader import nearest

_CHECKPOINTS: Final = ("final", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Answers, all of them optional.

    name, version, title, use, require, prefer: as in engine.toml. outputs: keys of an [[output]] by the
    number of its channel, as text. channels: of several, by number or name, `require`, `prefer` and `outside`
    of their series. modality: the series' Modality. orient: how i, j, k of the training images run.
    configuration: such as "3d_fullres". folds: their numbers, or "all". checkpoint: which of each fold.
    """

    name: str | None = None
    version: str = "1.0.0"
    title: str | None = None
    use: str = "Research and engineering. Not for clinical use."
    require: list[Any] | None = None
    prefer: list[Any] | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    channels: Mapping[str, Any] = field(default_factory=dict)
    modality: str | None = None
    orient: str = "LPS"
    configuration: str | None = None
    folds: tuple[str, ...] | None = None
    checkpoint: Literal["final", "best"] = "final"

    @property
    def fold_folders(self) -> tuple[str, ...]:
        """Folders of the folds that are asked for; none when nothing is said."""
        return tuple(f"fold_{fold}" for fold in self.folds or ())


def read_answers(answers: Mapping[str, Any]) -> Said:
    """Read what was said; raises NodeError(ANSWER_WRONG) for an answer to no question, or of a wrong form."""
    known = list(_READERS)
    for key in answers:
        if key not in known:
            hint = nearest(str(key), known) or f"Questions: {', '.join(known)}."
            raise _wrong(str(key), answers[key], f"the answer to a question. {hint}".rstrip("."))
    return Said(**{key: _READERS[key](key, value) for key, value in answers.items()})


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(key, value, "some text")
    return value


def _rules(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(key, value, "a list of rules, as in engine.toml")
    return value


def _orient(key: str, value: Any) -> str:
    if not isinstance(value, str) or not ORIENTATION.holds(value):
        raise _wrong(key, value, ORIENTATION.expected)
    return value


def _which(key: str, value: Any) -> str:
    if value not in _CHECKPOINTS:
        raise _wrong(key, value, " or ".join(f'"{one}"' for one in _CHECKPOINTS))
    return str(value)


def _outputs(key: str, outputs: Any) -> dict[str, Any]:
    right = isinstance(outputs, dict) and all(
        str(channel).isdigit() and isinstance(table, dict) for channel, table in outputs.items()
    )
    if not right:
        raise _wrong(key, outputs, 'a table for each channel, such as { "1" = { type = { … } } }')
    return {str(channel): table for channel, table in outputs.items()}


def _channels(key: str, channels: Any) -> dict[str, Any]:
    if not isinstance(channels, dict):
        raise _wrong(key, channels, 'a table for each channel, such as { "1" = { require = [ … ] } }')
    return {str(channel): table for channel, table in channels.items()}


def _folds(key: str, folds: Any) -> tuple[str, ...]:
    listed = list(folds) if isinstance(folds, (list, tuple)) else [folds]
    if not listed or not all(str(one) == "all" or str(one).isdigit() for one in listed):
        raise _wrong(key, folds, 'numbers of folds such as [0, 1], or "all"')
    return tuple(dict.fromkeys(str(one) for one in listed))


def _wrong(key: str, value: object, expected: str) -> NodeError:
    return NodeError(ANSWER_WRONG, key=key, value=str(value)[:80], expected=expected)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "name": _text,
    "version": _text,
    "title": _text,
    "use": _text,
    "require": _rules,
    "prefer": _rules,
    "outputs": _outputs,
    "channels": _channels,
    "modality": _text,
    "orient": _orient,
    "configuration": _text,
    "folds": _folds,
    "checkpoint": _which,
}

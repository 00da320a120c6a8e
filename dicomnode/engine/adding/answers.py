"""Questions about an engine in the making, each with what is proposed, and the answers to them.

One way for all: an answer stands in a file or on the command line, is asked for on a terminal, or is what was
proposed. What the network itself tells is taken without a word; what is a guess wants somebody's yes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.faults import ANSWER_WRONG, QUESTIONS_OPEN, NodeError
from dicomnode.settings.reader import nearest

Check = Callable[[Any], Any]
"""Gives the answer in the form that is needed; raises ValueError with what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What must be known. key: what the answer is called. proposal: None where nothing can be proposed."""

    key: str
    text: str
    proposal: Any
    check: Check

    @property
    def example(self) -> str:
        """An answer as --set takes it."""
        return assignment(self.key, "…" if self.proposal is None else self.proposal)


@dataclass(slots=True)
class Answers:
    """Answers that are given, and how to come to the others.

    given: by key. ask: asks a person; None where there is nobody. accept: what is proposed is the answer.
    taken: what came of each question that was put, in their order. known: keys that were looked for.
    """

    given: Mapping[str, Any]
    ask: Callable[[Question], Any] | None = None
    accept: bool = False
    taken: dict[str, Any] = field(default_factory=dict)
    missing: list[Question] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def get(self, key: str, text: str, proposal: Any, check: Check, *, sure: bool = False) -> Any:
        """Put a question and return the answer; while it is missing, what was proposed.

        sure: the network tells it, or nothing depends on it. Raises NodeError(ANSWER_WRONG).
        """
        question = Question(key=key, text=text, proposal=proposal, check=check)
        if key in self.given:
            answer = self._checked(question, self.given[key])
        elif self.ask is not None and not sure:
            answer = self.ask(question)
        else:
            if proposal is None or not (sure or self.accept):
                self.missing.append(question)
            answer = proposal
        self.known.add(key)
        self.taken[key] = answer
        return answer

    def raw(self, key: str, check: Check | None = None) -> Any:
        """Return a piece of engine.toml that is given as it is, tables by default; None when it is not.

        Raises NodeError(ANSWER_WRONG) where it has not the form of such a piece.
        """
        self.known.add(key)
        if key not in self.given:
            return None
        question = Question(key=key, text=f"{key} as in engine.toml", proposal=None, check=check or tables)
        self.taken[key] = self._checked(question, self.given[key])
        return self.taken[key]

    @staticmethod
    def _checked(question: Question, answer: Any) -> Any:
        try:
            return question.check(answer)
        except ValueError as error:
            raise NodeError(ANSWER_WRONG, key=question.key, value=shown(answer), expected=error) from error

    def finish(self, path: object) -> None:
        """Raise NodeError: ANSWER_WRONG for an answer to no question, QUESTIONS_OPEN for what is missing."""
        for key in self.given:
            if key not in self.known:
                hint = nearest(key, sorted(self.known)) or f"Questions: {', '.join(sorted(self.known))}."
                expected = f"the answer to a question. {hint}".rstrip(".")
                raise NodeError(ANSWER_WRONG, key=key, value=shown(self.given[key]), expected=expected)
        if self.missing:
            listed = "".join(
                f"\n  {one.key}: {one.text}"
                + (f" [{shown(one.proposal)}]" if one.proposal is not None else "")
                for one in self.missing
            )
            example = " ".join(f"--set {shlex.quote(one.example)}" for one in self.missing)
            raise NodeError(QUESTIONS_OPEN, path=path, missing=listed, example=example)


def assignment(key: str, value: Any) -> str:
    """Write an answer as --set takes it: names as they are, lists of names with commas."""
    parts = value if isinstance(value, list) else [value]
    plain = all(isinstance(one, str) and re.fullmatch(r"[\w.…-]+", one) for one in parts)
    return f"{key}={','.join(parts) if plain else shown(value)}"


def shown(value: Any) -> str:
    """Write a value as TOML does, on one line."""
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {shown(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(one) for one in value) + "]"
    return toml_text({"v": value}).removeprefix("v = ").strip()


# ── what answers can be ──


def text(value: Any) -> str:
    """Check for some text on one line."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("some text")
    return " ".join(value.split())


def name(value: Any) -> str:
    """Check for a name as engine.toml has them."""
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value) is None:
        raise ValueError("a name of letters, digits, '-', '_' and '.', at most 64")
    return value


def one_of(*choices: str) -> Check:
    """Check for one of some words."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


def matching(pattern: str, expected: str) -> Check:
    """Check for a text of a form."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValueError(expected)
        return value

    return check


def items(value: Any) -> list[Any]:
    """Check for a list; a text is one with commas between."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence) or not value:
        raise ValueError('a list, such as ["liver", "spleen"]')
    return list(value)


def tables(value: Any) -> list[dict[str, Any]]:
    """Check for a list of tables."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise ValueError("a list of tables, as in engine.toml")
    return [dict(one) for one in value]


def table(value: Any) -> dict[str, Any]:
    """Check for a table."""
    if not isinstance(value, Mapping):
        raise ValueError("a table, as in engine.toml")  # noqa: TRY004  what every check raises
    return dict(value)


def texts(value: Any) -> list[str]:
    """Check for a list of texts; a text is one with commas between."""
    found = items(value) if isinstance(value, str | list) and value else []
    if not found or not all(isinstance(one, str) for one in found):
        raise ValueError("a list of texts, as in engine.toml")
    return found


def numbers(count: int, *, word: str = "", whole: bool = False) -> Check:
    """Check for so many numbers above 0 (one number counts for all), or for a word instead."""
    what = f"{count} {'whole ' if whole else ''}numbers above 0" + (f', or "{word}"' if word else "")

    def check(value: Any) -> list[float] | list[int] | str:
        if word and value == word:
            return word
        try:
            found = [float(one) for one in (items(value) if isinstance(value, str | list) else [value])]
        except (TypeError, ValueError) as error:
            raise ValueError(what) from error
        found = found * count if len(found) == 1 else found
        if (
            len(found) != count
            or not all(one > 0 for one in found)
            or any(isinstance(value, bool) for _ in found)
        ):
            raise ValueError(what)
        if not whole:
            return found
        if not all(one.is_integer() for one in found):
            raise ValueError(what)
        return [int(one) for one in found]

    return check

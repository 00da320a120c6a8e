"""Words and rules that all tables of engine.toml share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from dicomnode.settings.keys import Rule, needed
from dicomnode.values.codes import Code

Scalar = str | int | float | bool

PROPORTION: Final = Rule("0 to 1", lambda n: 0 <= n <= 1)
POSITIVES: Final = Rule("numbers above 0", lambda numbers: all(n > 0 for n in numbers))
COLOUR: Final = Rule("three numbers, 0 to 255", lambda numbers: all(0 <= n <= 255 for n in numbers))
SOME: Final = Rule("at least one", lambda items: len(items) > 0)
RANGE: Final = Rule("smallest, largest", lambda pair: pair[0] < pair[1])


def table(doc: str) -> Any:
    """Declare a key whose value is a table with free names; without it there are none."""
    return field(default_factory=dict, metadata={"doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSpec:
    """A coded concept as engine.toml writes it: { scheme = "SCT", code = "39607008", meaning = "Lung" }."""

    scheme: str = needed("Coding scheme.", Rule("1 to 16 characters", lambda t: 0 < len(t) <= 16))
    code: str = needed("Code value.", Rule("1 to 16 characters", lambda t: 0 < len(t) <= 16))
    meaning: str = needed("Code meaning, for people.", Rule("1 to 64 characters", lambda t: 0 < len(t) <= 64))

    @property
    def coded(self) -> Code:
        """The same as a value."""
        return Code(self.code, self.scheme, self.meaning)

"""Outputs of an engine, and which labels are their counterparts: by code, by label, or as said by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicomnode.engine import Manifest, OutputSpec
from dicomnode.faults import MATCH_WRONG, NodeError
from dicomnode.values import Code
from dicomnode.values.codes import LEFT, RIGHT

_NUMBER_AT_END: Final = re.compile(r"[\s_\-#]*\d+$")
_SIDES: Final = {LEFT: "left", RIGHT: "right"}


class By(StrEnum):
    """How a label and an output came together, the surest first."""

    SAID = "said"
    CODE = "code"
    LABEL = "label"


def plain(text: str) -> str:
    """Return a label as it is compared: without case, and hyphens and underscores are spaces."""
    return re.sub(r"[\s_\-]+", " ", text).strip().casefold()


def unnumbered(text: str) -> str:
    """Return a label without the number at its end: "nodule-3" is a nodule."""
    return _NUMBER_AT_END.sub("", text) or text


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One output that a truth is wanted for. said: labels that a person named for it, () for none."""

    spec: OutputSpec
    said: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As Findings name it; of lesions and regions the stem of their labels."""
        spec = self.spec
        of_one = spec.what == "segment" and not self.is_lesion
        return f"{spec.label}-{spec.laterality}" if of_one and spec.laterality else spec.label

    @property
    def is_lesion(self) -> bool:
        """Whether there may be several of it, each with a place of its own."""
        return self.spec.what == "region" or self.spec.kind == "lesion"

    @property
    def words(self) -> frozenset[str]:
        """Its names, `plain`: the label and what its code means, with the side before or behind."""
        stems = {self.spec.label, *([self.spec.type.meaning] if self.spec.type is not None else [])}
        side = self.spec.laterality
        names = {f"{side} {stem}" for stem in stems} | {f"{stem} {side}" for stem in stems} if side else stems
        return frozenset(plain(name) for name in names)

    def fits(
        self,
        label: str,
        type_: Code | None,
        *,
        laterality: Code | None = None,
        site: Code | None = None,
    ) -> By | None:
        """Tell how a segment or region of others is a counterpart; None where it is none.

        A site or a side that both name must be the same. A side that the output has and the label does not
        say is no match by code.
        """
        if self.said:
            names = {plain(label), plain(unnumbered(label)), *([plain(type_.meaning)] if type_ else [])}
            return By.SAID if names & {plain(one) for one in self.said} else None
        spec = self.spec
        if spec.site is not None and site is not None and spec.site.coded != site:
            return None
        if spec.laterality is not None and laterality in _SIDES and laterality != spec.laterality_code:
            return None
        is_type = spec.type is not None and type_ is not None and type_ == spec.concept
        if is_type and (spec.laterality is None or laterality == spec.laterality_code):
            return By.CODE
        side = _SIDES.get(laterality) if laterality is not None else None
        names = {label, unnumbered(label), *([f"{side} {label}"] if side else [])}
        return By.LABEL if self.words & {plain(name) for name in names} else None

    def column(self, columns: Sequence[str]) -> tuple[str, By] | None:
        """Return the column of a table that speaks of it; None where there is none."""
        by_name = {plain(column): column for column in columns}
        for one in self.said:
            if plain(one) in by_name:
                return by_name[plain(one)], By.SAID
        if self.said:
            return None
        for name in sorted(self.words):
            if name in by_name:
                return by_name[name], By.LABEL
        return None


def wanted_outputs(manifest: Manifest, said: Mapping[str, tuple[str, ...]]) -> tuple[Wanted, ...]:
    """Return every output of an engine, in the order of the manifest. said: as `said_counterparts` gives."""
    named = (Wanted(spec=spec) for spec in manifest.output)
    return tuple(Wanted(spec=one.spec, said=said.get(one.label, ())) for one in named)


def said_counterparts(
    texts: Sequence[str], manifest: Manifest, *, others_too: bool = False
) -> dict[str, tuple[str, ...]]:
    """Read OUTPUT=LABEL; several labels of one output add up.

    others_too: an output that this engine does not have may be one of another, and is passed over. Raises
    NodeError(MATCH_WRONG).
    """
    known = {plain(one.label): one.label for one in wanted_outputs(manifest, {})}
    said: dict[str, tuple[str, ...]] = {}
    for text in texts:
        output, equals, label = (part.strip() for part in text.partition("="))
        if not (output and equals and label):
            raise NodeError(MATCH_WRONG, text=text, problem="it is not of the form OUTPUT=LABEL")
        if plain(output) not in known and others_too:
            continue
        if plain(output) not in known:
            problem = f"the engine gives {', '.join(known.values())}"
            raise NodeError(MATCH_WRONG, text=text, problem=problem)
        name = known[plain(output)]
        said[name] = (*said.get(name, ()), label)
    return said

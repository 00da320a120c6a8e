"""What is outlined in the studies: structures told apart by code and side, else by their labels' words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final, Literal

from dicomnode.engine.adding.labelling import CATEGORIES, code_table, meaning_of, segment_of, stem_of
from dicomnode.values import AnnotatedSegment, Annotation, Code, MadeBy, Mask
from dicomnode.values.codes import LEFT, RIGHT

Kind = Literal["anatomy", "lesion", "tissue"]
Key = tuple[str, str, str]

_KIND_OF: Final[Mapping[str, Kind]] = {table["code"]: kind for kind, table in CATEGORIES.items()}
_SIDES: Final = {LEFT.value: "left", RIGHT.value: "right"}
_TRUST: Final = {
    MadeBy.KNOWN: 4,
    MadeBy.PERSON: 3,
    MadeBy.SEMI: 2,
    MadeBy.UNKNOWN: 1,
    MadeBy.MACHINE: 0,
}
_MEASURES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "anatomy": ("volume_ml",),
    "tissue": ("volume_ml",),
    "lesion": ("volume_mm3", "long_axis_mm", "short_axis_mm"),
}
_IN_HU: Final = ("mean_hu", "sd_hu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One thing that is learned. name: of the label in engine.toml, with its side; title: as people wrote it.

    studies: how many have it outlined; by_machine: outlines that an algorithm made and nobody looked at.
    """

    key: Key
    name: str
    title: str
    kind: Kind
    category: Code | None
    type: Code | None
    laterality: Code | None
    site: Code | None
    studies: int
    by_machine: int

    @property
    def side(self) -> str | None:
        """Which side: "left", "right", or None."""
        return None if self.laterality is None else _SIDES.get(self.laterality.value)

    @property
    def stem(self) -> str:
        """The name without its side, as engine.toml has it."""
        return _stem(self.title, self.side)

    def output(self, step: str, channel: int, *, in_hu: bool) -> dict[str, Any]:
        """Return the [[output]] table: codes that were read, for the rest those that its words mean."""
        measure = [*_MEASURES[self.kind], *(_IN_HU if in_hu else ())]
        made = segment_of(meaning_of(self.title), self.title, measure)
        made.pop("laterality", None)
        made |= {"segment": self.stem, "kind": self.kind, "category": dict(CATEGORIES[self.kind])}
        for name in ("category", "type", "site"):
            code: Code | None = getattr(self, name)
            if code is not None:
                made[name] = code_table(code)
        if self.side is not None:
            made["laterality"] = self.side
        words = re.sub(r"[{}]", "", self.title).strip()[:48] or self.name
        words = words if self.side is None or self.side in words.lower() else f"{words} {self.side}"
        made["tracking"] = f"{words} {{number}}" if self.kind == "lesion" else words
        return made | {"step": step, "channel": channel}


def key_of(segment: AnnotatedSegment) -> Key:
    """Return what tells structures apart: scheme and value of the type, else the label's words; and the side.

    A number at the end of a label counts findings of one kind: "nodule 3" is a nodule.
    """
    side = segment.laterality.value if segment.laterality is not None else ""
    if segment.type is not None:
        return segment.type.scheme, segment.type.value, side
    words = re.sub(r"[\s_-]*\d+$", "", segment.label.strip().lower())
    return "", words or "label", side


def structures_of(
    studies: Iterable[Sequence[Annotation]], wanted: Sequence[str] = ()
) -> tuple[Structure, ...]:
    """Return the structures that any study has outlined, the most frequent first; of equals by their name.

    wanted: names or titles of those to be learned, in this order; all unless given.
    """
    found: dict[Key, list[AnnotatedSegment]] = {}
    counts: Counter[Key] = Counter()
    for study in studies:
        segments = [one for each in study if each.grid is not None for one in each.segments]
        for segment in segments:
            found.setdefault(key_of(segment), []).append(segment)
        counts.update({key_of(one) for one in segments})
    made = [_structure(key, segments, counts[key]) for key, segments in found.items()]
    made.sort(key=lambda one: (-one.studies, one.name, one.key))
    made = _distinct(made)
    if not wanted:
        return tuple(made)
    words = {name: stem_of(name) for name in wanted}
    chosen = [one for name in wanted for one in made if words[name] in {one.name, stem_of(one.title)}]
    return tuple(dict.fromkeys(chosen))


def _structure(key: Key, segments: Sequence[AnnotatedSegment], studies: int) -> Structure:
    title = Counter(re.sub(r"[\s_-]*\d+$", "", one.label.strip()) for one in segments).most_common(1)[0][0]
    first = segments[0]
    title = title or (first.type.meaning if first.type is not None else "label")
    category = next((one.category for one in segments if one.category is not None), None)
    kind = _KIND_OF.get(category.value) if category is not None else None
    side = None if first.laterality is None else _SIDES.get(first.laterality.value)
    stem = _stem(title, side)
    return Structure(
        key=key,
        name=stem if side is None else f"{stem}-{side}",
        title=title,
        kind=kind or meaning_of(title).kind,
        category=category,
        type=first.type,
        laterality=first.laterality,
        site=next((one.site for one in segments if one.site is not None), None),
        studies=studies,
        by_machine=sum(one.made_by is MadeBy.MACHINE for one in segments),
    )


def _stem(title: str, side: str | None) -> str:
    """Return a title as a label may be, without the word of its side where the side is said apart."""
    words = re.split(r"[\s_-]+", title)
    rest = [word for word in words if word.lower() != side]
    return stem_of(" ".join(rest or words))


def _distinct(structures: Sequence[Structure]) -> list[Structure]:
    """Give a second structure of one name the value of its code."""
    seen: set[str] = set()
    made = []
    for one in structures:
        name = one.name if one.name not in seen else f"{one.name}-{stem_of(one.key[1])}"
        seen.add(name)
        title = one.title if name == one.name else f"{one.title} {one.key[1]}"
        made.append(replace(one, name=name, title=title))
    return made


def outlined(
    annotations: Sequence[Annotation], structures: Sequence[Structure]
) -> dict[int, tuple[Annotation, Mask]]:
    """Return for each structure, by its number, the outline that counts, with the object that it is of.

    What a later object took the place of does not count. Of several objects that have the structure: what a
    person drew before what a person led before an algorithm, of these the latest, then the highest UID.
    Findings of one kind in one object are one mask. An empty mask says: looked for, and not there.
    """
    replaced = {uid for one in annotations for uid in one.predecessors}
    current = [one for one in annotations if one.sop_instance_uid not in replaced and one.grid is not None]
    found = {}
    for number, structure in enumerate(structures):
        able = []
        for annotation in current:
            own = [one for one in annotation.segments if key_of(one) == structure.key]
            if own:
                trust = max(_TRUST[one.made_by] for one in own)
                when = annotation.made_at.isoformat() if annotation.made_at is not None else ""
                mask = reduce(Mask.union, (one.mask for one in own))
                able.append(((trust, when, annotation.sop_instance_uid), annotation, mask))
        if able:
            _, annotation, mask = max(able, key=lambda one: one[0])
            found[number] = (annotation, mask)
    return found

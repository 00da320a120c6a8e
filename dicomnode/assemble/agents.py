"""The contrast agents of an enhanced object, frame by frame, in the words of classic images.

An enhanced object numbers its agents and codes by which route each is given (PS3.3 C.7.6.4b); each frame says
which of them had been given by then, and in which phase it was taken (C.7.6.16.2.12). Several at once are
usual: one is drunk, another injected, and the phase is that of the injected one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement

from dicomnode.assemble.attributes import items_of, text_of, whole_of
from dicomnode.assemble.contrast import is_beside_the_blood
from dicomnode.assemble.dataset import base_tag

SEQUENCE: Final = "ContrastBolusAgentSequence"
_USAGE: Final = "ContrastBolusUsageSequence"
_TAG: Final = base_tag(tag_for_keyword(_USAGE) or 0)
_REMEMBERED: Final = 1024  # usages of one object that differ
_AND: Final = " + "

# PS3.16 CID 11, in SNOMED CT and as SNOMED RT wrote it: what people write into Contrast/Bolus Route. Meanings
# may be in any language; of other codes the meaning is taken.
_ROUTES: Final[Mapping[str, str]] = {
    code: word
    for codes, word in (
        (("47625008", "G-D101"), "INTRAVENOUS"),
        (("58100008", "G-D102"), "INTRA-ARTERIAL"),
        (("372463005", "G-D17C"), "INTRACORONARY"),
        (("372460008", "G-D173"), "INTRACARDIAC"),
        (("420287000", "R-F2C86"), "INTRACARDIAC"),
        (("26643006", "G-D140"), "ORAL"),
        (("37161004", "G-D160"), "RECTAL"),
        (("72607000", "G-D108"), "INTRATHECAL"),
        (("12130007", "G-D109"), "INTRA-ARTICULAR"),
        (("38239002", "G-D106"), "INTRAPERITONEAL"),
        (("37737002", "G-D144"), "INTRALUMINAL"),
        (("16857009", "G-D164"), "VAGINAL"),
        (("446406008", "R-40B32"), "BY INHALATION"),
    )
    for code in codes
}


@dataclass(frozen=True, slots=True)
class _Agent:
    name: str
    route: str

    @property
    def is_in_the_blood(self) -> bool:
        return not is_beside_the_blood(self.name, self.route)


class Agents:
    """What an object says of its agents. shared: the functional groups of all frames."""

    def __init__(self, dataset: Dataset, shared: Sequence[Dataset]) -> None:
        self._agents = {
            whole_of(item, "ContrastBolusAgentNumber") or number: _agent(item)
            for number, item in enumerate(items_of(dataset, SEQUENCE), start=1)
        }
        self._seen: dict[bytes, tuple[DataElement, ...]] = {}
        self._of_all = tuple(usage for group in shared for usage in items_of(group, _USAGE))

    def tell(self, group: Dataset, frame: Dataset) -> None:
        """Write agent, route and phase into the data set of a frame; group: what is of this frame alone."""
        if not self._agents:
            return
        raw: object = group.get_item(_TAG) if _TAG in group.keys() else None  # noqa: SIM118  as in `value_of`
        written = raw.value if isinstance(raw, RawDataElement) else None
        as_read = bool(written) or raw is None
        elements = self._seen.get(written or b"") if as_read else None
        if elements is None:
            elements = self._elements(items_of(group, _USAGE) or self._of_all)
            if as_read and len(self._seen) < _REMEMBERED:
                self._seen[written or b""] = elements
        for element in elements:
            frame[element.tag] = element

    def _elements(self, usages: Sequence[Dataset]) -> tuple[DataElement, ...]:
        used = [
            (self._agents[number], usage)
            for usage in usages
            if (number := whole_of(usage, "ContrastBolusAgentNumber")) in self._agents
        ]
        given = [one for one, usage in used if text_of(usage, "ContrastBolusAgentAdministered") != "NO"]
        agents = given if usages else list(self._agents.values())
        phases = [
            text_of(usage, "ContrastBolusAgentPhase")
            for one, usage in sorted(used, key=lambda pair: pair[0] not in given)
            if one.is_in_the_blood
        ]
        said = {
            "ContrastBolusAgent": _AND.join(one.name for one in agents if one.name),
            "ContrastBolusRoute": _AND.join(dict.fromkeys(one.route for one in agents if one.route)),
        }
        elements = [_element(keyword, "LO", text) for keyword, text in said.items() if text]
        if used:  # also where none of them is injected: then there is no phase
            elements.append(_element("ContrastBolusAgentPhase", "CS", next(filter(None, phases), "")))
        return tuple(elements)


def _element(keyword: str, vr: str, value: str) -> DataElement:
    return DataElement(tag_for_keyword(keyword) or 0, vr, value)


def _agent(item: Dataset) -> _Agent:
    names = [item, *items_of(item, "ContrastBolusIngredientCodeSequence")]
    named = (text_of(one, keyword) for keyword in ("CodeMeaning", "CodeValue") for one in names)
    route = (*items_of(item, "ContrastBolusAdministrationRouteSequence"), Dataset())[0]
    word = _ROUTES.get(text_of(route, "CodeValue")) or text_of(route, "CodeMeaning")
    return _Agent(name=next(filter(None, named), ""), route=word)

"""In which phase of a contrast agent a stack was taken: from attributes, then words, then times.

What speaks plainest decides. Words come before times: a site that writes "portal venous" has looked, while
the start of the injection is often that of the protocol, or of an earlier one.
"""

from __future__ import annotations

import re
from typing import Final

from dicomnode.assemble.day_times import DAY_S, seconds_of_day
from dicomnode.assemble.record import Header

# PS3.3 C.7.6.4b Contrast/Bolus Agent Phase (0018,9344) of enhanced objects
_PHASES: Final = {
    "PRE_CONTRAST": "none",
    "ARTERIAL": "arterial",
    "CAPILLARY": "arterial",
    "VENOUS": "venous",
    "PORTAL_VENOUS": "venous",
    "DELAYED": "delayed",
    "POST_CONTRAST": "given",
    "IMMEDIATE": "given",
    "DYNAMIC": "given",
    "STEADY_STATE": "given",
}

# What makers and sites write, in English, German, French, Spanish and Italian. The first that fits counts:
# "late arterial" is arterial, "without contrast" is not "contrast".
_WITH: Final = r"(?:with|w|mit|avec|con|post|after|nach)"
_WITHOUT: Final = r"(?:without|w ?o|ohne|sans|sin|senza|pre)"
_AND: Final = r"(?: (?:iv|i v|contrast|km|injection|mdc|and|und|et|y|e|or|then))*"
_NONE: Final = re.compile(
    r"\b(?:(?<!nicht )(?<!not )nativ\w*|non ?contrast|no ?contrast|unenhanced|(?:non|not) ?enhanced|plain|"
    r"precontrast|pre contrast|ncct|nect|"
    r"(?:without|w ?o|ohne|sans|sin|senza) (?:iv |i v |any )?"
    r"(?:contrast\w*|contraste|kontrast\w*|km|iv|injection|mdc|c))\b"
)
_BOTH: Final = re.compile(rf"\b(?:{_WITH}{_AND} {_WITHOUT}|{_WITHOUT}{_AND} {_WITH})\b")
_GIVEN: Final = (
    r"\b(?:post ?contrast|contrast enhanced|cect|"
    rf"{_WITH} (?:iv |i v )?"
    r"(?:contrast\w*|contraste|kontrast\w*|km|iv|injection|mdc|gad\w*|gd))\b"
)
_WORDS: Final = tuple(
    (re.compile(pattern), phase)
    for pattern, phase in (
        (r"\b(?:arteri\w*|artériel\w*|art|cta|cecta|angio\w*|hap|corticomedull\w*)\b", "arterial"),
        (r"\b(?:delay\w*|late|spät\w*|tardi\w*|excret\w*|equilibrium|washout|urogra\w*)\b", "delayed"),
        (
            r"\b(?:port(?:al|ale|alven\w*|o\w*)|ven[oö]?s\w*|veineu\w*|ven|pv|pvp|nephrogr\w*)\b",
            "venous",
        ),
        (_GIVEN, "given"),
    )
)
_WORDS_FROM: Final = ("SeriesDescription", "ProtocolName")

# Contrast/Bolus Agent is free text (PS3.3 C.7.6.4): sites also write that there was none. Whole words: many
# agents are called non-ionic.
_NO_AGENT: Final = re.compile(
    r"(?:n|no|non|nil|n ?a|0|nein|(?:none|ohne|sans|without|(?:no|non) ?contrast)(?: .*)?)"
)

# What is drunk, or given by a tube or an enema, says nothing of a phase, nor does what is put into a joint or
# around the spine: words of Contrast/Bolus Route (0018,1040, LO), …
_OTHER_ROUTE: Final = (
    r"oral\w*|per ?os|po|p o|enteral\w*|entéral\w*|rectal\w*|enema|einlauf|naso ?gastric|ng(?: tube)?|sonde|"
    r"intra ?thecal\w*|intra ?articular\w*|intra ?artikul\w*|intra ?vesical\w*|intra ?peritoneal\w*|"
    r"intra ?luminal\w*|vaginal\w*|inhal\w*|per rectum|drunk"
)
# … and what only an agent is called that is given so, in whatever words the route is left out
_OTHER_AGENT: Final = (
    r"barium\w*|baryt\w*|gastrogra\w*|gastro ?lux|gastro ?vist|micropaque|e z cat\w*|readi cat\w*|ez ?cat\w*|"
    r"water|wasser|eau|agua|acqua|mannitol\w*|milk|milch|volumen|telebrix gastro|air|luft|methylcellulose"
)
_INTO_BLOOD: Final = re.compile(r"\b(?:iv|i v|ia|i a|intra ?(?:ven|arter|vascul|coronar|card)\w*|venous)\b")
_BESIDE_BLOOD: Final = re.compile(rf"\b(?:{_OTHER_ROUTE})\b")
_NOT_FOR_BLOOD: Final = re.compile(rf"\b(?:{_OTHER_ROUTE}|{_OTHER_AGENT})\b")
_NAMED: Final = re.compile(r"[^\W\d_]")  # letters of any script: an agent or a route …
_AMOUNT: Final = re.compile(r"\b\d*\s?(?:ml|mg|cc|cm|g|l)\b|\b\d+\b")  # … and not its amount
_AND_ANOTHER: Final = re.compile(r"[+&,;/\\]|\b(?:and|und|et|con|with|mit|avec|plus)\b", re.IGNORECASE)

# Seconds from the start of the injection: by then the phase is there in the trunk of most patients
_SECONDS: Final = ((15.0, 45.0, "arterial"), (50.0, 120.0, "venous"), (150.0, 1800.0, "delayed"))


def contrast_of(header: Header) -> str | None:
    """Return "none", "arterial", "venous" (also portal), "delayed", "given"; None where nothing says it.

    "given": there is an agent, and its phase is not told. Nothing said is not "none": many scanners send no
    word of an injection. An agent that is named counts more than words that say there is none, but for one
    that does not go into the blood: of that no phase is told.
    """
    said = _PHASES.get(str(header.tags.get("ContrastBolusAgentPhase") or ""))
    written = str(header.tags.get("ContrastBolusAgent") or "")
    agent = _plain(written)
    if agent and _NO_AGENT.fullmatch(agent):
        return "none"
    if is_beside_the_blood(written, str(header.tags.get("ContrastBolusRoute") or "")):
        agent = ""
    words = _of_words(header)
    if agent and words == "none":
        words = None  # who enters an agent knows more than the name of a protocol
    known = [one for one in (said, words, _of_times(header) if agent else None) if one]
    telling = [one for one in known if one != "given"]
    if telling:
        return telling[0]
    return "given" if known or agent else None


def is_beside_the_blood(agent: str, route: str) -> bool:
    """Tell whether an agent is given by mouth, or else not into a vessel, by its name and its route."""
    route = _plain(route)
    if _INTO_BLOOD.search(route):
        return False
    if _BESIDE_BLOOD.search(route):
        return True
    parts = [_plain(one) for one in _AND_ANOTHER.split(agent)]
    named = [part for part in parts if _NAMED.search(_AMOUNT.sub("", part))]
    return bool(named) and all(_NOT_FOR_BLOOD.search(part) and not _INTO_BLOOD.search(part) for part in named)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def _of_words(header: Header) -> str | None:
    for keyword in _WORDS_FROM:
        phase = _of_text(_plain(str(header.tags.get(keyword) or "")))
        if phase is not None:
            return phase
    return None


def _of_text(text: str) -> str | None:
    """Return the phase that a text names; with and without an agent names none."""
    rest = _NONE.sub(" ", text)
    phase = next((phase for pattern, phase in _WORDS if pattern.search(rest)), None)
    if _BOTH.search(text):
        return phase if phase != "given" else None
    if rest == text:
        return phase
    return "none" if phase is None else None


def _of_times(header: Header) -> str | None:
    start = seconds_of_day(header.tags.get("ContrastBolusStartTime"))
    taken = seconds_of_day(header.tags.get("AcquisitionTime"))
    if start is None or taken is None:
        return None
    after = (taken - start) % DAY_S  # over midnight, too
    return next((phase for first, last, phase in _SECONDS if first <= after <= last), None)

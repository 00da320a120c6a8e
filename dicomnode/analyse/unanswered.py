"""What steps for each lesion could not tell: in the words of the report, not in those of engine.toml."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.engine import Manifest, OutputSpec, StepSpec
from dicomnode.values import Remark, RemarkKind


def unanswered(manifest: Manifest, step: StepSpec, reasons: Sequence[str], count: int) -> tuple[Remark, ...]:
    """Say of how many lesions a step has told nothing, what they lack by it, and why; reasons: of each.

    count: of all lesions. What follows from its answers is lacking as well: the class that a row is for.
    """
    if not reasons:
        return ()
    what = " or ".join(_lacking(manifest, step)) or "answer"
    have = "has" if len(reasons) == 1 else "have"
    text = f"{_called(manifest, step)}: {len(reasons)} of {count} candidates {have} no {what} ({reasons[0]})."
    return (Remark(kind=RemarkKind.LIMIT, text=text),)


def _lacking(manifest: Manifest, step: StepSpec) -> list[str]:
    """Name what a lesion has by this step and by those that read it, in the order of the outputs."""
    reading = {step.name}
    for later in manifest.step:  # each reads earlier ones only
        if later.each is not None and any(reading & set(feed.of) for feed in later.inputs.values()):
            reading.add(later.name)
    told = [_name(one) for one in manifest.output if one.step in reading]
    told += ["score" for one in manifest.output if one.score is not None and one.score.of in reading]
    return list(dict.fromkeys(told))


def _name(output: OutputSpec) -> str:
    if output.attribute is not None:
        return output.attribute.meaning.lower()
    return "features" if output.type is None else output.type.meaning.lower()


def _called(manifest: Manifest, step: StepSpec) -> str:
    """Return what the lesions are that a step goes through."""
    names = {
        one.concept.meaning
        for one in manifest.output
        if one.what in ("segment", "region") and step.each in (one.step, f"{one.step}/{one.head}")
    }
    return names.pop() if len(names) == 1 else "Lesions"

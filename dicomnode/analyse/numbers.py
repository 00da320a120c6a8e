"""What has no outline: classes, numbers, maps, images, features, with their labels, codes and units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomnode.analyse.each import lesions_of
from dicomnode.analyse.interpret import Reading
from dicomnode.analyse.steps import Result
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.values import (
    Classification,
    ClassProbability,
    Code,
    DerivedImage,
    FeatureVector,
    Float64,
    FrameScore,
    Measurement,
    Remark,
    RemarkKind,
    ScalarMap,
    Volume,
)


@dataclass(slots=True, eq=False)
class Numbers:
    """What has no outline, in the order of the manifest, and what must be said of it."""

    classifications: list[Classification] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    maps: list[ScalarMap] = field(default_factory=list)
    images: list[DerivedImage] = field(default_factory=list)
    features: list[FeatureVector] = field(default_factory=list)
    frame_scores: list[FrameScore] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def say(self, text: str, kind: RemarkKind = RemarkKind.LIMIT) -> None:
        """Add a remark."""
        self.remarks.append(Remark(kind=kind, text=text))


def number(manifest: Manifest, results: Mapping[str, Result], volume: Volume) -> Numbers:
    """Give what the heads of all steps gave beside segments and boxes its label, codes and units.

    Each channel that an [[output]] names is there: `run_network` has looked.
    """
    numbers = Numbers()
    for output in manifest.output:
        if output.what in _MAKERS and manifest.each_of(output) is None:
            result = results[output.step].of_head(output.head)
            made = _MAKERS[output.what](numbers, output, result, (manifest.channel_of(output), volume))
            if not made:
                why = result.unseen or "the network gave none"
                numbers.say(f"{output.label}: not determined, as {why}.", RemarkKind.NOT_ANALYSED)
    _say_what_is_not_sent(numbers, list(_features_of_lesions(manifest, results)))
    return numbers


def _features_of_lesions(manifest: Manifest, results: Mapping[str, Result]) -> Iterator[str]:
    """Give the features that single lesions have, where there is any lesion."""
    for output in manifest.output:
        step, _, head = (manifest.each_of(output) or "").partition("/")
        if output.what == "features" and step and lesions_of(results[step].of_head(head)):
            yield output.label


def told_of_lesion(
    manifest: Manifest,
    output: OutputSpec,
    found: tuple[str, Reading | None],
    volume: Volume,
    numbers: Numbers,
) -> None:
    """Add what an [[output]] of a step for each lesion says of one lesion: its class, number or features.

    found: what made it, and what that said of the lesion; None: nothing, as the remarks of the step say.
    """
    label, reading = found
    if reading is not None:
        result = Result(label=label, reading=reading)
        _MAKERS[output.what](numbers, output, result, (manifest.channel_of(output), volume))


def _classification(numbers: Numbers, output: OutputSpec, result: Result, where: tuple[int, Volume]) -> bool:
    channel, volume = where
    reading = result.reading
    if reading.probabilities is None:
        return False
    threshold = output.threshold if reading.threshold is None else reading.threshold
    numbers.classifications.append(
        Classification(
            label=output.label,
            type=output.concept,
            probability=float(reading.probabilities[channel]),
            threshold=threshold,
            probabilities=_all_classes(reading.probabilities, reading.names),
            algorithm=result.label,
            calibrated=output.calibrated,
            attribute=None if output.attribute is None else output.attribute.coded,
        )
    )
    numbers.frame_scores += [
        FrameScore(
            label=output.label, type=output.concept, frame=volume.frames[k], k=k, score=float(row[channel])
        )
        for k, row in reading.frames
    ]
    return True


def _all_classes(probabilities: Float64, names: tuple[str, ...]) -> tuple[ClassProbability, ...]:
    if len(probabilities) < 2:
        return ()
    labels = names or tuple(f"class {n}" for n in range(len(probabilities)))
    return tuple(
        ClassProbability(label=label, probability=float(value))
        for label, value in zip(labels, probabilities, strict=True)
    )


def _measurement(numbers: Numbers, output: OutputSpec, result: Result, where: tuple[int, Volume]) -> bool:
    values = result.reading.values
    if values is None:
        return False
    channels = (where[0], *(output.interval_channels or ()))
    value, *ends = (float(values[channel]) * output.scale + output.offset for channel in channels)
    ends.sort()  # a negative scale turns them round
    numbers.measurements.append(
        Measurement(
            name=output.label,
            concept=output.concept,
            value=value,
            unit=_unit(output, where[1]),
            interval=(ends[0], ends[1]) if ends else None,
            interval_percent=output.interval_percent if ends else None,
        )
    )
    unit = _unit(output, where[1]).value
    if output.plausible is not None and not output.plausible[0] <= value <= output.plausible[1]:
        low, high = output.plausible
        text = (
            f"{output.concept.meaning}: {value:.4g} {unit} lies outside of what is plausible, {low:g} to "
            f"{high:g} {unit}. Do not rely on it."
        )
        numbers.say(text, RemarkKind.QUALITY)
    return True


def _map(numbers: Numbers, output: OutputSpec, result: Result, where: tuple[int, Volume]) -> bool:
    found = result.reading.field
    if found is None:
        return False
    numbers.maps.append(
        ScalarMap(
            label=output.label,
            type=output.concept,
            unit=_unit(output, where[1]),
            values=found.values[where[0]].copy(),
            grid=found.grid,
            algorithm=result.label,
        )
    )
    return True


def _image(numbers: Numbers, output: OutputSpec, result: Result, where: tuple[int, Volume]) -> bool:
    found = result.reading.field
    if found is None:
        return False
    numbers.images.append(
        DerivedImage(
            label=output.label,
            description=output.type.meaning if output.type else output.label,
            unit=_unit(output, where[1]),
            values=found.values[where[0]].copy(),
            grid=found.grid,
            algorithm=result.label,
            type=output.type.coded if output.type else None,
        )
    )
    return True


def _features(numbers: Numbers, output: OutputSpec, result: Result, where: tuple[int, Volume]) -> bool:
    del where
    row = result.reading.row
    if row is None:
        return False
    numbers.features.append(
        FeatureVector(
            label=output.label, names=result.reading.names, values=row.copy(), algorithm=result.label
        )
    )
    return True


def _unit(output: OutputSpec, volume: Volume) -> Code:
    return output.unit.coded if output.unit else volume.unit


_MAKERS: Final = {
    "classification": _classification,
    "measurement": _measurement,
    "map": _map,
    "image": _image,
    "features": _features,
}


def _say_what_is_not_sent(numbers: Numbers, of_lesions: Sequence[str]) -> None:
    """Name what no DICOM object of this version holds: it is kept, and nobody must think it was lost."""
    kept = {
        "features": [one.label for one in numbers.features],
        "features of each lesion": of_lesions,
        "scores of single slices": list(dict.fromkeys(one.label for one in numbers.frame_scores)),
    }
    for what, labels in kept.items():
        if labels:
            numbers.say(f"Kept in the findings, not yet in DICOM: {what} {', '.join(labels)}.")

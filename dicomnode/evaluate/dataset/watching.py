"""What a look keeps of studies while an engine answers them: they need not be decoded again."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.assemble import Stack, StudyFiles
from dicomnode.engine import EnginePackage
from dicomnode.evaluate.dataset.images import ImageFeatures, image_features
from dicomnode.evaluate.running.answering import Answer, Answerer
from dicomnode.values import FeatureVector, Picture, Progress, Volume

StackKey = tuple[str, int]
"""Series Instance UID, and number of the stack in it."""


def key_of(stack: Stack) -> StackKey:
    """Return what names a stack."""
    return stack.facts.series_instance_uid, stack.facts.stack


class Watching:
    """Keeps the features of images as they are decoded for an engine, and those that the engine gives.

    `images` is handed to who decodes (`AnsweringPlan.watch`), `answered` wraps who answers.
    """

    def __init__(self) -> None:
        self.seen: dict[StackKey, ImageFeatures] = {}
        self.given: dict[StackKey, FeatureVector] = {}
        self.by = ""  # which engine gave them, of which output

    def images(self, stack: Stack, images: Volume | Picture) -> None:
        """Take note of what was decoded."""
        self.seen[key_of(stack)] = image_features(images)

    def answered(self, answerer: Answerer) -> Answerer:
        """Return the same answerer; of what it answers, the first vector of features is kept."""
        return _Watched(answerer, self)


class _Watched:
    """Asks the other, and takes note."""

    def __init__(self, answerer: Answerer, watching: Watching) -> None:
        self._answerer, self._watching = answerer, watching

    @property
    def package(self) -> EnginePackage:
        return self._answerer.package

    def __call__(self, study: StudyFiles, progress: Progress) -> Sequence[Answer]:
        answers = self._answerer(study, progress)
        for one in answers:
            vectors = () if one.findings is None else one.findings.features
            if one.stack is not None and vectors:
                self._watching.given.setdefault(key_of(one.stack), vectors[0])
                manifest = self.package.manifest
                self._watching.by = f"{manifest.name} {manifest.version}, {vectors[0].label}"
        return answers

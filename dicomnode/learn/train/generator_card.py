"""The card of a generator: what it has learned from, whether it copies, how good it is, and for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dicomnode.learn.generate.generator_form import ImageForm
from dicomnode.learn.train.card import PartCount, synthetic_lines
from dicomnode.learn.train.generator_drawing import Looked
from dicomnode.learn.train.recipe import Recipe
from dicomnode.values import Refusal

_FEW: Final = 10  # patients held out, below which a figure is a guess

ABOUT: Final = (
    "It draws images that look like those it has learned from. Nothing that it draws was anybody: no image "
    "of it shows a finding of a patient, and none is evidence of anything. For teaching, for tests of "
    "software, and for experiments with training; an engine that learns from its images learns what it has "
    "seen, with its mistakes."
)
GUARD: Final = (
    "Guard this folder as you guard the images: weights may hold parts of them, and known.npz holds each of "
    "them reduced to 16 × 16 greys, by which copies are told. Give it to nobody who may not have the images."
)
_MEASURE: Final = (
    "Distance: root mean square difference of the images reduced to 16 × 16 greys, 0 to 1, mirrored or not. "
    "A detail that is copied into another image is not found by it. Images are called by the first 12 hex "
    "digits of the SHA-256 of the SOP Instance UID of their first file, slices with their number."
)
_JUDGES: Final = (
    "It judges the coarse look of many images together. It does not say that any one of them is right, nor "
    "that a reader would take it for a patient's."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFacts:
    """What the card tells. threshold: distance up to which a drawing is a copy."""

    title: str
    recipe: Recipe
    form: ImageForm
    parts: Sequence[PartCount]
    images: int
    data_digest: str
    column: str
    labels: Sequence[str]
    looked: Looked
    threshold: float
    epochs: int
    best_epoch: int
    best_error: float
    stopped: str
    machine: str
    left_out: Sequence[Refusal] = ()
    begun_from: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def too_near(self) -> int:
        """How many of the images that were drawn for the card are copies."""
        return sum(one.distance <= self.threshold for one in self.looked.nearest)


def generator_card(facts: GeneratorFacts) -> str:
    """Return card.md."""
    lines = [
        f"# {facts.title}",
        "",
        "A generator, trained by `dicomnode train generator`. Not for clinical use.",
    ]
    lines += ["", ABOUT, "", f"**{GUARD}**", "", "## Data", ""]
    lines += ["| part | patients | cases | synthetic |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {one.name} | {one.patients} | {one.cases} | {one.synthetic} |" for one in facts.parts]
    lines += ["", f"Learned from {facts.images} images of the training part: {facts.form.what}."]
    if facts.labels:
        lines += ["", f"What is drawn is told by {facts.column}: {', '.join(facts.labels)}."]
    lines += ["", f"Digest of the data: {facts.data_digest}.", *synthetic_lines(facts.parts)]
    if facts.left_out:
        lines += ["", f"{len(facts.left_out)} cases were left out."]
    lines += ["", "## Is it new?", "", *_copies(facts)]
    lines += ["", "## Is it good?", "", *_likeness(facts)]
    lines += ["", "## Training", "", *(f"- {one}" for one in _training(facts))]
    lines += ["", "The whole recipe is in recipe.toml, the curves in curves.html and curves.csv.", ""]
    lines += ["```toml", facts.recipe.text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _copies(facts: GeneratorFacts) -> list[str]:
    """Say how near the drawn images are to those it has learned from, and give each of them."""
    looked = facts.looked
    drawn = [one.distance for one in looked.nearest]
    said = (
        f"Of {len(drawn)} images that it drew for this card {facts.too_near} are too near to a training "
        f"image: within {facts.threshold:.4f}, as near as one in twenty training images is to its nearest "
        "one of another patient. `dicomnode synth` writes no such image, and draws another."
    )
    lines = [said]
    if looked.held_out:
        beyond = sum(one <= facts.threshold for one in looked.held_out)
        beside = (
            f"By the same measure {beyond} of {len(looked.held_out)} images that were held out are too near, "
            f"which are no copies. Median distance to the nearest training image: {np.median(drawn):.4f} of "
            f"what was drawn, {np.median(looked.held_out):.4f} of what was held out. Were the first far "
            "less, it would repeat what it has seen."
        )
        lines += ["", beside]
    lines += ["", _MEASURE, "", "| drawn | nearest training image | distance |", "| ---: | --- | ---: |"]
    return lines + [
        f"| {n} | {one.image} | {one.distance:.4f} |" for n, one in enumerate(looked.nearest, start=1)
    ]


def _likeness(facts: GeneratorFacts) -> list[str]:
    """Give the discrepancies with the control beside."""
    found = facts.looked.likeness
    if found.drawn is None:
        return ["No images were held out, or one alone: how good it is, is not known."]
    how = (
        f"Squared maximum mean discrepancy of {found.images} images each from {found.held_out} images of "
        f"{found.patients} patients that were held out, all reduced to 16 × 16 greys (Gaussian kernel, its "
        "width the median distance; Gretton et al. 2012). 0: no difference; by chance it is a little below."
    )
    lines = [
        how,
        "",
        "| images | discrepancy from held-out ones |",
        "| --- | ---: |",
        f"| of the training part: as good as can be | {found.training:.4f} |",
        f"| drawn | {found.drawn:.4f} |",
        f"| noise with the mean and spread of the training part | {found.noise:.4f} |",
        "",
        _JUDGES,
    ]
    if found.patients < _FEW:
        lines += ["", f"Held out were {found.patients} patient(s): so few make it a guess."]
    return lines


def _training(facts: GeneratorFacts) -> list[str]:
    recipe = facts.recipe
    kept = (
        f"{facts.epochs} epochs of {recipe.epochs}; the weights of epoch {facts.best_epoch} were kept (mean "
        f"squared error {facts.best_error:.4f} on the validation part)"
    )
    lines = [f"network {recipe.net}, {facts.form.side} × {facts.form.side}, seed {recipe.seed}", kept]
    lines += [f"stopped early: {facts.stopped}"] if facts.stopped else []
    lines += [facts.begun_from] if facts.begun_from else []
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return [*lines, f"trained on {facts.machine}; {versions}"]

"""All that decides a training beside its data: one frozen table, read from TOML, kept in the package."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, get_args

from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.engine.manifest.consistency import PATIENT_TAGS
from dicomnode.engine.manifest.inputs import Requirement
from dicomnode.engine.manifest.vocabulary import SOME
from dicomnode.faults import RECIPE_WRONG, NodeError
from dicomnode.learn.recipes.about import About
from dicomnode.learn.recipes.shelf import recipe_file
from dicomnode.learn.train.usual import with_usual
from dicomnode.settings import Problem, located, read_table
from dicomnode.settings.keys import AT_LEAST_ONE, NAME, NOT_NEGATIVE, POSITIVE, Rule, key, needed
from dicomnode.settings.reader import nearest
from dicomnode.values import FACT_TAGS

Task = Literal["segment", "classify", "regress", "detect", "anomaly", "multitask", "generator"]
NetworkName = Literal[
    "unet",
    "residual_unet",
    "dynunet",
    "segresnet",
    "attention_unet",
    "deeplabv3",
    "small_resnet",
    "densenet121",
    "resnet10",
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "vgg16",
    "gru",
    "autoencoder",
    "vae",
    "diffusion",
]
Scaling = Literal["auto", "foreground", "z_score", "percentile"]
SCHEMA: Final = 1
RECIPE_FILE: Final = "recipe.toml"
ON_GRID: Final[tuple[NetworkName, ...]] = (
    "unet",
    "residual_unet",
    "dynunet",
    "segresnet",
    "attention_unet",
    "deeplabv3",
)
"""Networks that give a map; the others give a row of numbers."""

DETECTORS: Final[tuple[NetworkName, ...]] = ("unet", "residual_unet")
"""Backbones of detectors."""

SHARED: Final[tuple[NetworkName, ...]] = ("dynunet", "segresnet")
"""Networks whose encoder gives a map and rows at once."""

AUTOENCODERS: Final[tuple[NetworkName, ...]] = ("autoencoder", "vae")
"""Networks that draw again what they see."""

GENERATORS: Final[tuple[NetworkName, ...]] = ("diffusion",)
"""Networks that draw what they have not seen."""

_DEFAULT_NETWORK: Final[Mapping[str, NetworkName]] = {
    "segment": "residual_unet",
    "detect": "residual_unet",
    "classify": "small_resnet",
    "regress": "small_resnet",
    "anomaly": "autoencoder",
    "generator": "diffusion",
    "multitask": "dynunet",
}
# With batch normalisation down to a single place
_OF_BATCHES: Final[tuple[NetworkName, ...]] = (
    "deeplabv3",
    "small_resnet",
    "densenet121",
    "resnet10",
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "vgg16",
)
_PART: Final = Rule("0 or more, and below 1", lambda n: 0 <= n < 1)
_PERCENT: Final = Rule("0 or more, and below 100", lambda n: 0 <= n < 100)
_SHARE: Final = Rule("0 to 1", lambda n: 0 <= n <= 1)
_WEIGHTS: Final = Rule("numbers above 0", lambda table: all(n > 0 for n in table.values()))
_POSITIVES: Final = Rule("numbers above 0", lambda numbers: all(n > 0 for n in numbers))
_RATE: Final = Rule("a number above 0, at most 10", lambda n: 0 < n <= 10)
_INSIDE: Final = Rule("above 0 and below 1", lambda n: 0 < n < 1)
_FOLDS: Final = Rule("0, or 2 to 20", lambda n: n == 0 or 2 <= n <= 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to a patch before the network sees it, each with `probability`; the labels go along."""

    probability: float = key(0.5, "How often each of these is done.", _SHARE)
    rotate_degrees: float = key(
        10.0, "Turned by at most so much; flat patches within their plane.", NOT_NEGATIVE
    )
    scale_percent: float = key(10.0, "Made larger or smaller by at most so much.", _PERCENT)
    flip: tuple[Literal["k", "j", "i"], ...] | None = key(
        None, "Axes that are flipped; i unless given, and none where a label has a side."
    )
    noise_sd: float = key(
        0.05, "Standard deviation of the noise that is added, of prepared values.", NOT_NEGATIVE
    )
    brightness: float = key(0.1, "Values are shifted by at most so much.", NOT_NEGATIVE)
    contrast: float = key(0.1, "Values are scaled by 1 and at most so much.", _PART)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRule:
    """One of several series that a network sees at once."""

    name: str = needed("Name of the input.", NAME)
    require: tuple[Requirement, ...] = key((), "Rules, as in [[input.require]] of engine.toml.", SOME)
    register: Literal["none", "rigid", "affine"] = key(
        "none", "How it is laid over the first one, where it has another Frame of Reference."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained. Where None stands, the training part of the data decides.

    spacing_kji_mm: the median of the studies. patch_kji: what the network sees at once; one slice (k = 1)
    makes it a network of two dimensions.
    """

    schema: int = key(SCHEMA, "Version of this file's form.", Rule("1", lambda n: n == SCHEMA))
    task: Task = needed("What is learned.")
    about: About | None = key(None, "What it is for, in words: it decides nothing.")
    network: NetworkName | None = key(None, "Network; one that suits the task unless given.")
    width: int = key(
        16, "Channels of the first level of a U-Net and its kin, and of small_resnet.", AT_LEAST_ONE
    )
    levels: int = key(4, "Levels of a U-Net and its kin.", Rule("2 to 7", lambda n: 2 <= n <= 7))
    dropout: float = key(0.0, "Part of the features that are dropped while it trains.", _PART)
    spacing_kji_mm: tuple[float, float, float] | None = key(
        None, "Spacing along k, j, i that it works at.", _POSITIVES
    )
    patch_kji: tuple[int, int, int] | None = key(
        None, "Voxels that it sees at once, along k, j, i.", _POSITIVES
    )
    series: tuple[SeriesRule, ...] = key(
        (), "Of segment, classify and regress: the series that it sees at once; results go on the first."
    )
    tags: tuple[str, ...] = key(
        (),
        "Of classify and regress: attributes that it sees as numbers, such as PatientAge; a column of that "
        "name in the table stands in for headers without it.",
    )
    frames_per_s: float | None = key(
        None, "Of cines: frames a second that it sees; patch_kji begins with how many.", POSITIVE
    )
    scaling: Scaling = key(
        "auto",
        "How values are scaled: foreground: by mean, spread and percentiles of labelled voxels, of all where "
        "none is labelled (nnU-Net's way for CT); z_score: by those of each study; percentile: 0.5 and 99.5 "
        "of each study to 0 and 1; auto: foreground for Hounsfield units, else z_score.",
    )
    batch: int = key(2, "Patches, or studies, in a step.", AT_LEAST_ONE)
    epochs: int = key(100, "Epochs at most.", AT_LEAST_ONE)
    steps: int = key(
        0, "Steps of an epoch; 0: each training study comes once, in at least 20 steps.", NOT_NEGATIVE
    )
    optimiser: Literal["adamw", "sgd"] = key(
        "adamw", "What takes the steps; sgd with Nesterov's momentum 0.9."
    )
    learning_rate: float = key(1e-3, "Learning rate at the beginning.", _RATE)
    schedule: Literal["cosine", "poly", "constant"] = key(
        "cosine", "How the learning rate falls over the epochs; poly: with the power 0.9."
    )
    weight_decay: float = key(1e-5, "Decay of the weights (L2).", NOT_NEGATIVE)
    l1: float = key(0.0, "Factor of the sum of absolute weights that is added to the loss.", NOT_NEGATIVE)
    loss: Literal["balanced", "focal"] = key(
        "balanced",
        "balanced: Dice and cross entropy of maps, cross entropy of classes; focal: cross entropy that looks "
        "away from what is easy (with Dice for maps).",
    )
    loss_weights: Mapping[str, float] | None = key(
        None,
        "Of multitask: how much more a question counts than the others, by its column; map: the outlines. "
        "Unless given, all count alike.",
        _WEIGHTS,
    )
    focal_gamma: float = key(2.0, "How far focal looks away.", NOT_NEGATIVE)
    class_weights: Literal["balanced", "none"] = key(
        "balanced", "balanced: rare classes weigh more, by how rare they are in the training part."
    )
    sampling: Literal["balanced", "uniform"] = key(
        "balanced",
        "balanced: half of the patches lie at a label, each equally often; classes come equally often.",
    )
    augmentation: Augmentation = field(
        default_factory=Augmentation, metadata={"doc": "What is done to patches while it trains."}
    )
    patience: int = key(20, "It ends when the validation was not better for so many epochs.", AT_LEAST_ONE)
    precision: Literal["auto", "fp32", "mixed"] = key(
        "auto", "mixed: half precision where it is safe, on a GPU; auto: mixed on a GPU, else fp32."
    )
    latent: int = key(256, "Numbers that an autoencoder keeps of a case, about.", AT_LEAST_ONE)
    divergence: float = key(
        1e-3, "Of vae: factor of the divergence of its code from a normal distribution.", NOT_NEGATIVE
    )
    quantile: float = key(
        0.95, "Of anomaly: a score above so large a part of the normal cases is abnormal.", _INSIDE
    )
    threshold_part: float = key(
        0.25,
        "Of anomaly: part of the normal patients of the training part that the network does not see: the "
        "threshold is set on them.",
        _INSIDE,
    )
    noise_steps: int = key(
        1000, "Of generator: steps from an image to noise.", Rule("2 or more", lambda n: n > 1)
    )
    draw_steps: int = key(50, "Of generator: steps from noise to an image when it draws.", AT_LEAST_ONE)
    kept_part: float = key(
        0.995,
        "Of generator: it draws with the mean of its weights, and so much of that stays at a step.",
        _PART,
    )
    seed: int = key(1, "Seed of weights, order, patches and augmentation.", NOT_NEGATIVE)
    folds: int = key(0, "So many trainings by cross-validation before the last one; 0: none.", _FOLDS)
    validate_part: float = key(0.15, "Part of the patients that decide when it ends.", _PART)
    test_part: float = key(0.15, "Part of the patients that are held out for the card.", _PART)

    @property
    def net(self) -> NetworkName:
        """The network: the one given, else that of the task."""
        return self.network or _DEFAULT_NETWORK[self.task]

    @property
    def text(self) -> str:
        """As recipe.toml has it: every key that is set, read back as the same recipe."""
        return toml_text(
            _plain(asdict(self)),
            "How this engine was trained. `dicomnode train --recipe` takes it.",
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what decides in it."""
        return hashlib.sha256(replace(self, about=None).text.encode()).hexdigest()


def read_recipe(path: Path | None, task: Task, given: Mapping[str, Any]) -> Recipe:
    """Read a recipe, of a file or of those that ship; `given` comes before: keys, and "augmentation.KEY".

    Raises NodeError(RECIPE_WRONG) with all problems: of the file, of its keys (an unknown one with the
    nearest that there is), and where the task and the network do not go together; RECIPE_UNKNOWN for a name
    that no recipe has.
    """
    text = ""
    table: dict[str, Any] = {}
    if path is not None:
        path = recipe_file(path, task)
        text, table = _read(path)
    for name, value in given.items():
        section, dot, last = name.partition(".")
        if dot:
            inner = table.setdefault(section, {})
            if isinstance(inner, dict):
                inner[last] = value
        else:
            table[name] = value
    if table.setdefault("task", task) != task:
        _refuse(
            path, [Problem(key="task", value=table["task"], expected=f'"{task}", as the command says')], text
        )
    network = str(table.get("network", _DEFAULT_NETWORK[task]))
    recipe, problems = read_table(Recipe, with_usual(table, task, network), "")
    if recipe is None:
        _refuse(path, problems, text)
    problems = _contradictions(recipe)
    if problems:
        _refuse(path, problems, text)
    return recipe


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        value = error.strerror or str(error)
        problem = Problem(key="file", value=value, expected="a file that can be read", file=str(path))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = Problem(key="file", value=str(error), expected="TOML, as UTF-8", file=str(path))
    raise NodeError(RECIPE_WRONG, path=path, count=1, problems=(problem,))


def _contradictions(recipe: Recipe) -> list[Problem]:
    """Find what no key alone can tell."""
    problems = _fused(recipe)
    fit = _fitting(recipe.task)
    if recipe.net not in fit:
        problems.append(
            Problem(key="network", value=recipe.net, expected=f"one of {', '.join(fit)}, for {recipe.task}")
        )
    if recipe.task == "detect" and recipe.net not in DETECTORS:
        expected = f"one of {', '.join(DETECTORS)}, for detect"
        problems.append(Problem(key="network", value=recipe.net, expected=expected))
    if recipe.task == "generator" and recipe.folds:
        problems.append(Problem(key="folds", value=recipe.folds, expected="0, for generator"))
    if recipe.draw_steps > recipe.noise_steps:
        expected = f"at most noise_steps, {recipe.noise_steps}"
        problems.append(Problem(key="draw_steps", value=recipe.draw_steps, expected=expected))
    if recipe.batch == 1 and recipe.net in _OF_BATCHES:
        expected = f"2 or more: the norms of {recipe.net} are means over a step"
        problems.append(Problem(key="batch", value=1, expected=expected))
    if recipe.validate_part + recipe.test_part >= 1.0:
        problems.append(
            Problem(
                key="test_part",
                value=recipe.test_part,
                expected="with validate_part less than 1 together",
                hint="The rest is trained on.",
            )
        )
    return problems


_OF_SERIES: Final = frozenset({"segment", "classify", "regress"})
_OF_TAGS: Final = frozenset({"classify", "regress"})


def _fused(recipe: Recipe) -> list[Problem]:
    """Find what is wrong with several inputs, and with several questions."""
    problems = []
    if recipe.loss_weights is not None and recipe.task != "multitask":
        expected = "none, for " + recipe.task
        problems.append(Problem(key="loss_weights", value=dict(recipe.loss_weights), expected=expected))
    problems += [
        Problem(key=name, value=list(given), expected="none, for " + recipe.task)
        for name, given, tasks in (
            ("series", [one.name for one in recipe.series], _OF_SERIES),
            ("tags", recipe.tags, _OF_TAGS),
        )
        if given and recipe.task not in tasks
    ]
    known = [*PATIENT_TAGS, *FACT_TAGS]
    for tag in recipe.tags:
        if tag not in known:
            hint = nearest(tag, known) or f"Keywords: {', '.join(known)}."
            expected = "the keyword of an attribute that an engine may take"
            problems.append(Problem(key="tags", value=tag, expected=expected, hint=hint))
    if len(recipe.series) > 1 and recipe.scaling == "foreground":
        hint = "Series of several kinds have several ranges: each is scaled by its own values."
        expected = '"z_score" or "percentile", with several series'
        problems.append(Problem(key="scaling", value=recipe.scaling, expected=expected, hint=hint))
    return problems


def _fitting(task: Task) -> tuple[str, ...]:
    """Return the networks that give what a task wants: a map, a row, or a drawing."""
    if task == "anomaly":
        return AUTOENCODERS
    if task == "generator":
        return GENERATORS
    if task == "multitask":  # with outlines, and without
        return (*SHARED, *_fitting("classify"))
    on_grid = task in {"segment", "detect"}
    rest = [name for name in get_args(NetworkName) if name not in {*AUTOENCODERS, *GENERATORS}]
    return tuple(name for name in rest if (name in ON_GRID) == on_grid)


def _refuse(path: Path | None, problems: list[Problem], text: str) -> NoReturn:
    found = located(problems, path, text) if path is not None else problems
    raise NodeError(RECIPE_WRONG, path=path or "the recipe", count=len(found), problems=tuple(found))


def _plain(value: Any) -> Any:
    """Return a table without what is not set, tuples as lists."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
